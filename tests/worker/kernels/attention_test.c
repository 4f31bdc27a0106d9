#include "tests/worker/kernels/support.h"

enum { MOST_SEQUENCES = 8 };

/* One micro-batch and everything attention reads and writes. */
typedef struct Case {
    int64_t start[MOST_SEQUENCES + 1];
    int64_t q_first[MOST_SEQUENCES], q_end[MOST_SEQUENCES]; /* wanted rows */
    int64_t k_end[MOST_SEQUENCES]; /* keys, where some rows are padding */
    RngKey keys[MOST_SEQUENCES];
    Rows rows;
    AttentionShape shape;
    Dropout dropout;
    float *qkv, *dout; /* inputs */
    float *out, *lse, *dqkv; /* results */
    double *out_ref, *dqkv_ref; /* the same in double */
    int64_t qkv_size, out_size, lse_size;
} Case;

static void case_init(Case *c, const int64_t *lengths, int64_t count, AttentionShape shape, float p)
{
    *c = (Case){ .shape = shape };
    c->rows = rows_of(c->start, lengths, count);
    c->shape.ldqkv = (shape.H + 2 * shape.K) * shape.D + 3; /* a gap that nothing may write */
    c->shape.ldout = shape.H * shape.D + 1;
    c->shape.scale = 1.0f / sqrtf((float)shape.D);
    for (int64_t b = 0; b < count; b++) {
        c->q_first[b] = 0;
        c->q_end[b] = lengths[b];
    }
    for (int64_t b = 0; b < count; b++)
        c->keys[b] = rng_key(3, 1, 100 + b, 9);
    c->dropout = (Dropout){ .p = p, .keys = p > 0.0f ? c->keys : NULL };
    c->qkv_size = c->rows.N * c->shape.ldqkv;
    c->out_size = c->rows.N * c->shape.ldout;
    c->lse_size = c->rows.N * shape.H;
    c->qkv = random_new(c->qkv_size, 1.0f, 1);
    c->dout = random_new(c->out_size, 1.0f, 2);
    c->out = guarded_new(c->out_size);
    c->lse = guarded_new(c->lse_size);
    c->dqkv = guarded_new(c->qkv_size);
    c->out_ref = doubles_new(c->out_size);
    c->dqkv_ref = doubles_new(c->qkv_size);
}

static void case_release(Case *c)
{
    guarded_free(c->qkv, c->qkv_size);
    guarded_free(c->dout, c->out_size);
    guarded_free(c->out, c->out_size);
    guarded_free(c->lse, c->lse_size);
    guarded_free(c->dqkv, c->qkv_size);
    free(c->out_ref);
    free(c->dqkv_ref);
}

static void run(Case *c)
{
    const int threads = c->shape.threads > 1 ? c->shape.threads : 1;
    const int64_t bytes = kernels->attention_scratch(&c->shape, c->rows.longest, threads);
    float *scratch = guarded_new(bytes / (int64_t)sizeof(float));
    kernels->attention_forward(c->out, c->lse, c->qkv, &c->rows, &c->shape, c->dropout, scratch);
    kernels->attention_backward(c->dqkv, c->dout, c->lse, c->qkv, &c->rows, &c->shape, c->dropout, scratch);
    guarded_free(scratch, bytes / (int64_t)sizeof(float));
}

/* What multiplies probability (i,j) of head h: 0 or 1/(1-p). */
static double kept(const Case *c, int64_t b, int64_t h, int64_t i, int64_t j, int64_t T)
{
    if (!(c->dropout.p > 0.0f))
        return 1.0;
    const uint32_t bits = rng_bits(c->dropout.keys[b], (uint32_t)((h * T + i) * T + j));
    return bits >= rng_threshold(c->dropout.p) ? 1.0 / (1.0 - (double)c->dropout.p) : 0.0;
}

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Row i of head h of example b, forward and backward, straight from the definition. */
static void reference_row(Case *c, int64_t b, int64_t h, int64_t i)
{
    const AttentionShape *s = &c->shape;
    const int64_t start = c->start[b], T = c->start[b + 1] - start, D = s->D;
    const int64_t k = h / (s->H / s->K), count = s->k_end ? s->k_end[b] : T;
    const int64_t seen = s->causal && i + 1 < count ? i + 1 : count;
    const int64_t hidden = s->window > 0 && i + 1 > s->window ? i + 1 - s->window : 0;
    const int64_t q_at = (start + i) * s->ldqkv + h * D, out_at = (start + i) * s->ldout + h * D;
    const int64_t k_at = start * s->ldqkv + (s->H + k) * D, v_at = k_at + s->K * D;
    if (hidden >= seen)
        return; /* it sees nothing: zeros */
    double *p = doubles_new(seen), *dp = doubles_new(seen);
    double sum = 0.0, mean = 0.0;
    for (int64_t j = hidden; j < seen; j++)
        sum += p[j] = exp(dot(c->qkv + q_at, c->qkv + k_at + j * s->ldqkv, D) * (double)s->scale);
    for (int64_t j = hidden; j < seen; j++) {
        const double m = kept(c, b, h, i, j, T);
        p[j] /= sum;
        dp[j] = m * dot(c->dout + out_at, c->qkv + v_at + j * s->ldqkv, D);
        mean += p[j] * dp[j];
        for (int64_t d = 0; d < D; d++) {
            c->out_ref[out_at + d] += p[j] * m * (double)c->qkv[v_at + j * s->ldqkv + d];
            c->dqkv_ref[v_at + j * s->ldqkv + d] += p[j] * m * (double)c->dout[out_at + d];
        }
    }
    for (int64_t j = hidden; j < seen; j++) {
        const double ds = p[j] * (dp[j] - mean) * (double)s->scale;
        for (int64_t d = 0; d < D; d++) {
            c->dqkv_ref[q_at + d] += ds * (double)c->qkv[k_at + j * s->ldqkv + d];
            c->dqkv_ref[k_at + j * s->ldqkv + d] += ds * (double)c->qkv[q_at + d];
        }
    }
    check_near("lse", i, (double)c->lse[h * c->rows.N + start + i], log(sum), 2e-6);
    free(p);
    free(dp);
}

/* Query rows [first, first + rows) of each sequence are wanted, as far as it has them. */
typedef struct Wanted {
    int64_t first, rows; /* rows 0: all */
} Wanted;

/* Runs the kernels and the reference, and compares all that should be written;
 * what should not be must still hold the guard's value. */
/* padding: rows at the end of each sequence that are no keys, but of its first */
static void check_padded(const int64_t *lengths, int64_t count, AttentionShape shape, float p, Wanted wanted,
                         int64_t padding)
{
    Case c;
    case_init(&c, lengths, count, shape, p);
    for (int64_t b = 0; b < count && wanted.rows > 0; b++) {
        c.q_first[b] = wanted.first < lengths[b] ? wanted.first : lengths[b] - 1;
        c.q_end[b] = c.q_first[b] + wanted.rows < lengths[b] ? c.q_first[b] + wanted.rows : lengths[b];
    }
    if (wanted.rows > 0) {
        c.shape.q_first = c.q_first;
        c.shape.q_end = c.q_end;
    }
    for (int64_t b = 0; b < count; b++)
        c.k_end[b] = lengths[b] > padding ? lengths[b] - padding : 1;
    c.shape.k_end = padding > 0 ? c.k_end : NULL;
    run(&c);
    const AttentionShape *s = &c.shape;
    for (int64_t b = 0; b < count; b++) {
        for (int64_t h = 0; h < s->H; h++) {
            for (int64_t i = c.q_first[b]; i < c.q_end[b]; i++)
                reference_row(&c, b, h, i);
        }
        for (int64_t i = 0; i < lengths[b]; i++) {
            const int64_t n = c.start[b] + i, width = (s->H + 2 * s->K) * s->D;
            const int64_t out_width = i >= c.q_first[b] && i < c.q_end[b] ? s->H * s->D : 0;
            check_all_near("out", c.out + n * s->ldout, c.out_ref + n * s->ldout, out_width, 3e-6);
            check_all_near("dqkv", c.dqkv + n * s->ldqkv, c.dqkv_ref + n * s->ldqkv, width, 2e-5);
            for (int64_t d = out_width; d < s->ldout; d++)
                assert_true(c.out[n * s->ldout + d] == guard_value);
            for (int64_t d = width; d < s->ldqkv; d++)
                assert_true(c.dqkv[n * s->ldqkv + d] == guard_value);
        }
    }
    case_release(&c);
}

static void check_wanted(const int64_t *lengths, int64_t count, AttentionShape shape, float p, Wanted wanted)
{
    check_padded(lengths, count, shape, p, wanted, 0);
}

static void check_case(const int64_t *lengths, int64_t count, AttentionShape shape, float p)
{
    check_wanted(lengths, count, shape, p, (Wanted){ 0 });
}

static void equals_the_definition_at_odd_lengths(void **state)
{
    (void)state;
    const int64_t lengths[] = { 1, 3, 17, 65, 130 };
    check_case(lengths, 5, (AttentionShape){ .H = 2, .K = 2, .D = 32 }, 0.0f);
    check_case(lengths, 5, (AttentionShape){ .H = 1, .K = 1, .D = 64 }, 0.0f);
}

static void equals_the_definition_at_any_head_size(void **state)
{
    (void)state;
    const int64_t lengths[] = { 5, 70 };
    for (int64_t D = 1; D <= 40; D += 3)
        check_case(lengths, 2, (AttentionShape){ .H = 3, .K = 3, .D = D }, 0.2f);
}

static void equals_the_definition_at_length_512(void **state)
{
    (void)state;
    const int64_t lengths[] = { 512 };
    check_case(lengths, 1, (AttentionShape){ .H = 1, .K = 1, .D = 32 }, 0.1f);
}

static void backward_uses_the_mask_of_forward(void **state)
{
    (void)state;
    const int64_t lengths[] = { 1, 3, 17, 65, 130 };
    check_case(lengths, 5, (AttentionShape){ .H = 2, .K = 2, .D = 32 }, 0.1f);
    check_case(lengths, 5, (AttentionShape){ .H = 2, .K = 2, .D = 16 }, 0.5f);
}

static void causal_rows_see_nothing_behind_them(void **state)
{
    (void)state;
    const int64_t lengths[] = { 1, 17, 130 };
    check_case(lengths, 3, (AttentionShape){ .H = 2, .K = 2, .D = 32, .causal = true }, 0.0f);
    check_case(lengths, 3, (AttentionShape){ .H = 2, .K = 1, .D = 8, .causal = true }, 0.1f);
}

static void grouped_heads_share_keys_and_add_their_gradients(void **state)
{
    (void)state;
    const int64_t lengths[] = { 17, 65 };
    check_case(lengths, 2, (AttentionShape){ .H = 6, .K = 2, .D = 32 }, 0.1f);
}

static void only_the_wanted_query_rows_are_computed(void **state)
{
    (void)state;
    const int64_t lengths[] = { 1, 3, 130 };
    const AttentionShape shape = { .H = 2, .K = 2, .D = 32 };
    check_wanted(lengths, 3, shape, 0.1f, (Wanted){ 0, 1 });
    check_wanted(lengths, 3, shape, 0.0f, (Wanted){ 0, 2 });
    check_wanted(lengths, 3, shape, 0.1f, (Wanted){ 65, 40 });
    check_wanted(lengths, 3, (AttentionShape){ .H = 4, .K = 2, .D = 8, .causal = true }, 0.1f, (Wanted){ 100, 30 });
}

static void a_window_hides_what_lies_behind_it(void **state)
{
    (void)state;
    const int64_t lengths[] = { 1, 17, 200 }, windows[] = { 1, 3, 64, 65, 100, 1000 };
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        const AttentionShape shape = { .H = 2, .K = 1, .D = 8, .causal = true, .window = windows[i] };
        check_case(lengths, 3, shape, 0.0f);
        check_case(lengths, 3, shape, 0.1f);
        check_wanted(lengths, 3, shape, 0.1f, (Wanted){ 70, 80 });
    }
}

/* Rows behind k_end attend and are not attended to; in a window they may see nothing at all. */
static void padding_sees_the_keys_before_it_and_is_no_key(void **state)
{
    (void)state;
    const int64_t lengths[] = { 1, 16, 23, 200 }, paddings[] = { 1, 8, 70, 150 };
    for (size_t i = 0; i < sizeof paddings / sizeof *paddings; i++) {
        const AttentionShape open = { .H = 2, .K = 1, .D = 8 };
        AttentionShape causal = open;
        causal.causal = true;
        check_padded(lengths, 4, open, 0.0f, (Wanted){ 0 }, paddings[i]);
        check_padded(lengths, 4, open, 0.3f, (Wanted){ 3, 40 }, paddings[i]);
        check_padded(lengths, 4, causal, 0.0f, (Wanted){ 0 }, paddings[i]);
        causal.window = 5;
        check_padded(lengths, 4, causal, 0.3f, (Wanted){ 0 }, paddings[i]);
    }
}

static void large_scores_do_not_overflow(void **state)
{
    (void)state;
    const int64_t lengths[] = { 17 };
    Case c;
    case_init(&c, lengths, 1, (AttentionShape){ .H = 1, .K = 1, .D = 32 }, 0.0f);
    for (int64_t i = 0; i < c.qkv_size; i++)
        c.qkv[i] *= 40.0f;
    run(&c);
    for (int64_t n = 0; n < c.rows.N; n++) {
        for (int64_t d = 0; d < 32; d++)
            assert_true(isfinite(c.out[n * c.shape.ldout + d]));
        for (int64_t d = 0; d < 96; d++)
            assert_true(isfinite(c.dqkv[n * c.shape.ldqkv + d]));
    }
    case_release(&c);
}

/* The last of three sequences, once inside the batch and once by itself. */
static void a_sequence_alone_gives_the_bits_it_gives_in_a_batch(void **state)
{
    (void)state;
    const int64_t lengths[] = { 130, 5, 65 };
    const AttentionShape shape = { .H = 3, .K = 3, .D = 32 };
    Case all, one;
    case_init(&all, lengths, 3, shape, 0.1f);
    case_init(&one, lengths + 2, 1, shape, 0.1f);
    one.keys[0] = all.keys[2];
    const int64_t at = all.start[2];
    memcpy(one.qkv, all.qkv + at * all.shape.ldqkv, (size_t)one.qkv_size * sizeof(float));
    memcpy(one.dout, all.dout + at * all.shape.ldout, (size_t)one.out_size * sizeof(float));
    run(&all);
    run(&one);
    check_same_bits("out", all.out + at * all.shape.ldout, one.out, one.out_size);
    check_same_bits("dqkv", all.dqkv + at * all.shape.ldqkv, one.dqkv, one.qkv_size);
    case_release(&all);
    case_release(&one);
}

static void two_threads_give_the_bits_of_one(void **state)
{
    (void)state;
    const int64_t lengths[] = { 17, 130, 1, 65 };
    AttentionShape shape = { .H = 4, .K = 2, .D = 32 };
    Case one, two;
    case_init(&one, lengths, 4, shape, 0.1f);
    shape.threads = 2;
    case_init(&two, lengths, 4, shape, 0.1f);
    run(&one);
    run(&two);
    check_same_bits("out", one.out, two.out, one.out_size);
    check_same_bits("lse", one.lse, two.lse, one.lse_size);
    check_same_bits("dqkv", one.dqkv, two.dqkv, one.qkv_size);
    case_release(&one);
    case_release(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_definition_at_odd_lengths),
        cmocka_unit_test(equals_the_definition_at_any_head_size),
        cmocka_unit_test(equals_the_definition_at_length_512),
        cmocka_unit_test(backward_uses_the_mask_of_forward),
        cmocka_unit_test(causal_rows_see_nothing_behind_them),
        cmocka_unit_test(grouped_heads_share_keys_and_add_their_gradients),
        cmocka_unit_test(only_the_wanted_query_rows_are_computed),
        cmocka_unit_test(a_window_hides_what_lies_behind_it),
        cmocka_unit_test(padding_sees_the_keys_before_it_and_is_no_key),
        cmocka_unit_test(large_scores_do_not_overflow),
        cmocka_unit_test(a_sequence_alone_gives_the_bits_it_gives_in_a_batch),
        cmocka_unit_test(two_threads_give_the_bits_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
