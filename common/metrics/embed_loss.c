/* DESIGN. Texts are laid out column by column, so that anchors, and all that stands beside them, are one matrix each. */
#include "common/metrics/embed_loss.h"

#include "common/base/maths.h"

#include <math.h>
#include <string.h>

/* What a call works on, in `room`. */
typedef struct LossWork {
    int64_t B, columns, C;
    float *u; /* [columns, B, C] of length 1, or, for what measures them as they are, the embeddings */
    float *du; /* the same: the gradient there */
    float *inverse; /* [columns, B] 1 / length; 1: they are as they are */
    float *scores; /* [B, (columns - 1) B], then their gradient */
} LossWork;

static int64_t scores_of(const EmbedConfig *how, int64_t B, int64_t columns)
{
    return how->loss == EMBED_NEGATIVES ? B * B * (columns - 1) : 2 * B;
}

int64_t embed_loss_room(const EmbedConfig *how, int64_t B, int64_t columns, int64_t C)
{
    return 2 * B * columns * C + B * columns + scores_of(how, B, columns);
}

static double dot(const float *a, const float *b, int64_t C)
{
    double sum = 0;
    for (int64_t c = 0; c < C; c++)
        sum += (double)a[c] * (double)b[c];
    return sum;
}

static float inverse_length(const float *e, int64_t C)
{
    const double least = 1e-12; /* torch.nn.functional.normalize */
    return (float)(1.0 / fmax(sqrt(dot(e, e, C)), least));
}

static void scale(float *y, const float *x, float factor, int64_t C)
{
    for (int64_t c = 0; c < C; c++)
        y[c] = factor * x[c];
}

void embed_normalize(float *e, int64_t n, int64_t C)
{
    for (int64_t i = 0; i < n; i++)
        scale(e + i * C, e + i * C, inverse_length(e + i * C, C), C);
}

enum { LANES = 8 }; /* sums that run side by side; their order is part of the result */

void embed_product_nt(float *y, int64_t ldy, const float *a, int64_t lda, const float *b, int64_t ldb, int64_t rows,
                      int64_t columns, int64_t inner, float alpha, float beta)
{
    (void)beta;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            const float *a_i = a + i * lda, *b_j = b + j * ldb;
            float lane[LANES] = { 0 }, sum = 0;
            int64_t c = 0;
            for (; c + LANES <= inner; c += LANES)
                for (int k = 0; k < LANES; k++)
                    lane[k] += a_i[c + k] * b_j[c + k];
            for (int k = 0; k < LANES; k++)
                sum += lane[k];
            for (; c < inner; c++)
                sum += a_i[c] * b_j[c];
            y[i * ldy + j] = alpha * sum;
        }
}

/* Euclidean distances are of the embeddings as the model gives them. */
static bool is_unit(const EmbedConfig *how)
{
    return how->loss != EMBED_TRIPLET || how->distance == DISTANCE_COSINE || how->normalize == NORMALIZE_YES;
}

static LossWork lay_out(const EmbedBatch *x, const EmbedConfig *how, float *room)
{
    const int64_t n = x->B * x->columns;
    LossWork w = { x->B, x->columns, x->C, room, room + n * x->C, room + 2 * n * x->C, room + 2 * n * x->C + n };
    for (int64_t i = 0; i < n; i++) {
        const int64_t to = i % x->columns * x->B + i / x->columns;
        const float *e = x->e + i * x->C;
        w.inverse[to] = is_unit(how) ? inverse_length(e, x->C) : 1.0f;
        scale(w.u + to * x->C, e, w.inverse[to], x->C);
    }
    return w;
}

static const float *text(const LossWork *w, int64_t column, int64_t b)
{
    return w->u + (column * w->B + b) * w->C;
}

/* du of a text += factor x */
static void pull(const LossWork *w, int64_t column, int64_t b, double factor, const float *x)
{
    float *du = w->du + (column * w->B + b) * w->C;
    for (int64_t c = 0; c < w->C; c++)
        du[c] += (float)factor * x[c];
}

/* ---- all positives and negatives beside each anchor --------------------------------------------------- */

/* The loss of a row of scores, whose gradient they become. */
static double cross_entropy(float *scores, int64_t n, int64_t goal)
{
    float most = -INFINITY;
    double sum = 0;
    for (int64_t j = 0; j < n; j++)
        most = scores[j] > most ? scores[j] : most;
    for (int64_t j = 0; j < n; j++)
        sum += maths_exp((double)scores[j] - (double)most);
    const double all = (double)most + maths_log(sum), loss = all - (double)scores[goal];
    for (int64_t j = 0; j < n; j++)
        scores[j] = (float)(maths_exp((double)scores[j] - all) - (j == goal ? 1.0 : 0.0));
    return loss;
}

static void rank_negatives(double *each, bool pulls, const LossWork *w, const EmbedConfig *how, const EmbedProducts *p)
{
    const int64_t B = w->B, C = w->C, n = B * (w->columns - 1);
    const float *anchors = w->u, *others = w->u + B * C, factor = (float)how->scale;
    p->nt(w->scores, n, anchors, C, others, C, B, n, C, factor, 0);
    for (int64_t b = 0; b < B; b++)
        each[b] = cross_entropy(w->scores + b * n, n, b);
    if (!pulls)
        return;
    p->nn(w->du, C, w->scores, n, others, C, B, C, n, factor, 0);
    p->tn(w->du + B * C, C, w->scores, n, anchors, C, n, C, B, factor, 0);
}

/* ---- pairs with a score ---------------------------------------------------------------------------------- */

static double score_of(const EmbedBatch *x, int64_t b)
{
    return (double)x->score[b * x->columns];
}

/* Their order: log(1 + sum exp(s_i - s_j)) over the pairs whose scores say i < j; ds[B] its gradient. */
static double order_loss(float *ds, const double *s, const EmbedBatch *x)
{
    double most = 0, sum = 0;
    for (int64_t i = 0; i < x->B; i++)
        for (int64_t j = 0; j < x->B; j++)
            if (score_of(x, i) < score_of(x, j))
                most = fmax(most, s[i] - s[j]);
    sum = maths_exp(-most);
    for (int64_t i = 0; i < x->B; i++)
        for (int64_t j = 0; j < x->B; j++)
            if (score_of(x, i) < score_of(x, j))
                sum += maths_exp(s[i] - s[j] - most);
    const double loss = most + maths_log(sum);
    for (int64_t i = 0; i < x->B; i++) {
        double d = 0;
        for (int64_t j = 0; j < x->B; j++) {
            if (score_of(x, i) < score_of(x, j))
                d += maths_exp(s[i] - s[j] - loss);
            else if (score_of(x, j) < score_of(x, i))
                d -= maths_exp(s[j] - s[i] - loss);
        }
        ds[i] = (float)d;
    }
    return loss;
}

static void compare_pairs(double *each, const LossWork *w, const EmbedBatch *x, const EmbedConfig *how)
{
    float *ds = w->scores;
    for (int64_t b = 0; b < w->B; b++)
        each[b] = dot(text(w, 0, b), text(w, 1, b), w->C);
    if (how->loss == EMBED_COSENT) {
        for (int64_t b = 0; b < w->B; b++)
            each[b] *= how->scale;
        const double loss = order_loss(ds, each, x);
        for (int64_t b = 0; b < w->B; b++) {
            each[b] = loss;
            ds[b] *= (float)(how->scale * (double)w->B);
        }
    } else {
        for (int64_t b = 0; b < w->B; b++) {
            const double off = each[b] - score_of(x, b);
            each[b] = off * off;
            ds[b] = (float)(2 * off);
        }
    }
    for (int64_t b = 0; b < w->B; b++) {
        pull(w, 0, b, (double)ds[b], text(w, 1, b));
        pull(w, 1, b, (double)ds[b], text(w, 0, b));
    }
}

/* ---- triplets ----------------------------------------------------------------------------------------------- */

/* torch.nn.functional.pairwise_distance adds this to every difference. */
static const double beside = 1e-6;

static double far(const LossWork *w, int64_t column, int64_t b, EmbedDistance how)
{
    const float *anchor = text(w, 0, b), *other = text(w, column, b);
    double sum = 0;
    if (how == DISTANCE_COSINE)
        return 1 - dot(anchor, other, w->C);
    for (int64_t c = 0; c < w->C; c++) {
        const double d = (double)anchor[c] - (double)other[c] + beside;
        sum += d * d;
    }
    return sqrt(sum);
}

/* The gradient of sign times that distance. */
static void pull_apart(const LossWork *w, int64_t column, int64_t b, EmbedDistance how, double sign, double distance)
{
    const float *anchor = text(w, 0, b), *other = text(w, column, b);
    if (how == DISTANCE_COSINE) {
        pull(w, 0, b, -sign, other);
        pull(w, column, b, -sign, anchor);
        return;
    }
    float *from = w->du + b * w->C, *to = w->du + (column * w->B + b) * w->C;
    for (int64_t c = 0; c < w->C && distance > 0; c++) {
        const double d = sign * ((double)anchor[c] - (double)other[c] + beside) / distance;
        from[c] += (float)d;
        to[c] -= (float)d;
    }
}

static void compare_triplets(double *each, const LossWork *w, const EmbedConfig *how)
{
    for (int64_t b = 0; b < w->B; b++) {
        const double near = far(w, 1, b, how->distance), off = far(w, 2, b, how->distance);
        each[b] = fmax(near - off + how->margin, 0);
        if (each[b] <= 0)
            continue;
        pull_apart(w, 1, b, how->distance, 1, near);
        pull_apart(w, 2, b, how->distance, -1, off);
    }
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

/* de = (du - u (u . du)) / length where they have been made of length 1. */
static void give_back(float *de, const LossWork *w, const EmbedConfig *how)
{
    for (int64_t i = 0; i < w->B * w->columns; i++) {
        const int64_t from = i % w->columns * w->B + i / w->columns;
        const float *u = w->u + from * w->C, *du = w->du + from * w->C;
        const float along = is_unit(how) ? (float)dot(u, du, w->C) : 0.0f;
        for (int64_t c = 0; c < w->C; c++)
            de[i * w->C + c] = (du[c] - u[c] * along) * w->inverse[from];
    }
}

void embed_loss(double *each, float *de, const EmbedBatch *x, const EmbedConfig *how, const EmbedProducts *products,
                float *room)
{
    const LossWork w = lay_out(x, how, room);
    memset(w.du, 0, (size_t)(w.B * w.columns * w.C) * sizeof *w.du);
    if (how->loss == EMBED_NEGATIVES)
        rank_negatives(each, de != NULL, &w, how, products);
    else if (how->loss == EMBED_TRIPLET)
        compare_triplets(each, &w, how);
    else
        compare_pairs(each, &w, x, how);
    if (de)
        give_back(de, &w, how);
}
