#include "worker/data/rows_sources.h"

static void add_types(Examples *x, int32_t type, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        int32s_put(&x->types, type);
}

bool rows_add_source(Examples *x, const Record *r, Err *bad)
{
    const DatasetOptions *o = x->options;
    const Encoding *source = &x->encoding, *target = &x->prompt;
    const char *wanted = r->pair ? r->pair : "";
    if (!tokenizer_encode(x->tokenizer, r->text, r->text_size, NULL, 0, o->max_length, &x->encoding, bad) ||
        !tokenizer_encode(x->tokenizer, wanted, r->pair_size, NULL, 0, o->max_target_length, &x->prompt, bad) ||
        !examples_check_some(source, bad) || !examples_check_some(target, bad) ||
        !examples_check_ids(x->arch, source, bad) || !examples_check_ids(x->arch, target, bad))
        return false;
    int32s_add(&x->ids, source->ids, source->count);
    int32s_put(&x->ids, (int32_t)x->arch->start_id);
    int32s_add(&x->ids, target->ids, target->count - 1);
    add_types(x, 0, source->count);
    add_types(x, 1, target->count);
    for (int64_t i = 0; i < source->count; i++)
        int32s_put(&x->token_goal, EXAMPLES_NO_GOAL);
    int32s_add(&x->token_goal, target->ids, target->count);
    examples_end(x, source->count + target->count);
    return true;
}
