#include "worker/tokenizer/aligned.h"

#include "common/base/mem.h"

#include <stdlib.h>

void aligned_release(Aligned *aligned)
{
    text_release(&aligned->own);
    free(aligned->spans);
    *aligned = (Aligned){ 0 };
}

void aligned_clear(Aligned *out)
{
    text_clear(&out->own);
    out->data = "";
    out->size = 0;
    out->mapped = false;
    out->base = 0;
}

void aligned_lend(Aligned *aligned, const char *text, size_t n, size_t base)
{
    aligned_clear(aligned);
    aligned->data = text;
    aligned->size = n;
    aligned->base = base;
}

Aligned aligned_part(const Aligned *in, size_t from, size_t n)
{
    return (Aligned){ .data = in->data + from,
                      .size = n,
                      .spans = in->mapped ? in->spans + from : NULL,
                      .mapped = in->mapped,
                      .base = in->base + from };
}

/* The character around data[at] of a text that is not mapped. */
static Span character_span(const Aligned *in, size_t at)
{
    const unsigned char *data = (const unsigned char *)in->data;
    size_t begin = at, end = at + 1;
    while (begin > 0 && (data[begin] & 0xC0) == 0x80)
        begin--;
    while (end < in->size && (data[end] & 0xC0) == 0x80)
        end++;
    return (Span){ (uint32_t)(in->base + begin), (uint32_t)(in->base + end) };
}

static Span span_of(const Aligned *in, size_t at)
{
    if (at == in->size)
        at--;
    return in->mapped ? in->spans[at] : character_span(in, at);
}

Span aligned_span(const Aligned *aligned, size_t at, size_t n)
{
    if (n == 0 || at + n > aligned->size) {
        const uint32_t place = aligned->size > 0 ? span_of(aligned, at).end : 0;
        return (Span){ place, place };
    }
    return (Span){ span_of(aligned, at).begin, span_of(aligned, at + n - 1).end };
}

static void reserve_spans(Aligned *out, size_t n)
{
    if (out->size + n <= out->room)
        return;
    out->room = out->size + n > 2 * out->room ? out->size + n + 256 : 2 * out->room;
    out->spans = xrealloc(out->spans, out->room * sizeof(out->spans[0]));
}

/* From here on the places are no longer those of the original. */
static void map(Aligned *out)
{
    if (out->mapped)
        return;
    const size_t size = out->size;
    out->size = 0;
    reserve_spans(out, size);
    out->size = size;
    for (size_t at = 0; at < size;) {
        const Span span = character_span(out, at);
        for (const size_t end = span.end - out->base; at < end; at++)
            out->spans[at] = span;
    }
    out->mapped = true;
}

static void add_bytes(Aligned *out, const char *bytes, size_t n)
{
    text_add(&out->own, bytes, n);
    out->data = out->own.data;
    out->size = out->own.size;
}

/* Whether in[from] may follow `out` without a map. */
static bool in_step(Aligned *out, const Aligned *in, size_t from)
{
    if (in->mapped || out->mapped)
        return false;
    if (out->size == 0)
        out->base = in->base + from;
    return out->base + out->size == in->base + from;
}

void aligned_write(Aligned *out, const Aligned *in, size_t from, size_t n, const char *bytes)
{
    if (n == 0)
        return;
    if (!in_step(out, in, from)) {
        map(out);
        reserve_spans(out, n);
        Span *spans = out->spans + out->size;
        for (size_t i = 0; i < n && in->mapped; i++)
            spans[i] = in->spans[from + i];
        for (size_t i = 0; i < n && !in->mapped;) {
            const Span span = character_span(in, from + i);
            for (const size_t end = span.end - in->base - from; i < end && i < n; i++)
                spans[i] = span;
        }
    }
    add_bytes(out, bytes, n);
}

void aligned_copy(Aligned *out, const Aligned *in, size_t from, size_t n)
{
    aligned_write(out, in, from, n, in->data + from);
}

void aligned_put_span(Aligned *out, Span span, const char *character, size_t n)
{
    map(out);
    reserve_spans(out, n);
    for (size_t i = 0; i < n; i++)
        out->spans[out->size + i] = span;
    add_bytes(out, character, n);
}

void aligned_put(Aligned *out, const Aligned *in, size_t at, const char *character, size_t n)
{
    if (in->size == 0) {
        const uint32_t base = (uint32_t)in->base;
        aligned_put_span(out, (Span){ base, base }, character, n);
        return;
    }
    const Span span = span_of(in, at);
    if (!in->mapped && span.end - span.begin == n && in_step(out, in, span.begin - in->base))
        add_bytes(out, character, n);
    else
        aligned_put_span(out, span, character, n);
}
