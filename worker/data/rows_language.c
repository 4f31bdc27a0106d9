#include "worker/data/rows_language.h"

#include <string.h>

/* The end token as the text that the tokenizer knows it by. */
static const char *end_token(const Examples *x, int32_t *id, Err *bad)
{
    *id = tokenizer_special(x->tokenizer, "eos_token");
    const char *text = *id >= 0 ? tokenizer_token(x->tokenizer, *id) : NULL;
    if (!text) {
        err_set(bad, ERR_INPUT, "the tokenizer names no eos_token to end a text with");
        err_hint(bad, "name one in the model's tokenizer_config.json");
    }
    return text;
}

static int64_t cut(const Examples *x, int64_t n)
{
    return n > x->options->max_length ? x->options->max_length : n;
}

/* labels: the ids, and -100 for the first `given` of them. */
static const int32_t *learn_behind(Examples *x, const int32_t *ids, int64_t given, int64_t n)
{
    x->labels.count = 0;
    for (int64_t i = 0; i < n; i++)
        int32s_put(&x->labels, i < given ? EXAMPLES_NO_GOAL : ids[i]);
    return x->labels.data;
}

/* A text alone: all of it and the end token are learnt (TRL's rule for a `text` column). */
bool rows_add_text(Examples *x, const Record *r, Err *bad)
{
    int32_t eos;
    const char *end = end_token(x, &eos, bad);
    if (!end)
        return false;
    text_clear(&x->joined);
    text_add(&x->joined, r->text, r->text_size);
    if (!text_ends(x->joined.data, end))
        text_adds(&x->joined, end);
    const Encoding *e = &x->encoding;
    if (!tokenizer_encode(x->tokenizer, x->joined.data, x->joined.size, NULL, 0, 0, &x->encoding, bad) ||
        !examples_check_ids(x->arch, e, bad))
        return false;
    const int64_t n = cut(x, e->count);
    if (n < 2)
        return err_set(bad, ERR_INPUT, "the text has %lld token, there is nothing to predict", (long long)n);
    examples_add_language(x, e->ids, e->ids, n);
    return true;
}

/* run_clm's rule: every text alone, all joined, cut into blocks; what fills no block at the end is
 * left out. */
bool rows_add_to_blocks(Examples *x, const Record *r, Err *bad)
{
    const Encoding *e = &x->encoding;
    if (!tokenizer_encode(x->tokenizer, r->text, r->text_size, NULL, 0, 0, &x->encoding, bad) ||
        !examples_check_ids(x->arch, e, bad))
        return false;
    const int64_t size = x->options->block_size;
    int64_t at = 0;
    int32s_add(&x->corpus, e->ids, e->count);
    for (; x->corpus.count - at >= size; at += size)
        examples_add_language(x, x->corpus.data + at, x->corpus.data + at, size);
    int32s_drop(&x->corpus, at);
    return true;
}

/* Something must be left to learn. */
static bool check_prompt(const Examples *x, int32_t eos, Err *bad)
{
    const Encoding *prompt = &x->prompt, *whole = &x->encoding;
    if (whole->count == 0 || whole->ids[whole->count - 1] != eos)
        return err_set(bad, ERR_INPUT, "the tokenizer does not end the text with its eos_token");
    const int64_t n = cut(x, whole->count);
    if (prompt->count >= n && n == whole->count) { /* shared tokens make the whole shorter than its parts */
        err_set(bad, ERR_INPUT, "prompt and completion share a token, and nothing is left to learn");
        return err_hint(bad, "begin the completion with a space or a new line, or end the prompt with one");
    }
    if (prompt->count >= n) {
        err_set(bad, ERR_INPUT, "the prompt has %lld tokens, data.max_length leaves none for the completion",
                (long long)prompt->count);
        return err_hint(bad, "raise data.max_length (it is %lld)", (long long)x->options->max_length);
    }
    return n >= 2 || err_set(bad, ERR_INPUT, "a single token, there is nothing to predict");
}

/* Whether the end of the prompt and the beginning of the completion have become one token. */
static bool share_a_token(const Examples *x)
{
    const Encoding *prompt = &x->prompt, *whole = &x->encoding;
    return memcmp(prompt->ids, whole->ids, (size_t)prompt->count * sizeof *prompt->ids) != 0;
}

/* TRL's rule: prompt, completion and end token are one text; as many ids as the prompt alone has are not
 * learnt, and where they are not the same (a token is shared) that is counted. */
bool rows_add_completion(Examples *x, const Record *r, Err *bad)
{
    int32_t eos;
    const char *end = end_token(x, &eos, bad);
    if (!end)
        return false;
    if (r->pair_size == 0 && x->options->labelled)
        return err_set(bad, ERR_INPUT, "the completion is empty");
    text_clear(&x->joined);
    text_add(&x->joined, r->text, r->text_size);
    text_add(&x->joined, r->pair, r->pair_size);
    text_adds(&x->joined, end);
    if (!tokenizer_encode(x->tokenizer, r->text, r->text_size, NULL, 0, 0, &x->prompt, bad) ||
        !tokenizer_encode(x->tokenizer, x->joined.data, x->joined.size, NULL, 0, 0, &x->encoding, bad) ||
        !examples_check_ids(x->arch, &x->encoding, bad) || !check_prompt(x, eos, bad))
        return false;
    const int32_t *ids = x->encoding.ids;
    const int64_t n = cut(x, x->encoding.count);
    x->shared += share_a_token(x);
    examples_add_language(x, ids, learn_behind(x, ids, x->prompt.count, n), n);
    return true;
}
