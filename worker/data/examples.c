#include "worker/data/examples.h"

#include "worker/data/labels.h"

void examples_release(Examples *x)
{
    encoding_release(&x->encoding);
    encoding_release(&x->prompt);
    label_index_release(&x->classes);
    questions_release(&x->questions);
    Int32s *const lists[] = { &x->ids, &x->types, &x->token_goal, &x->labels, &x->corpus };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        int32s_release(lists[i]);
    int64s_release(&x->start);
    int64s_release(&x->image_at);
    floats_release(&x->goal);
    text_release(&x->images);
    text_release(&x->joined);
}

void examples_clear(Examples *x)
{
    Int32s *const lists[] = { &x->ids, &x->types, &x->token_goal, &x->corpus };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        lists[i]->count = 0;
    x->start.count = x->image_at.count = x->goal.count = 0;
    x->count = x->tokens = x->longest = x->shared = 0;
    text_clear(&x->images);
    questions_clear(&x->questions);
}

bool examples_check_some(const Encoding *e, Err *bad)
{
    if (e->count > 0)
        return true;
    err_set(bad, ERR_INPUT, "the text has no token");
    return err_hint(bad, "this model's tokenizer puts none around it: leave the empty row out, or write something");
}

bool examples_check_ids(const ModelArch *arch, const Encoding *e, Err *bad)
{
    const int64_t types = arch->types;
    for (int64_t i = 0; types > 1 && i < e->count; i++)
        if (e->types[i] < 0 || e->types[i] >= types)
            return err_set(bad, ERR_INPUT, "the tokenizer gives token type %d, the model has %lld", e->types[i],
                           (long long)types);
    for (int64_t i = 0; i < e->count; i++)
        if (e->ids[i] < 0 || e->ids[i] >= arch->V)
            return err_set(bad, ERR_INPUT, "the tokenizer gives id %d, the model has %lld words", e->ids[i],
                           (long long)arch->V);
    return true;
}

void examples_ids(Examples *x, const int32_t *ids, const int32_t *types, int64_t n)
{
    int32s_add(&x->ids, ids, n);
    if (x->arch->types > 1) /* of a table with one row (RoBERTa's) all are 0 */
        int32s_add(&x->types, types, n);
}

void examples_goal(Examples *x, const float *goal)
{
    floats_add(&x->goal, goal, label_width(x->arch));
}

void examples_token_goals(Examples *x, const int32_t *goals, int64_t n)
{
    int32s_add(&x->token_goal, goals, n);
}

void examples_end(Examples *x, int64_t length)
{
    int64s_put(&x->start, x->tokens);
    x->tokens += length;
    x->longest = length > x->longest ? length : x->longest;
    x->count++;
}

void examples_add_language(Examples *x, const int32_t *ids, const int32_t *labels, int64_t n)
{
    int32s_add(&x->ids, ids, n);
    int32s_add(&x->token_goal, labels + 1, n - 1);
    int32s_put(&x->token_goal, EXAMPLES_NO_GOAL);
    examples_end(x, n);
}
