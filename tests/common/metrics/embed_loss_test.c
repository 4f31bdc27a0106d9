/* The losses of embeddings beside their formulas in double, and their gradients beside the slopes of those. */
#include "common/metrics/embed_loss.h"

#include "common/base/mem.h"
#include "worker/kernels/gemm.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { B = 5, C = 11, MOST = 3 };

typedef struct Sample {
    EmbedConfig how;
    int64_t columns;
    double e[B * MOST * C], score[B];
} Sample;

static double number(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) / 9007199254740992.0 - 0.5;
}

static Sample sample_of(EmbedConfig how, int64_t columns)
{
    Sample s = { .how = how, .columns = columns };
    uint64_t state = 7;
    for (int i = 0; i < B * MOST * C; i++)
        s.e[i] = (double)(float)number(&state);
    for (int b = 0; b < B; b++)
        s.score[b] = b == 3 ? 0.25 : 0.25 * b; /* two alike */
    return s;
}

static double text(const Sample *s, int64_t b, int64_t column, int64_t c)
{
    const double *e = s->e + (b * s->columns + column) * C;
    double sum = 0;
    if (s->how.normalize != NORMALIZE_YES)
        return e[c];
    for (int k = 0; k < C; k++)
        sum += e[k] * e[k];
    return e[c] / sqrt(sum);
}

static double cosine(const Sample *s, int64_t a, int64_t column_a, int64_t b, int64_t column_b)
{
    double aa = 0, bb = 0, ab = 0;
    for (int c = 0; c < C; c++) {
        const double x = text(s, a, column_a, c), y = text(s, b, column_b, c);
        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    return ab / sqrt(aa * bb);
}

static double distance(const Sample *s, int64_t b, int64_t column)
{
    double sum = 0;
    if (s->how.distance == DISTANCE_COSINE)
        return 1 - cosine(s, b, 0, b, column);
    for (int c = 0; c < C; c++) {
        const double d = text(s, b, 0, c) - text(s, b, column, c) + 1e-6;
        sum += d * d;
    }
    return sqrt(sum);
}

static double negatives(const Sample *s)
{
    double loss = 0;
    for (int i = 0; i < B; i++) {
        double sum = 0;
        for (int column = 1; column < s->columns; column++)
            for (int j = 0; j < B; j++)
                sum += exp(s->how.scale * cosine(s, i, 0, j, column));
        loss += log(sum) - s->how.scale * cosine(s, i, 0, i, 1);
    }
    return loss;
}

static double formula(const Sample *s)
{
    double loss = 0, sum = 1;
    if (s->how.loss == EMBED_NEGATIVES)
        return negatives(s);
    for (int i = 0; i < B; i++) {
        if (s->how.loss == EMBED_COSINE)
            loss += pow(cosine(s, i, 0, i, 1) - s->score[i], 2);
        if (s->how.loss == EMBED_TRIPLET)
            loss += fmax(0, distance(s, i, 1) - distance(s, i, 2) + s->how.margin);
        for (int j = 0; j < B; j++)
            if (s->how.loss == EMBED_COSENT && s->score[i] < s->score[j])
                sum += exp(s->how.scale * (cosine(s, i, 0, i, 1) - cosine(s, j, 0, j, 1)));
    }
    return s->how.loss == EMBED_COSENT ? B * log(sum) : loss;
}

static void check(const Sample *given, const EmbedProducts *products, bool pulls)
{
    Sample s = *given;
    const int64_t n = B * s.columns * C;
    float e[B * MOST * C], de[B * MOST * C], score[B * MOST] = { 0 };
    double each[B], sum = 0, largest = 0;
    for (int64_t i = 0; i < n; i++)
        e[i] = (float)s.e[i];
    for (int b = 0; b < B; b++)
        score[b * s.columns] = (float)s.score[b];
    float *room = xmalloc((size_t)embed_loss_room(&s.how, B, s.columns, C) * sizeof *room);
    const EmbedBatch batch = { e, score, B, s.columns, C };
    embed_loss(each, pulls ? de : NULL, &batch, &s.how, products, room);
    for (int b = 0; b < B; b++)
        sum += each[b];
    free(room);
    assert_float_equal(sum, formula(&s), 2e-6 * fmax(1, formula(&s)));
    const double h = 1e-6;
    double slope[B * MOST * C];
    for (int64_t i = 0; pulls && i < n; i++) {
        const double at = s.e[i];
        s.e[i] = at + h;
        const double up = formula(&s);
        s.e[i] = at - h;
        slope[i] = (up - formula(&s)) / (2 * h);
        s.e[i] = at;
        largest = fmax(largest, fabs(slope[i]));
    }
    assert_true(!pulls || largest > 1e-2);
    for (int64_t i = 0; pulls && i < n; i++)
        assert_float_equal((double)de[i], slope[i], 1e-5 * largest);
}

static void losses_and_gradients_are_their_formulas(void **state)
{
    (void)state;
    const struct {
        EmbedConfig how;
        int64_t columns;
    } rows[] = {
        { { .loss = EMBED_NEGATIVES, .scale = 20 }, 2 },
        { { .loss = EMBED_NEGATIVES, .scale = 3, .normalize = NORMALIZE_YES }, 3 },
        { { .loss = EMBED_COSENT, .scale = 20 }, 2 },
        { { .loss = EMBED_COSENT, .scale = 1 }, 2 },
        { { .loss = EMBED_COSINE, .scale = 20 }, 2 },
        { { .loss = EMBED_TRIPLET, .margin = 5 }, 3 },
        { { .loss = EMBED_TRIPLET, .margin = 0.1, .normalize = NORMALIZE_YES }, 3 }, /* some are far enough */
        { { .loss = EMBED_TRIPLET, .margin = 0.2, .distance = DISTANCE_COSINE }, 3 },
    };
    const EmbedProducts blas = { gemm_nt, gemm_nn, gemm_tn }, plain = { embed_product_nt, NULL, NULL };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const Sample s = sample_of(rows[i].how, rows[i].columns);
        check(&s, &blas, true);
        check(&s, &plain, false);
    }
}

/* A row that is far enough pulls nothing; equal scores are no pair. */
static void what_is_learnt_already_has_no_gradient(void **state)
{
    (void)state;
    const EmbedConfig how = { .loss = EMBED_COSENT, .scale = 20 };
    const EmbedProducts products = { gemm_nt, gemm_nn, gemm_tn };
    float e[4 * 3] = { 1, 2, 3, 4, 5, 6, 6, 5, 4, 1, 0, 0 }, de[4 * 3], score[4] = { 0.5f, 0, 0.5f, 0 };
    float room[128];
    double each[2];
    embed_loss(each, de, &(EmbedBatch){ e, score, 2, 2, 3 }, &how, &products, room);
    for (int i = 0; i < 12; i++)
        assert_true(de[i] == 0.0f);
    assert_true(each[0] == 0 && each[1] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_and_gradients_are_their_formulas),
        cmocka_unit_test(what_is_learnt_already_has_no_gradient),
    };
    return cmocka_run_group_tests_name("embed_loss", tests, NULL, NULL);
}
