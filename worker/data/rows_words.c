/* rows_words - words with tags: TOKEN_CLS. */
#include "common/base/mem.h"
#include "worker/data/labels.h"
#include "worker/data/rows_kinds.h"

#include <stdlib.h>

/* Every tag must be a label, also one that truncation takes away. */
static bool parse_tags(Rows *rows, const Record *r, int32_t *tags, Err *bad)
{
    for (int64_t i = 0; i < r->words.count; i++) {
        tags[i] = r->tags ? (int32_t)label_class(rows->arch, r->tags[i], bad) : 0;
        if (tags[i] < 0)
            return r->line_a_word ? err_at(bad, "%s:%lld", r->file, (long long)(r->line + i)) : false;
    }
    return true;
}

/* run_ner's rule: the first token of a word carries its tag, everything else -100. */
static bool label_tokens(Rows *rows, const int32_t *tags, Err *bad)
{
    const Encoding *e = &rows->encoding;
    int32_t last = -1;
    bool any = false;
    text_clear(&rows->labels);
    for (int64_t i = 0; i < e->count; i++) {
        const bool first = e->words[i] >= 0 && e->words[i] != last;
        const int32_t label = first ? tags[e->words[i]] : ROWS_NO_GOAL;
        text_add(&rows->labels, (const char *)&label, sizeof label);
        last = e->words[i];
        any = any || first;
    }
    return any || err_set(bad, ERR_INPUT, "no word of the sentence has a token");
}

bool rows_add_words(Rows *rows, const Record *r, Err *bad)
{
    int32_t *tags = xmalloc((size_t)r->words.count * sizeof *tags);
    const bool ok =
        parse_tags(rows, r, tags, bad) &&
        tokenizer_encode_words(rows->tokenizer, &r->words, rows->options->max_length, &rows->encoding, bad) &&
        rows_check_ids(rows, &rows->encoding, bad) && label_tokens(rows, tags, bad);
    if (ok) {
        rows_put_ids(rows, rows->encoding.ids, rows->encoding.types, rows->encoding.count);
        rows_put_token_goals(rows, (const int32_t *)(const void *)rows->labels.data, rows->encoding.count);
        rows_put_example(rows, rows->encoding.count);
    }
    free(tags);
    return ok;
}
