/* rows_language - texts, blocks, prompts with completions: CAUSAL_LM. */
#include "worker/data/rows_kinds.h"

#include <string.h>

void rows_put_language(Rows *rows, const int32_t *ids, const int32_t *labels, int64_t n)
{
    static const int32_t none = ROWS_NO_GOAL;
    text_add(&rows->ids, (const char *)ids, (size_t)n * sizeof *ids);
    rows_put_token_goals(rows, labels + 1, n - 1);
    rows_put_token_goals(rows, &none, 1);
    rows_put_example(rows, n);
}

/* The end token as the text that the tokenizer knows it by. */
static const char *end_token(const Rows *rows, int32_t *id, Err *bad)
{
    *id = tokenizer_special(rows->tokenizer, "eos_token");
    const char *text = *id >= 0 ? tokenizer_token(rows->tokenizer, *id) : NULL;
    if (!text) {
        err_set(bad, ERR_INPUT, "the tokenizer names no eos_token to end a text with");
        err_hint(bad, "name one in the model's tokenizer_config.json");
    }
    return text;
}

static int64_t cut(const Rows *rows, int64_t n)
{
    return n > rows->options->max_length ? rows->options->max_length : n;
}

/* labels: the ids, and -100 for the first `given` of them. */
static const int32_t *learn_behind(Rows *rows, const int32_t *ids, int64_t given, int64_t n)
{
    static const int32_t none = ROWS_NO_GOAL;
    text_clear(&rows->labels);
    for (int64_t i = 0; i < n; i++)
        text_add(&rows->labels, (const char *)(i < given ? &none : &ids[i]), sizeof none);
    return (const int32_t *)(const void *)rows->labels.data;
}

/* A text alone: all of it and the end token are learnt (TRL's rule for a `text` column). */
bool rows_add_text(Rows *rows, const Record *r, Err *bad)
{
    int32_t eos;
    const char *end = end_token(rows, &eos, bad);
    if (!end)
        return false;
    text_clear(&rows->joined);
    text_add(&rows->joined, r->text, r->text_size);
    if (!text_ends(rows->joined.data, end))
        text_adds(&rows->joined, end);
    const Encoding *e = &rows->encoding;
    if (!tokenizer_encode(rows->tokenizer, rows->joined.data, rows->joined.size, NULL, 0, 0, &rows->encoding, bad) ||
        !rows_check_ids(rows, e, bad))
        return false;
    const int64_t n = cut(rows, e->count);
    if (n < 2)
        return err_set(bad, ERR_INPUT, "the text has %lld token, there is nothing to predict", (long long)n);
    rows_put_language(rows, e->ids, e->ids, n);
    return true;
}

/* run_clm's rule: every text alone, all joined, cut into blocks; what fills no block at the end is
 * left out. */
bool rows_add_to_blocks(Rows *rows, const Record *r, Err *bad)
{
    const Encoding *e = &rows->encoding;
    if (!tokenizer_encode(rows->tokenizer, r->text, r->text_size, NULL, 0, 0, &rows->encoding, bad) ||
        !rows_check_ids(rows, e, bad))
        return false;
    const int64_t size = rows->options->block_size;
    const size_t bytes = (size_t)size * sizeof(int32_t);
    text_add(&rows->corpus, (const char *)e->ids, (size_t)e->count * sizeof(int32_t));
    size_t at = 0;
    for (; rows->corpus.size - at >= bytes; at += bytes) {
        const int32_t *ids = (const int32_t *)(const void *)(rows->corpus.data + at);
        rows_put_language(rows, ids, ids, size);
    }
    if (at > 0) {
        memmove(rows->corpus.data, rows->corpus.data + at, rows->corpus.size - at);
        rows->corpus.size -= at;
    }
    return true;
}

/* Something must be left to learn. */
static bool check_prompt(const Rows *rows, int32_t eos, Err *bad)
{
    const Encoding *prompt = &rows->prompt, *whole = &rows->encoding;
    if (whole->count == 0 || whole->ids[whole->count - 1] != eos)
        return err_set(bad, ERR_INPUT, "the tokenizer does not end the text with its eos_token");
    const int64_t n = cut(rows, whole->count);
    if (prompt->count >= n && n == whole->count) { /* shared tokens make the whole shorter than its parts */
        err_set(bad, ERR_INPUT, "prompt and completion share a token, and nothing is left to learn");
        return err_hint(bad, "begin the completion with a space or a new line, or end the prompt with one");
    }
    if (prompt->count >= n) {
        err_set(bad, ERR_INPUT, "the prompt has %lld tokens, data.max_length leaves none for the completion",
                (long long)prompt->count);
        return err_hint(bad, "raise data.max_length (it is %lld)", (long long)rows->options->max_length);
    }
    return n >= 2 || err_set(bad, ERR_INPUT, "a single token, there is nothing to predict");
}

/* Whether the end of the prompt and the beginning of the completion have become one token. */
static bool share_a_token(const Rows *rows)
{
    const Encoding *prompt = &rows->prompt, *whole = &rows->encoding;
    return memcmp(prompt->ids, whole->ids, (size_t)prompt->count * sizeof *prompt->ids) != 0;
}

/* TRL's rule: prompt, completion and end token are one text; as many ids as the prompt alone has are not
 * learnt, and where they are not the same (a token is shared) that is counted. */
bool rows_add_completion(Rows *rows, const Record *r, Err *bad)
{
    int32_t eos;
    const char *end = end_token(rows, &eos, bad);
    if (!end)
        return false;
    if (r->pair_size == 0 && rows->options->labelled)
        return err_set(bad, ERR_INPUT, "the completion is empty");
    text_clear(&rows->joined);
    text_add(&rows->joined, r->text, r->text_size);
    text_add(&rows->joined, r->pair, r->pair_size);
    text_adds(&rows->joined, end);
    if (!tokenizer_encode(rows->tokenizer, r->text, r->text_size, NULL, 0, 0, &rows->prompt, bad) ||
        !tokenizer_encode(rows->tokenizer, rows->joined.data, rows->joined.size, NULL, 0, 0, &rows->encoding, bad) ||
        !rows_check_ids(rows, &rows->encoding, bad) || !check_prompt(rows, eos, bad))
        return false;
    const int32_t *ids = rows->encoding.ids;
    const int64_t n = cut(rows, rows->encoding.count);
    rows->shared += share_a_token(rows);
    rows_put_language(rows, ids, learn_behind(rows, ids, rows->prompt.count, n), n);
    return true;
}
