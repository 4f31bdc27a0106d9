#include "worker/tokenizer/normalizer.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static bool is_ascii(const char *text, size_t n)
{
    unsigned char any = 0;
    for (size_t i = 0; i < n; i++)
        any |= (unsigned char)text[i];
    return any < 0x80;
}

/* ---- normal forms ---------------------------------------------------------- */

typedef struct NormalForm {
    bool compat, compose;
} NormalForm;

static void to_form(NormalForm form, const char *text, size_t n, Text *out, CodePoints *points)
{
    if (is_ascii(text, n)) { /* is its own normal form */
        text_add(out, text, n);
        return;
    }
    points->count = 0;
    for (size_t i = 0; i < n;)
        unicode_decompose(points, unicode_next(text, &i), form.compat);
    unicode_reorder(points, 0);
    if (form.compose)
        unicode_compose(points);
    for (size_t i = 0; i < points->count; i++)
        unicode_add(out, points->data[i]);
}

static void run_nfc(const NormalizerOp *op, const char *text, size_t n, Text *out,
                    CodePoints *points)
{
    (void)op;
    to_form((NormalForm){ .compose = true }, text, n, out, points);
}

static void run_nfd(const NormalizerOp *op, const char *text, size_t n, Text *out,
                    CodePoints *points)
{
    (void)op;
    to_form((NormalForm){ .compose = false }, text, n, out, points);
}

static void run_nfkc(const NormalizerOp *op, const char *text, size_t n, Text *out,
                     CodePoints *points)
{
    (void)op;
    to_form((NormalForm){ .compat = true, .compose = true }, text, n, out, points);
}

static void run_nfkd(const NormalizerOp *op, const char *text, size_t n, Text *out,
                     CodePoints *points)
{
    (void)op;
    to_form((NormalForm){ .compat = true }, text, n, out, points);
}

/* ---- single characters ----------------------------------------------------- */

static void run_lowercase(const NormalizerOp *op, const char *text, size_t n, Text *out,
                          CodePoints *points)
{
    (void)op, (void)points;
    for (size_t i = 0; i < n;) {
        int32_t lower[2];
        const size_t count = unicode_lower(lower, unicode_next(text, &i));
        for (size_t k = 0; k < count; k++)
            unicode_add(out, lower[k]);
    }
}

/* Unlike BertNormalizer this drops all marks, and decomposes nothing. */
static void run_strip_accents(const NormalizerOp *op, const char *text, size_t n, Text *out,
                              CodePoints *points)
{
    (void)op, (void)points;
    for (size_t i = 0; i < n;) {
        const int32_t c = unicode_next(text, &i);
        if (!unicode_is_mark(c))
            unicode_add(out, c);
    }
}

/* ---- strings --------------------------------------------------------------- */

static bool read_strip(NormalizerOp *op, const json_t *settings, Err *err)
{
    op->left = json_get_bool(settings, "strip_left", true, err);
    op->right = json_get_bool(settings, "strip_right", true, err);
    return err->kind == ERR_NONE;
}

static void run_strip(const NormalizerOp *op, const char *text, size_t n, Text *out,
                      CodePoints *points)
{
    (void)points;
    size_t start = 0, end = n;
    for (size_t i = 0; op->left && i < n && unicode_is_space(unicode_next(text, &i));)
        start = i;
    while (op->right && end > start) {
        const size_t before = unicode_before(text, end);
        size_t at = before;
        if (!unicode_is_space(unicode_next(text, &at)))
            break;
        end = before;
    }
    text_add(out, text + start, end - start);
}

static bool read_replace(NormalizerOp *op, const json_t *settings, Err *err)
{
    const json_t *pattern = json_object_get(settings, "pattern");
    const json_t *content = json_object_get(settings, "content");
    if (json_object_get(pattern, "Regex"))
        return err_set(err, ERR_INPUT, "normalizer 'Replace' with a 'Regex' is not supported yet");
    const json_t *string = json_object_get(pattern, "String");
    if (!json_is_string(string) || !json_is_string(content))
        return err_set(err, ERR_INPUT, "normalizer 'Replace' has no 'pattern' or no 'content'");
    if (json_string_length(string) == 0)
        return err_set(err, ERR_INPUT, "normalizer 'Replace' has an empty 'pattern'");
    text_add(&op->pattern, json_string_value(string), json_string_length(string));
    text_add(&op->content, json_string_value(content), json_string_length(content));
    return true;
}

static void run_replace(const NormalizerOp *op, const char *text, size_t n, Text *out,
                        CodePoints *points)
{
    (void)points;
    const char *end = text + n;
    while (text < end) {
        const char *hit = memmem(text, (size_t)(end - text), op->pattern.data, op->pattern.size);
        const char *stop = hit ? hit : end;
        text_add(out, text, (size_t)(stop - text));
        if (!hit)
            return;
        text_add(out, op->content.data, op->content.size);
        text = hit + op->pattern.size;
    }
}

/* ---- the list -------------------------------------------------------------- */

static const NormalizerKind kinds[] = {
    { "BertNormalizer", bert_normalizer_read, bert_normalizer_run },
    { "Lowercase", NULL, run_lowercase },
    { "NFC", NULL, run_nfc },
    { "NFD", NULL, run_nfd },
    { "NFKC", NULL, run_nfkc },
    { "NFKD", NULL, run_nfkd },
    { "Replace", read_replace, run_replace },
    { "Strip", read_strip, run_strip },
    { "StripAccents", NULL, run_strip_accents },
};

static bool read_one(Normalizer *normalizer, const json_t *spec, const char *name, Err *err)
{
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        if (strcmp(kinds[i].name, name) != 0)
            continue;
        normalizer->ops =
            xrealloc(normalizer->ops, (normalizer->count + 1) * sizeof(normalizer->ops[0]));
        NormalizerOp *op = &normalizer->ops[normalizer->count++];
        *op = (NormalizerOp){ .kind = &kinds[i] };
        return !kinds[i].read || kinds[i].read(op, spec, err);
    }
    return err_set(err, ERR_INPUT, "normalizer type '%s' is not supported yet", name);
}

bool normalizer_read(Normalizer *normalizer, const json_t *spec, Err *err)
{
    if (!spec || json_is_null(spec))
        return true;
    const char *name = json_get_string(spec, "type", NULL, err);
    if (!name)
        return err->kind == ERR_NONE ? err_set(err, ERR_INPUT, "the normalizer has no 'type'")
                                     : false;
    if (strcmp(name, "Sequence") != 0)
        return read_one(normalizer, spec, name, err);
    const json_t *list = json_object_get(spec, "normalizers");
    if (!json_is_array(list))
        return err_set(err, ERR_INPUT, "normalizer 'Sequence' has no list 'normalizers'");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!normalizer_read(normalizer, json_array_get(list, i), err))
            return false;
    return true;
}

void normalizer_release(Normalizer *normalizer)
{
    for (size_t i = 0; i < normalizer->count; i++) {
        text_release(&normalizer->ops[i].pattern);
        text_release(&normalizer->ops[i].content);
    }
    free(normalizer->ops);
    *normalizer = (Normalizer){ 0 };
}

const char *normalizer_run(const Normalizer *normalizer, const char *text, size_t *n,
                           Scratch *scratch)
{
    for (size_t i = 0; i < normalizer->count; i++) {
        const NormalizerOp *op = &normalizer->ops[i];
        Text *out = &scratch->normal[i % 2];
        text_clear(out);
        op->kind->run(op, text, *n, out, &scratch->points);
        text = out->data ? out->data : "";
        *n = out->size;
    }
    return text;
}
