/* The vocabulary's head, whose rows go through in pieces, beside plain sums over all rows. */
#include "worker/layers/vocab_head.h"

#include "common/base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Three sequences, of which the head reads these rows; one has nothing to say. */
enum { B = 3, N = 17, M = 9, C = 10, V = 37, R = 3, LABELLED = 6 };
enum { A_AT = 0, B_AT = A_AT + R * C, BIAS_AT = B_AT + V * R, WHOLE_AT = BIAS_AT + V, SIZE = WHOLE_AT + V * C };

static const int64_t start[B + 1] = { 0, 8, 12, N }, example[B] = { 5, 9, 2 };
static const int64_t read_first[B] = { 2, 0, 1 }, read_end[B] = { 7, 0, 5 };
/* Of all tokens; those before and behind what is read have none. */
static const int32_t goals[N] = {
    -100, -100, 4, -100, 36, 0, 7, -100, -100, -100, -100, -100, -100, 11, -100, -100, 4
};

/* What the head has to give, in double. */
typedef struct Expected {
    double loss, dx[M * C], grad[SIZE], logits[M * V];
} Expected;

typedef struct Fixture {
    float weight[V * C], bias[V], values[SIZE], grad[SIZE], x[M * C];
    VocabHead head;
    Pass pass;
    Arena arena;
} Fixture;

static void fill(float *x, int64_t n, uint32_t stream)
{
    rng_normal(x, n, 0.5f, rng_key(1, 0, 0, stream));
}

static void lay_out(Fixture *f, Layout *layout)
{
    const PassSizes sizes = { .most_tokens = N,
                              .most_sequences = B,
                              .longest = 8,
                              .most_read = N,
                              .C = C,
                              .H = 1,
                              .across = C,
                              .wide = C,
                              .most_R = R,
                              .dropped_in = C };
    pass_layout(&f->pass, layout, &sizes);
    vocab_head_layout(&f->head, layout, &sizes, true);
}

static void open_fixture(Fixture *f, bool whole, double dropout)
{
    memset(f, 0, sizeof *f);
    fill(f->weight, V * C, 1);
    fill(f->bias, V, 2);
    fill(f->values, SIZE, 3);
    fill(f->x, M * C, 4);
    const ModuleView module = { .out = V,
                                .in = C,
                                .weight = frozen_of_floats(f->weight, V, C),
                                .bias = f->bias,
                                .bias_at = BIAS_AT,
                                .weight_at = whole ? WHOLE_AT : -1,
                                .lora_bias_at = -1,
                                .magnitude_at = -1,
                                .tokens_at = -1,
                                .a_at = A_AT,
                                .b_at = B_AT,
                                .R = R,
                                .scale = 1.5f };
    linear_add(&f->head.linear, &module, SITE_LORA_HEAD);
    f->head.linear.dropout = dropout;
    f->head.below = true;
    f->head.scale = 1;
    Layout count = { 0 };
    lay_out(f, &count);
    Err err = { 0 };
    assert_true(arena_init(&f->arena, count.bytes, &err));
    Layout layout = { .arena = &f->arena };
    lay_out(f, &layout);
    Pass *pass = &f->pass;
    pass->rows = (Rows){ .B = B, .N = N, .longest = 8, .start = start };
    memcpy(pass->read_first, read_first, sizeof read_first);
    memcpy(pass->read_end, read_end, sizeof read_end);
    pass_read(pass);
    assert_int_equal(pass->reads.N, M);
    pass->example = example;
    pass->values = f->values;
    pass->grad = f->grad;
    pass->drop = dropout > 0;
    memcpy(pass->x, f->x, sizeof f->x);
    vocab_head_bind(&f->head, f->values);
}

/* LoRA's input at element c of the k-th labelled row of sequence b. */
static double dropped(const Fixture *f, int b, int k, int c, double x)
{
    const float p = (float)f->head.linear.dropout;
    if (!f->pass.drop)
        return x;
    const RngKey key = rng_key(0, 0, example[b], SITE_LORA_HEAD);
    return rng_bits(key, (uint32_t)(k * C + c)) < rng_threshold(p) ? 0 : x / (1 - (double)p);
}

/* Logits of read row m: W x + bias + scale B A dropout(x); u receives A dropout(x). */
static void expect_row(const Fixture *f, Expected *e, int m, const double *x, const double *kept, double *u)
{
    const float *weight = f->head.linear.part[0].module.weight_at >= 0 ? f->values + WHOLE_AT : f->weight;
    for (int r = 0; r < R; r++) {
        u[r] = 0;
        for (int c = 0; c < C; c++)
            u[r] += (double)f->values[A_AT + r * C + c] * kept[c];
    }
    for (int v = 0; v < V; v++) {
        double *y = &e->logits[m * V + v];
        *y = (double)f->values[BIAS_AT + v];
        for (int c = 0; c < C; c++)
            *y += (double)weight[v * C + c] * x[c];
        for (int r = 0; r < R; r++)
            *y += 1.5 * (double)f->values[B_AT + v * R + r] * u[r];
    }
}

/* Adds a labelled row's loss and gradients. */
static void expect_loss(const Fixture *f, Expected *e, int m, int goal, const double *x, const double *kept,
                        const double *u)
{
    const bool whole = f->head.linear.part[0].module.weight_at >= 0;
    const float *weight = whole ? f->values + WHOLE_AT : f->weight;
    double sum = 0;
    for (int v = 0; v < V; v++)
        sum += exp(e->logits[m * V + v]);
    e->loss += log(sum) - e->logits[m * V + goal];
    for (int v = 0; v < V; v++) {
        const double dy = exp(e->logits[m * V + v]) / sum - (v == goal);
        e->grad[BIAS_AT + v] += dy;
        for (int c = 0; c < C; c++) {
            e->dx[m * C + c] += dy * (double)weight[v * C + c];
            e->grad[WHOLE_AT + v * C + c] += whole ? dy * x[c] : 0;
        }
        for (int r = 0; r < R; r++) {
            const double p = 1.5 * dy * (double)f->values[B_AT + v * R + r];
            e->grad[B_AT + v * R + r] += 1.5 * dy * u[r];
            for (int c = 0; c < C; c++) {
                e->grad[A_AT + r * C + c] += p * kept[c];
                e->dx[m * C + c] += p * (double)f->values[A_AT + r * C + c] * (x[c] != 0 ? kept[c] / x[c] : 0);
            }
        }
    }
}

static Expected expect(const Fixture *f)
{
    Expected e = { 0 };
    int m = 0;
    for (int b = 0; b < B; b++) {
        int labelled = 0;
        for (int64_t t = read_first[b]; t < read_end[b]; t++, m++) {
            const int goal = goals[start[b] + t];
            double x[C], kept[C], u[R];
            for (int c = 0; c < C; c++) {
                x[c] = (double)f->x[m * C + c];
                kept[c] = dropped(f, b, labelled, c, x[c]);
            }
            expect_row(f, &e, m, x, kept, u);
            if (goal < 0)
                continue;
            expect_loss(f, &e, m, goal, x, kept, u);
            labelled++;
        }
    }
    return e;
}

static void expect_near(const float *got, const double *expected, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - expected[i]) < 2e-6 * (1 + fabs(expected[i]))))
            fail_msg("%lld is %g instead of %g", (long long)i, (double)got[i], expected[i]);
}

static void loss_and_gradients_are_those_of_all_rows_for_any_piece(void **state)
{
    (void)state;
    for (int form = 0; form < 4; form++)
        for (int piece = 1; piece <= LABELLED + 1; piece++) {
            Fixture f;
            open_fixture(&f, form & 1, form & 2 ? 0.3 : 0);
            const Expected e = expect(&f);
            f.head.piece = piece;
            const BatchLoss loss = vocab_head_loss(&f.head, goals, &f.pass);
            assert_int_equal(loss.count, LABELLED);
            assert_float_equal(loss.sum, e.loss, 1e-5);
            assert_true(loss.plain == loss.sum);
            expect_near(f.grad, e.grad, SIZE);
            expect_near(f.pass.x, e.dx, M * C);
            arena_release(&f.arena);
        }
}

static void logits_are_of_every_row_that_is_read(void **state)
{
    (void)state;
    for (int piece = 1; piece <= M; piece++) {
        Fixture f;
        open_fixture(&f, false, 0);
        const Expected e = expect(&f);
        f.head.piece = piece;
        f.pass.grad = NULL;
        float logits[M * V];
        BatchLoss loss = vocab_head_logits(&f.head, logits, goals, &f.pass);
        assert_float_equal(loss.sum, e.loss, 1e-5);
        assert_int_equal(loss.count, LABELLED);
        expect_near(logits, e.logits, M * V);
        loss = vocab_head_logits(&f.head, logits, NULL, &f.pass);
        assert_true(loss.sum == 0 && loss.count == 0);
        arena_release(&f.arena);
    }
}

static void without_a_goal_there_is_no_loss_and_no_gradient(void **state)
{
    (void)state;
    Fixture f;
    open_fixture(&f, true, 0);
    int32_t none[N];
    for (int n = 0; n < N; n++)
        none[n] = -100;
    const BatchLoss loss = vocab_head_loss(&f.head, none, &f.pass);
    assert_true(loss.sum == 0 && loss.count == 0);
    for (int i = 0; i < M * C; i++)
        assert_true(f.pass.x[i] == 0);
    for (int i = 0; i < SIZE; i++)
        assert_true(f.grad[i] == 0);
    arena_release(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_and_gradients_are_those_of_all_rows_for_any_piece),
        cmocka_unit_test(logits_are_of_every_row_that_is_read),
        cmocka_unit_test(without_a_goal_there_is_no_loss_and_no_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
