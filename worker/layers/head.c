#include "worker/layers/head.h"

#include "common/model/arch.h"
#include "worker/kernels/kernels.h"

void head_layout(Head *head, Layout *layout, int64_t most_sequences, bool training)
{
    const int64_t C = head->pooler.out, labels = head->classifier.out;
    linear_layout(&head->pooler, layout, most_sequences, training);
    linear_layout(&head->classifier, layout, most_sequences, training);
    head->pre = layout_floats(layout, most_sequences * C);
    head->pooled = layout_floats(layout, most_sequences * C);
    head->logits = layout_floats(layout, most_sequences * labels);
    head->dlogits = layout_floats_if(layout, training, most_sequences * labels);
    head->classes = layout_take(layout, (size_t)most_sequences * sizeof(int32_t));
}

void head_bind(Head *head, const float *values)
{
    linear_bind(&head->pooler, values);
    linear_bind(&head->classifier, values);
}

static Dropout pooled_dropout(const Head *head, Pass *pass)
{
    return pass_dropout(pass, head->layer, SITE_HEAD, head->dropout);
}

void head_forward(Head *head, Pass *pass)
{
    const int64_t B = pass->rows.B, C = head->pooler.out, labels = head->classifier.out;
    linear_forward(&head->pooler, head->pre, C, pass->x, &pass->firsts, pass);
    bias_act_forward(head->pooled, head->pre, head->pre, linear_bias(&head->pooler), B, C,
                     ACT_TANH);
    const Dropout dropout = pooled_dropout(head, pass);
    if (dropout.p > 0)
        dropout_apply(head->pooled, head->pooled, &pass->firsts, dropout, C);
    linear_forward(&head->classifier, head->logits, labels, head->pooled, &pass->firsts, pass);
    linear_add_bias(&head->classifier, head->logits, labels, B);
}

double head_loss(Head *head, const float *goal, Pass *pass)
{
    const int64_t B = pass->rows.B, labels = head->classifier.out;
    float *dlogits = pass->grad ? head->dlogits : NULL;
    if (head->problem == PROBLEM_REGRESSION)
        return mean_square(dlogits, head->logits, goal, B);
    if (head->problem == PROBLEM_MULTI_LABEL)
        return binary_cross_entropy(dlogits, head->logits, goal, B, labels);
    for (int64_t b = 0; b < B; b++)
        head->classes[b] = (int32_t)goal[b];
    int64_t count = 0;
    return cross_entropy(dlogits, head->logits, head->classes, B, labels, &count);
}

void head_backward(Head *head, Pass *pass)
{
    const int64_t B = pass->rows.B, C = head->pooler.out, labels = head->classifier.out;
    const bool below = head->below || linear_is_trained(&head->pooler);
    const LinearGrad out = {
        .dy = head->dlogits,
        .ldy = labels,
        .x = head->pooled,
        .dx = below ? pass->row_a : NULL,
    };
    linear_backward(&head->classifier, &out, &pass->firsts, pass);
    if (!below)
        return;
    const Dropout dropout = pooled_dropout(head, pass);
    if (dropout.p > 0)
        dropout_apply(pass->row_a, pass->row_a, &pass->firsts, dropout, C);
    act_backward(pass->row_a, pass->row_a, head->pre, B, C, ACT_TANH);
    const LinearGrad pool = {
        .dy = pass->row_a,
        .ldy = C,
        .x = pass->x,
        .dx = head->below ? pass->x : NULL,
    };
    linear_backward(&head->pooler, &pool, &pass->firsts, pass);
}
