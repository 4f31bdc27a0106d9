#include "worker/layers/head.h"

#include "worker/kernels/kernels.h"

static bool pools(const Head *head)
{
    return head->pooler.parts > 0;
}

void head_layout(Head *head, Layout *layout, int64_t most_read, bool training)
{
    const int64_t C = head->classifier.in, labels = head->classifier.out;
    const bool pooled = pools(head) || (training && head->dropout > 0);
    linear_layout(&head->pooler, layout, most_read, training);
    linear_layout(&head->classifier, layout, most_read, training);
    head->dropped =
        layout_floats_if(layout, training && pools(head) && head->pooler_dropout > 0, most_read * head->pooler.in);
    head->pre = layout_floats_if(layout, pools(head), most_read * C);
    head->pooled = layout_floats_if(layout, pooled, most_read * C);
    head->logits = layout_floats(layout, most_read * labels);
    head->dlogits = layout_floats_if(layout, training, most_read * labels);
    head->classes = layout_take(layout, (size_t)most_read * sizeof(int32_t));
}

void head_bind(Head *head, const float *values)
{
    linear_bind(&head->pooler, values);
    linear_bind(&head->classifier, values);
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
static const float *pooler_input(const Head *head, Pass *pass)
{
    return pass->drop && head->dropped ? head->dropped : pass->x;
}

static void pool_forward(Head *head, Pass *pass)
{
    const int64_t M = pass->reads.N, C = head->pooler.out;
    const Dropout dropout = input_dropout(head, pass);
    if (dropout.p > 0)
        kernels->dropout_apply(head->dropped, pass->x, &pass->reads, dropout, head->pooler.in);
    linear_forward(&head->pooler, head->pre, C, pooler_input(head, pass), &pass->reads, pass);
    kernels->bias_act_forward(head->pooled, head->pre, head->pre, linear_bias(&head->pooler), M, C, head->act);
}

/* What goes into the classifier. */
static const float *classifier_input(const Head *head, const Pass *pass)
{
    return pools(head) || (pass->drop && head->pooled) ? head->pooled : pass->x;
}

void head_forward(Head *head, Pass *pass)
{
    const int64_t C = head->classifier.in, labels = head->classifier.out;
    if (pools(head))
        pool_forward(head, pass);
    const Dropout dropout = pooled_dropout(head, pass);
    if (dropout.p > 0)
        kernels->dropout_apply(head->pooled, pools(head) ? head->pooled : pass->x, &pass->reads, dropout, C);
    linear_forward(&head->classifier, head->logits, labels, classifier_input(head, pass), &pass->reads, pass);
    linear_add_bias(&head->classifier, head->logits, labels, pass->reads.N);
}

/* The class of each read row. */
static void collect_classes(Head *head, const float *goal, const int32_t *token_goal, const Pass *pass)
{
    int64_t m = 0;
    for (int64_t b = 0; b < pass->rows.B; b++) {
        if (!token_goal) {
            head->classes[b] = (int32_t)goal[b];
            continue;
        }
        const int32_t *of = token_goal + pass->rows.start[b];
        for (int64_t t = pass->read_first[b]; t < pass->read_end[b]; t++)
            head->classes[m++] = of[t];
    }
}

double head_loss(Head *head, const float *goal, const int32_t *token_goal, int64_t *count, Pass *pass)
{
    const int64_t M = pass->reads.N, labels = head->classifier.out;
    float *dlogits = pass->grad ? head->dlogits : NULL;
    *count = M;
    if (head->problem == PROBLEM_REGRESSION)
        return kernels->mean_square(dlogits, head->logits, goal, M);
    if (head->problem == PROBLEM_MULTI_LABEL)
        return kernels->binary_cross_entropy(dlogits, head->logits, goal, M, labels);
    collect_classes(head, goal, token_goal, pass);
    return kernels->cross_entropy(dlogits, head->logits, head->classes, M, labels, count);
}

/* The gradient at the pooler's output in pass->row_a -> at the hidden rows. */
static void pool_backward(Head *head, Pass *pass)
{
    const int64_t M = pass->reads.N, C = head->pooler.out;
    kernels->act_backward(pass->row_a, pass->row_a, head->pre, M, C, head->act);
    const LinearGrad pool = {
        .dy = pass->row_a,
        .ldy = C,
        .x = pooler_input(head, pass),
        .dx = head->below ? pass->x : NULL,
    };
    linear_backward(&head->pooler, &pool, &pass->reads, pass);
    const Dropout dropout = input_dropout(head, pass);
    if (head->below && dropout.p > 0)
        kernels->dropout_apply(pass->x, pass->x, &pass->reads, dropout, head->pooler.in);
}

void head_backward(Head *head, Pass *pass)
{
    const int64_t C = head->classifier.in;
    const bool below = head->below || linear_is_trained(&head->pooler);
    float *dx = pools(head) ? pass->row_a : pass->x;
    const LinearGrad out = {
        .dy = head->dlogits,
        .ldy = head->classifier.out,
        .x = classifier_input(head, pass),
        .dx = below ? dx : NULL,
    };
    linear_backward(&head->classifier, &out, &pass->reads, pass);
    if (!below)
        return;
    const Dropout dropout = pooled_dropout(head, pass);
    if (dropout.p > 0)
        kernels->dropout_apply(dx, dx, &pass->reads, dropout, C);
    if (pools(head))
        pool_backward(head, pass);
}
