#include "worker/layers/head.h"

#include "worker/kernels/kernels.h"
#include "worker/layers/class_loss.h"
#include "worker/layers/span_loss.h"

#include <string.h>

static bool pools(const Head *head)
{
    return head->pooler.parts > 0;
}

void head_layout(Head *head, Layout *layout, const PassSizes *sizes)
{
    linear_layout(&head->pooler, layout);
    linear_layout(&head->classifier, layout);
    norm_layout(&head->norm, layout);
    if (!head->mean)
        return;
    head->each = layout_take(layout, (size_t)(sizes->most_sequences + 1) * sizeof *head->each);
    for (int64_t b = 0; head->each && b <= sizes->most_sequences; b++)
        head->each[b] = b;
}

/* The rows that the head works on. */
static Rows rows_of(const Head *head, const Pass *pass)
{
    const int64_t B = pass->reads.B;
    return head->mean ? (Rows){ .B = B, .N = B, .longest = 1, .start = head->each } : pass->reads;
}

int64_t head_count(const Head *head, const Pass *pass)
{
    return rows_of(head, pass).N;
}

void head_keep_layout(HeadKeep *keep, const Head *head, Layout *layout, int64_t most_read)
{
    const int64_t C = head->classifier.in;
    linear_keep_layout(&keep->pooler, &head->pooler, layout, most_read);
    linear_keep_layout(&keep->classifier, &head->classifier, layout, most_read);
    if (norm_is_there(&head->norm))
        norm_keep_layout(&keep->norm, &head->norm, layout, most_read);
    keep->dropped = layout_floats_if(layout, pools(head) && head->pooler_dropout > 0, most_read * head->pooler.in);
    keep->pre = layout_floats_if(layout, pools(head), most_read * C);
    keep->pooled = layout_floats_if(layout, pools(head) || head->dropout > 0, most_read * C);
    keep->dlogits = layout_floats(layout, most_read * head->classifier.out);
}

void head_bind(Head *head, const float *values)
{
    linear_bind(&head->pooler, values);
    linear_bind(&head->classifier, values);
    norm_bind(&head->norm, values);
}

static Dropout input_dropout(const Head *head, Pass *pass)
{
    return pass_dropout(pass, head->layer, SITE_POOLER, head->pooler_dropout);
}

static Dropout pooled_dropout(const Head *head, Pass *pass)
{
    return pass_dropout(pass, head->layer, SITE_HEAD, head->dropout);
}

/* What goes into the pooler. */
static const float *pooler_input(const HeadKeep *keep, const Pass *pass)
{
    return keep && keep->dropped && pass->drop ? keep->dropped : pass->x;
}

/* The pooler's output, before dropout. */
static float *pool_forward(const Head *head, HeadKeep *keep, Pass *pass)
{
    const Rows rows = rows_of(head, pass);
    const int64_t C = head->pooler.out;
    float *pre = keep ? keep->pre : pass->row_a, *pooled = keep ? keep->pooled : pass->row_a;
    const Dropout dropout = input_dropout(head, pass);
    if (dropout.p > 0)
        kernels->dropout_apply(keep->dropped, pass->x, &rows, dropout, head->pooler.in);
    linear_forward(&head->pooler, keep ? &keep->pooler : NULL, pre, C, pooler_input(keep, pass), &rows, pass);
    kernels->bias_act_forward(pooled, keep ? pre : NULL, pre, linear_bias(&head->pooler), rows.N, C, head->act);
    if (norm_is_there(&head->norm))
        norm_apply(&head->norm, keep ? &keep->norm : NULL, pooled, &(NormInput){ .x = pooled }, &rows, pass);
    return pooled;
}

/* What went into the classifier. */
static const float *classifier_input(const Head *head, const HeadKeep *keep, const Pass *pass)
{
    return pools(head) || (pass->drop && keep->pooled) ? keep->pooled : pass->x;
}

/* pass->x[M,C] -> [B,C], in the order of the rows. */
static void find_means(const Head *head, Pass *pass)
{
    const int64_t C = head->pooler.in;
    for (int64_t b = 0; head->mean && b < pass->reads.B; b++) {
        const int64_t first = pass->reads.start[b], T = pass->reads.start[b + 1] - first;
        float *mean = pass->y + b * C;
        memset(mean, 0, (size_t)C * sizeof *mean);
        for (int64_t t = 0; t < T; t++)
            for (int64_t c = 0; c < C; c++)
                mean[c] += pass->x[(first + t) * C + c];
        for (int64_t c = 0; c < C; c++)
            mean[c] /= (float)T;
    }
    if (head->mean)
        pass_exchange(&pass->x, &pass->y);
}

/* The gradient at the means in pass->x[B,C] -> at the rows. */
static void spread_means(const Head *head, Pass *pass)
{
    const int64_t C = head->pooler.in;
    for (int64_t b = 0; b < pass->reads.B; b++) {
        const int64_t first = pass->reads.start[b], T = pass->reads.start[b + 1] - first;
        for (int64_t n = first * C; n < (first + T) * C; n++)
            pass->y[n] = pass->x[b * C + (n - first * C) % C] / (float)T;
    }
    pass_exchange(&pass->x, &pass->y);
}

void head_forward(const Head *head, HeadKeep *keep, Pass *pass)
{
    const int64_t C = head->classifier.in, labels = head->classifier.out;
    const Rows rows = rows_of(head, pass);
    find_means(head, pass);
    const float *input = pools(head) ? pool_forward(head, keep, pass) : pass->x;
    const Dropout dropout = pooled_dropout(head, pass);
    REQUIRE(keep || !pass->drop);
    if (dropout.p > 0) {
        kernels->dropout_apply(keep->pooled, input, &rows, dropout, C);
        input = keep->pooled;
    }
    linear_forward(&head->classifier, keep ? &keep->classifier : NULL, pass->logits, labels, input, &rows, pass);
    linear_add_bias(&head->classifier, pass->logits, labels, rows.N);
}

/* The class of each read row. */
static void collect_classes(const float *goal, const int32_t *token_goal, Pass *pass)
{
    int64_t m = 0;
    for (int64_t b = 0; b < pass->rows.B; b++) {
        if (!token_goal) {
            pass->classes[b] = (int32_t)goal[b];
            continue;
        }
        const int32_t *of = token_goal + pass->rows.start[b];
        for (int64_t t = pass->read_first[b]; t < pass->read_end[b]; t++)
            pass->classes[m++] = of[t];
    }
}

BatchLoss head_loss(const Head *head, HeadKeep *keep, const float *goal, const int32_t *token_goal, Pass *pass)
{
    const int64_t M = head_count(head, pass), labels = head->classifier.out;
    float *dlogits = keep ? keep->dlogits : NULL;
    BatchLoss loss = { .count = M, .weight = (double)M };
    if (head->spans)
        return span_loss(dlogits, pass->logits, goal, &pass->reads);
    if (head->problem == PROBLEM_REGRESSION) {
        loss.sum = kernels->mean_square(dlogits, pass->logits, goal, M);
    } else if (head->problem == PROBLEM_MULTI_LABEL) {
        loss.sum = kernels->binary_cross_entropy(dlogits, pass->logits, goal, M, labels);
    } else {
        collect_classes(goal, token_goal, pass);
        loss = class_loss(dlogits, pass->logits, pass->classes, M, labels, &head->loss);
    }
    return loss;
}

/* The gradient at the pooler's output in pass->row_a -> at the hidden rows. */
static void pool_backward(const Head *head, const HeadKeep *keep, Pass *pass)
{
    const Rows rows = rows_of(head, pass);
    const int64_t C = head->pooler.out;
    if (norm_is_there(&head->norm))
        norm_pull(&head->norm, &keep->norm, pass->row_a, pass->row_a, NULL, &rows, pass);
    kernels->act_backward(pass->row_a, pass->row_a, keep->pre, rows.N, C, head->act);
    const LinearGrad pool = {
        .dy = pass->row_a,
        .ldy = C,
        .x = pooler_input(keep, pass),
        .dx = head->below ? pass->x : NULL,
    };
    linear_backward(&head->pooler, &keep->pooler, &pool, &rows, pass);
    const Dropout dropout = input_dropout(head, pass);
    if (head->below && dropout.p > 0)
        kernels->dropout_apply(pass->x, pass->x, &rows, dropout, head->pooler.in);
}

void head_backward(const Head *head, const HeadKeep *keep, Pass *pass)
{
    const int64_t C = head->classifier.in;
    const Rows rows = rows_of(head, pass);
    const bool below =
        head->below || linear_is_trained(&head->pooler) || (pools(head) && module_is_trained(&head->norm.module));
    float *dx = pools(head) ? pass->row_a : pass->x;
    const LinearGrad out = {
        .dy = keep->dlogits,
        .ldy = head->classifier.out,
        .x = classifier_input(head, keep, pass),
        .dx = below ? dx : NULL,
    };
    linear_backward(&head->classifier, &keep->classifier, &out, &rows, pass);
    if (!below)
        return;
    const Dropout dropout = pooled_dropout(head, pass);
    if (dropout.p > 0)
        kernels->dropout_apply(dx, dx, &rows, dropout, C);
    if (pools(head))
        pool_backward(head, keep, pass);
    if (head->mean && head->below)
        spread_means(head, pass);
}
