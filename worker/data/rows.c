/* DESIGN: goals of a token are kept as the model wants them: TOKEN_CLS the class of the token, CAUSAL_LM
 * the next token (Transformers shifts in its loss, we shift here), -100 where nothing is learnt. */
#include "worker/data/rows.h"

#include "common/base/mem.h"
#include "worker/data/labels.h"
#include "worker/data/rows_kinds.h"

#include <stdlib.h>
#include <string.h>

void rows_release(Rows *rows)
{
    encoding_release(&rows->encoding);
    encoding_release(&rows->prompt);
    Text *texts[] = { &rows->start,  &rows->ids,      &rows->types,  &rows->goal,   &rows->token_goal,
                      &rows->images, &rows->image_at, &rows->joined, &rows->labels, &rows->corpus };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        text_release(texts[i]);
}

/* ---- adding examples ------------------------------------------------------------- */

void rows_put_example(Rows *rows, int64_t length)
{
    text_add(&rows->start, (const char *)&rows->tokens, sizeof rows->tokens);
    rows->tokens += length;
    rows->longest = length > rows->longest ? length : rows->longest;
    rows->count++;
}

void rows_put_goal(Rows *rows, const float *goal)
{
    text_add(&rows->goal, (const char *)goal, (size_t)label_width(rows->arch) * sizeof *goal);
}

void rows_put_ids(Rows *rows, const int32_t *ids, const int32_t *types, int64_t n)
{
    text_add(&rows->ids, (const char *)ids, (size_t)n * sizeof *ids);
    if (rows->arch->types > 1) /* of a table with one row (RoBERTa's) all are 0 */
        text_add(&rows->types, (const char *)types, (size_t)n * sizeof *types);
}

void rows_put_token_goals(Rows *rows, const int32_t *goals, int64_t n)
{
    text_add(&rows->token_goal, (const char *)goals, (size_t)n * sizeof *goals);
}

bool rows_check_ids(const Rows *rows, const Encoding *e, Err *bad)
{
    const int64_t types = rows->arch->types;
    for (int64_t i = 0; types > 1 && i < e->count; i++)
        if (e->types[i] < 0 || e->types[i] >= types)
            return err_set(bad, ERR_INPUT, "the tokenizer gives token type %d, the model has %lld", e->types[i],
                           (long long)types);
    for (int64_t i = 0; i < e->count; i++)
        if (e->ids[i] < 0 || e->ids[i] >= rows->arch->V)
            return err_set(bad, ERR_INPUT, "the tokenizer gives id %d, the model has %lld words", e->ids[i],
                           (long long)rows->arch->V);
    return true;
}

bool rows_check_some(const Encoding *e, Err *bad)
{
    if (e->count > 0)
        return true;
    err_set(bad, ERR_INPUT, "the text has no token");
    return err_hint(bad, "this model's tokenizer puts none around it: leave the empty row out, or write something");
}

/* ---- a text with a label ------------------------------------------------------------ */

static bool add_labelled(Rows *rows, const Record *r, Err *bad)
{
    const int64_t width = label_width(rows->arch);
    float *goal = xcalloc((size_t)width, sizeof *goal); /* 0 where nothing is labelled */
    const bool ok = (!rows->options->labelled || label_goal(goal, rows->arch, r, bad)) &&
                    tokenizer_encode(rows->tokenizer, r->text, r->text_size, r->pair, r->pair_size,
                                     rows->options->max_length, &rows->encoding, bad) &&
                    rows_check_some(&rows->encoding, bad) && rows_check_ids(rows, &rows->encoding, bad);
    if (ok) {
        rows_put_ids(rows, rows->encoding.ids, rows->encoding.types, rows->encoding.count);
        rows_put_goal(rows, goal);
        rows_put_example(rows, rows->encoding.count);
    }
    free(goal);
    return ok;
}

/* ---- images ---------------------------------------------------------------------------------- */

/* Only named: whether the file is an image, pictures.h finds out. */
static bool add_image(Rows *rows, const Record *r, Err *bad)
{
    const int64_t at = (int64_t)rows->images.size;
    float goal = 0.0f; /* where nothing is labelled */
    if (rows->options->labelled && !label_goal(&goal, rows->arch, r, bad))
        return false;
    text_add(&rows->image_at, (const char *)&at, sizeof at);
    text_addf(&rows->images, "%d:%s", rows->file, r->image);
    text_add(&rows->images, "", 1);
    rows_put_goal(rows, &goal);
    rows_put_example(rows, rows->arch->positions);
    return true;
}

/* ---- all ------------------------------------------------------------------------------------ */

bool rows_add(Rows *rows, const Record *record, Err *bad)
{
    switch (rows->options->kind) {
    case ROWS_LABELLED:
        return add_labelled(rows, record, bad);
    case ROWS_WORDS:
        return rows_add_words(rows, record, bad);
    case ROWS_TEXTS:
        return rows_add_text(rows, record, bad);
    case ROWS_BLOCKS:
        return rows_add_to_blocks(rows, record, bad);
    case ROWS_COMPLETIONS:
        return rows_add_completion(rows, record, bad);
    case ROWS_IMAGES:
        return add_image(rows, record, bad);
    case ROWS_MESSAGES:
        return rows_add_messages(rows, record, bad);
    }
    return false;
}
