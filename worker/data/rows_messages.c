#include "worker/data/rows_messages.h"

#include "common/base/mem.h"

#include <stdlib.h>

/* Ranges of bytes as ranges of code points, in place: offsets of tokens are of these. */
static void count_points(const char *text, ChatRange *ranges, int64_t count)
{
    size_t at = 0, points = 0;
    for (int64_t i = 0; i < 2 * count; i++) { /* the ends come in order */
        size_t *end = i % 2 ? &ranges[i / 2].end : &ranges[i / 2].begin;
        for (; at < *end; at++)
            points += ((unsigned char)text[at] & 0xC0) != 0x80;
        *end = points;
    }
}

/* Labels of the first n tokens: those that a range touches, as Transformers' assistant masks. */
static void label_ranges(Examples *x, const ChatRange *ranges, int64_t count, int64_t n)
{
    const Encoding *e = &x->encoding;
    int64_t range = 0;
    x->labels.count = 0;
    for (int64_t i = 0; i < n; i++) {
        const size_t from = (size_t)e->offsets[2 * i], to = (size_t)e->offsets[2 * i + 1];
        while (range < count && from >= ranges[range].end)
            range++;
        const bool learnt = range < count && to > ranges[range].begin;
        int32s_put(&x->labels, learnt ? e->ids[i] : EXAMPLES_NO_GOAL);
    }
}

static bool any_learnt(const Examples *x, int64_t n)
{
    const int32_t *labels = x->labels.data;
    for (int64_t i = 1; i < n; i++) /* the first token is never predicted */
        if (labels[i] != EXAMPLES_NO_GOAL)
            return true;
    return false;
}

bool rows_add_messages(Examples *x, const Record *r, Err *bad)
{
    const ChatOptions options = { 0 };
    const int64_t most = x->options->max_length;
    ChatRange *ranges = NULL;
    int64_t count = 0;
    json_t *messages = chat_with_system(r->messages, x->options->system);
    bool ok = chat_template_ranges(x->chat, messages, &options, &x->joined, &ranges, &count, bad);
    ok =
        ok &&
        tokenizer_encode_plain(x->tokenizer, x->joined.data ? x->joined.data : "", x->joined.size, &x->encoding, bad) &&
        examples_check_ids(x->arch, &x->encoding, bad);
    if (ok) {
        const int64_t n = x->encoding.count < most ? x->encoding.count : most;
        count_points(x->joined.data, ranges, count);
        label_ranges(x, ranges, count, n);
        ok = any_learnt(x, n);
        if (ok) {
            examples_add_language(x, x->encoding.ids, x->labels.data, n);
        } else if (count == 0) {
            err_set(bad, ERR_INPUT, "the assistant says nothing in this conversation");
        } else {
            err_set(bad, ERR_INPUT, "nothing that the assistant says is among the first %lld tokens", (long long)most);
            err_hint(bad, "raise data.max_length");
        }
    }
    free(ranges);
    json_decref(messages);
    return ok;
}
