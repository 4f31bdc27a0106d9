#include "worker/data/rows_words.h"

#include "common/base/mem.h"
#include "worker/data/labels.h"

#include <stdlib.h>

/* Every tag must be a label, also one that truncation takes away. */
static bool parse_tags(Examples *x, const Record *r, int32_t *tags, Err *bad)
{
    for (int64_t i = 0; i < r->words.count; i++) {
        tags[i] = r->tags ? (int32_t)label_class(&x->classes, x->arch, r->tags[i], bad) : 0;
        if (tags[i] < 0)
            return r->line_a_word ? err_at(bad, "%s:%lld", r->file, (long long)(r->line + i)) : false;
    }
    return true;
}

/* run_ner's rule: the first token of a word carries its tag, everything else -100. */
static bool label_tokens(Examples *x, const int32_t *tags, Err *bad)
{
    const Encoding *e = &x->encoding;
    int32_t last = -1;
    bool any = false;
    x->labels.count = 0;
    for (int64_t i = 0; i < e->count; i++) {
        const bool first = e->words[i] >= 0 && e->words[i] != last;
        const int32_t label = first ? tags[e->words[i]] : EXAMPLES_NO_GOAL;
        int32s_put(&x->labels, label);
        last = e->words[i];
        any = any || first;
    }
    return any || err_set(bad, ERR_INPUT, "no word of the sentence has a token");
}

bool rows_add_words(Examples *x, const Record *r, Err *bad)
{
    int32_t *tags = xmalloc((size_t)r->words.count * sizeof *tags);
    const bool ok = parse_tags(x, r, tags, bad) &&
                    tokenizer_encode_words(x->tokenizer, &r->words, x->options->max_length, &x->encoding, bad) &&
                    examples_check_ids(x->arch, &x->encoding, bad) && label_tokens(x, tags, bad);
    if (ok) {
        examples_ids(x, x->encoding.ids, x->encoding.types, x->encoding.count);
        examples_token_goals(x, x->labels.data, x->encoding.count);
        examples_end(x, x->encoding.count);
    }
    free(tags);
    return ok;
}
