#include "worker/layers/rope.h"

#include "common/base/json.h"
#include "common/base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { D = 6, HALF = D / 2, LONGEST = 40, HEADS = 2, LD = 3 * D + 3 };

/* Two heads turn: one of q, one of k. */
static const AttentionShape shape = { .H = 1, .K = 1, .D = D, .ldqkv = LD };

/* Two stretched kinds as an opened model holds them: positions are those it is stretched to. */
static const char dynamic[] = "{\"max_position_embeddings\": 10, \"rope_scaling\": "
                              "{\"type\": \"dynamic\", \"factor\": 4}}";
static const char longrope[] = "{\"max_position_embeddings\": 40, \"original_max_position_embeddings\": 10, "
                               "\"rope_scaling\": {\"type\": \"longrope\", \"short_factor\": [1, 1.5, 2], "
                               "\"long_factor\": [3, 4, 5]}}";
static const char plain[] = "{\"max_position_embeddings\": 10}";

typedef struct Fixture {
    ModelArch arch;
    Rope rope;
    Arena arena;
} Fixture;

static void open_fixture(Fixture *f, const char *config, int64_t longest)
{
    memset(f, 0, sizeof *f);
    f->arch = (ModelArch){ .D = D, .rope = true, .positions = LONGEST };
    f->arch.config = json_loads(config, 0, NULL);
    assert_non_null(f->arch.config);
    Layout count = { 0 };
    rope_layout(&f->rope, &count, &f->arch, 0, longest);
    Err err = { 0 };
    assert_true(arena_init(&f->arena, count.bytes, &err));
    Layout layout = { .arena = &f->arena };
    rope_layout(&f->rope, &layout, &f->arch, 0, longest);
    assert_int_equal(f->arena.used, f->arena.size);
    rope_fill(&f->rope);
}

static void close_fixture(Fixture *f)
{
    json_decref(f->arch.config);
    arena_release(&f->arena);
}

/* Every place of every length has the angles of that length, in any order of lengths. */
static void check_rows(const char *config, int64_t longest)
{
    Fixture f;
    open_fixture(&f, config, longest);
    for (int64_t i = 0; i < longest; i++) {
        const int64_t length = 1 + i * 7 % longest;
        double inverse[HALF];
        const double scale = arch_rope(&f.arch, 0, length, inverse);
        for (int64_t t = 0; t < length; t++) {
            const float *cosine, *sine;
            rope_row(&f.rope, t, length, &cosine, &sine);
            for (int64_t j = 0; j < HALF; j++) {
                assert_float_equal(cosine[j], cos((double)t * inverse[j]) * scale, 3e-6);
                assert_float_equal(sine[j], sin((double)t * inverse[j]) * scale, 3e-6);
            }
        }
    }
    close_fixture(&f);
}

static void tables_are_those_of_each_length(void **state)
{
    (void)state;
    const char *const configs[] = { plain, dynamic, longrope };
    const int64_t longest[] = { 1, 9, 10, 11, LONGEST };
    for (size_t c = 0; c < sizeof configs / sizeof *configs; c++)
        for (size_t i = 0; i < sizeof longest / sizeof *longest; i++)
            check_rows(configs[c], longest[i]);
}

/* Sequences of one micro-batch that turn by different angles, or together as the longest does, there and back. */
static void check_turn(const char *config, bool together)
{
    enum { N = 10 + 33 + 1 + LONGEST };
    const int64_t start[] = { 0, 10, 43, 44, N };
    const Rows rows = { .B = 4, .N = N, .longest = LONGEST, .start = start };
    float x[N * LD], before[N * LD];
    Fixture f;
    open_fixture(&f, config, LONGEST);
    rng_normal(x, N * LD, 1.0f, rng_key(1, 0, 0, 1));
    memcpy(before, x, sizeof x);
    rope_turn(&f.rope, x, &shape, &rows, 0, false);
    double square = 1;
    for (int64_t b = 0; b < rows.B; b++) {
        double inverse[HALF];
        const double scale = arch_rope(&f.arch, 0, together ? LONGEST : start[b + 1] - start[b], inverse);
        square = scale * scale;
        for (int64_t n = start[b]; n < start[b + 1]; n++)
            for (int64_t i = 0; i < HEADS * HALF; i++) {
                const int64_t at = n * LD + i / HALF * D + i % HALF;
                const double angle = (double)(n - start[b]) * inverse[i % HALF];
                const double a0 = (double)before[at], a1 = (double)before[at + HALF];
                assert_float_equal(x[at], (a0 * cos(angle) - a1 * sin(angle)) * scale, 1e-5);
                assert_float_equal(x[at + HALF], (a1 * cos(angle) + a0 * sin(angle)) * scale, 1e-5);
            }
    }
    rope_turn(&f.rope, x, &shape, &rows, 0, true);
    for (int64_t i = 0; i < N * LD; i++) /* what lies between rows was not touched */
        assert_float_equal(x[i], (double)before[i] * (i % LD < HEADS * D ? square : 1), 1e-5);
    close_fixture(&f);
}

static void sequences_turn_by_the_angles_of_their_own_length(void **state)
{
    (void)state;
    check_turn(plain, false);
    check_turn(dynamic, false);
}

static void sequences_of_a_batch_turn_as_its_longest_does(void **state)
{
    (void)state;
    check_turn(longrope, true);
}

/* The longest is elsewhere: in another micro-batch, beyond what comes here. */
static void a_longer_sequence_elsewhere_counts(void **state)
{
    (void)state;
    const int64_t start[] = { 0, 4 }, longest[] = { 0, 10, 11, 300 };
    const Rows rows = { .B = 1, .N = 4, .longest = 4, .start = start };
    double inverse[HALF];
    Fixture f;
    open_fixture(&f, longrope, 12);
    for (size_t i = 0; i < sizeof longest / sizeof *longest; i++) {
        float x[4 * LD] = { 0 };
        for (int64_t j = 0; j < HALF; j++)
            x[3 * LD + j] = 1;
        rope_turn(&f.rope, x, &shape, &rows, longest[i], false);
        const double scale = arch_rope(&f.arch, 0, longest[i] ? longest[i] : 4, inverse);
        for (int64_t j = 0; j < HALF; j++)
            assert_float_equal(x[3 * LD + j], cos(3 * inverse[j]) * scale, 1e-5);
    }
    close_fixture(&f);
}

static void a_model_without_rotary_positions_turns_nothing(void **state)
{
    (void)state;
    const ModelArch arch = { .D = D };
    const int64_t start[] = { 0, 2 };
    const Rows rows = { .B = 1, .N = 2, .longest = 2, .start = start };
    float x[2 * D] = { 1, 2, 3, 4, 5, 6 }, before[2 * D];
    memcpy(before, x, sizeof x);
    Rope rope;
    Layout count = { 0 };
    rope_layout(&rope, &count, &arch, 0, 2);
    rope_fill(&rope);
    rope_turn(&rope, x, &shape, &rows, 0, false);
    assert_int_equal(count.bytes, 0);
    assert_memory_equal(x, before, sizeof x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_those_of_each_length),
        cmocka_unit_test(sequences_turn_by_the_angles_of_their_own_length),
        cmocka_unit_test(sequences_of_a_batch_turn_as_its_longest_does),
        cmocka_unit_test(a_longer_sequence_elsewhere_counts),
        cmocka_unit_test(a_model_without_rotary_positions_turns_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
