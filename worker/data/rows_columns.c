#include "worker/data/rows_columns.h"

#include "worker/data/labels.h"

static bool encode(Examples *x, const Record *r, int64_t column, Err *bad)
{
    const char *name = x->options->columns->items[column];
    if (tokenizer_encode(x->tokenizer, r->words.text[column], r->words.size[column], NULL, 0, x->options->max_length,
                         &x->encoding, bad) &&
        examples_check_some(&x->encoding, bad) && examples_check_ids(x->arch, &x->encoding, bad))
        return true;
    return bad->where[0] ? false : err_at(bad, "%s:%lld: %s", r->file, (long long)r->line, name);
}

/* A row is whole or not there: what it has added is taken back. */
static void take_back(Examples *x, const Examples *before)
{
    x->start.count = before->start.count;
    x->ids.count = before->ids.count;
    x->types.count = before->types.count;
    x->goal.count = before->goal.count;
    x->count = before->count;
    x->tokens = before->tokens;
    x->longest = before->longest;
}

bool rows_add_columns(Examples *x, const Record *r, Err *bad)
{
    const Examples before = *x;
    float score = 0.0f; /* where nothing is scored */
    if (x->options->labelled && x->options->label && !label_goal(&score, &x->classes, x->arch, r, bad))
        return false;
    for (int64_t c = 0; c < r->words.count; c++) {
        if (!encode(x, r, c, bad)) {
            take_back(x, &before);
            return false;
        }
        examples_ids(x, x->encoding.ids, x->encoding.types, x->encoding.count);
        examples_goal(x, &score);
        examples_end(x, x->encoding.count);
    }
    return true;
}
