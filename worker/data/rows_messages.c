/* rows_messages - conversations: CAUSAL_LM through the model's chat template. What the assistant says
 * is learnt, with the mark that ends its turn (TRL's assistant_only_loss). */
#include "common/base/mem.h"
#include "worker/data/rows_kinds.h"

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
static void label_ranges(Rows *rows, const ChatRange *ranges, int64_t count, int64_t n)
{
    static const int32_t none = ROWS_NO_GOAL;
    const Encoding *e = &rows->encoding;
    int64_t range = 0;
    text_clear(&rows->labels);
    for (int64_t i = 0; i < n; i++) {
        const size_t from = (size_t)e->offsets[2 * i], to = (size_t)e->offsets[2 * i + 1];
        while (range < count && from >= ranges[range].end)
            range++;
        const bool learnt = range < count && to > ranges[range].begin;
        text_add(&rows->labels, (const char *)(learnt ? &e->ids[i] : &none), sizeof none);
    }
}

static bool any_learnt(const Rows *rows, int64_t n)
{
    const int32_t *labels = (const int32_t *)(const void *)rows->labels.data;
    for (int64_t i = 1; i < n; i++) /* the first token is never predicted */
        if (labels[i] != ROWS_NO_GOAL)
            return true;
    return false;
}

bool rows_add_messages(Rows *rows, const Record *r, Err *bad)
{
    const ChatOptions options = { 0 };
    const int64_t most = rows->options->max_length;
    ChatRange *ranges = NULL;
    int64_t count = 0;
    json_t *messages = chat_with_system(r->messages, rows->options->system);
    bool ok = chat_template_ranges(rows->chat, messages, &options, &rows->joined, &ranges, &count, bad);
    ok = ok &&
         tokenizer_encode_plain(rows->tokenizer, rows->joined.data ? rows->joined.data : "", rows->joined.size,
                                &rows->encoding, bad) &&
         rows_check_ids(rows, &rows->encoding, bad);
    if (ok) {
        const int64_t n = rows->encoding.count < most ? rows->encoding.count : most;
        count_points(rows->joined.data, ranges, count);
        label_ranges(rows, ranges, count, n);
        ok = any_learnt(rows, n);
        if (ok) {
            rows_put_language(rows, rows->encoding.ids, (const int32_t *)(const void *)rows->labels.data, n);
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
