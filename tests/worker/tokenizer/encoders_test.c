/* The tokenizers of every encoder's golden case: odd texts with their ids, offsets and way back, and pairs that are cut
 * from their longer text. */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "tests/support/must.h"
#include "worker/tokenizer/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const cases[] = { "electra-pair",      "mpnet-seqcls",      "albert-seqcls",    "modernbert-seqcls",
                                     "deberta-v3-seqcls", "deberta-v2-tokcls", "deberta-v1-seqcls" };

/* wanted: numbers, or pairs of them. */
static void expect(const char *what, const json_t *wanted, const int32_t *got, int64_t count, const char *line)
{
    bool same = (int64_t)json_array_size(wanted) == count;
    for (int64_t i = 0; same && i < count; i++) {
        const json_t *one = json_array_get(wanted, (size_t)i);
        same = json_is_array(one) ? json_integer_value(json_array_get(one, 0)) == got[2 * i] &&
                                        json_integer_value(json_array_get(one, 1)) == got[2 * i + 1]
                                  : json_integer_value(one) == got[i];
    }
    if (!same)
        fail_msg("other %s: %s", what, line);
}

static void check_line(const Tokenizer *tokenizer, const json_t *row, const char *line)
{
    Err err = { 0 };
    Encoding e = { 0 };
    Text back = { 0 };
    const json_t *pair = json_object_get(row, "b");
    const json_t *text = json_object_get(row, pair ? "a" : "text");
    const json_t *offsets = json_object_get(row, "offsets"), *decoded = json_object_get(row, "decoded");
    const json_t *types = tokenizer_has_types(tokenizer) ? json_object_get(row, "type_ids") : NULL;
    must(tokenizer_encode(tokenizer, json_string_value(text), json_string_length(text), json_string_value(pair),
                          json_string_length(pair), json_integer_value(json_object_get(row, "max_length")), &e, &err),
         &err);
    expect("ids", json_object_get(row, "ids"), e.ids, e.count, line);
    if (offsets)
        expect("offsets", offsets, e.offsets, e.count, line);
    if (types)
        expect("types", types, e.types, e.count, line);
    tokenizer_decode(tokenizer, e.ids, e.count, true, &back);
    if (decoded && strcmp(back.data ? back.data : "", json_string_value(decoded)) != 0)
        fail_msg("'%s': %s", back.data, line);
    text_release(&back);
    encoding_release(&e);
}

static int check_case(const char *name)
{
    Err err = { 0 };
    char *folder = xprintf("tests/golden/%s/model", name),
         *path = xprintf("tests/golden/%s/expected/tokens.jsonl", name);
    Tokenizer *tokenizer = tokenizer_open(folder, &err);
    must(tokenizer != NULL, &err);
    char *text = file_read(path, NULL, &err), *rest = text, *line;
    must(text != NULL, &err);
    int count = 0;
    while ((line = strsep(&rest, "\n"))) {
        json_t *row = *line ? json_loads(line, 0, NULL) : NULL;
        if (row)
            check_line(tokenizer, row, line);
        count += row != NULL;
        json_decref(row);
    }
    tokenizer_close(tokenizer);
    free(text);
    free(path);
    free(folder);
    return count;
}

static void odd_texts_and_pairs_are_cut_as_in_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(check_case(cases[i]) >= 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(odd_texts_and_pairs_are_cut_as_in_transformers) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
