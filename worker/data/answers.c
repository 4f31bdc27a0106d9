#include "worker/data/answers.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

static bool odd(Err *bad)
{
    err_set(bad, ERR_INPUT, "the answers are not of the kind that SQuAD has");
    return err_hint(bad, "{\"text\": [\"...\"], \"answer_start\": [0]}, places in characters; empty lists: no answer");
}

void answers_release(WantedAnswers *answers)
{
    free(answers->list);
    json_decref(answers->cell);
    *answers = (WantedAnswers){ 0 };
}

/* Bytes before character `count` of text[0, n); n + 1: there are fewer. */
static size_t bytes_before(const char *text, size_t n, int64_t count)
{
    size_t at = 0;
    for (; count > 0 && at < n; count--)
        do
            at++;
        while (at < n && ((unsigned char)text[at] & 0xC0) == 0x80);
    return count > 0 ? n + 1 : at;
}

static int64_t characters(const char *text, size_t n)
{
    int64_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

static bool misplaced(const Record *r, const Answer *a, Err *bad)
{
    err_set(bad, ERR_INPUT, "the answer '%.*s%s' does not stand at character %lld of the context",
            a->size < 60 ? (int)a->size : 60, a->text, a->size < 60 ? "" : " ...", (long long)a->begin);
    const char *found = memmem(r->pair, r->pair_size, a->text, a->size);
    if (found)
        return err_hint(bad, "it stands at character %lld; places are counted in characters, from 0",
                        (long long)characters(r->pair, (size_t)(found - r->pair)));
    return err_hint(bad, "nor anywhere else in it: mend the row, or leave it out (data.skip_bad_rows: true)");
}

static bool add(WantedAnswers *answers, const Record *r, const json_t *text, const json_t *start, Err *bad)
{
    if (!json_is_string(text) || !json_is_integer(start))
        return odd(bad);
    Answer *a = &answers->list[answers->count];
    *a = (Answer){ .text = json_string_value(text),
                   .size = json_string_length(text),
                   .begin = json_integer_value(start) };
    if (answers->count > 0) {
        answers->count++;
        return true;
    }
    if (a->size == 0) {
        err_set(bad, ERR_INPUT, "the answer is empty");
        return err_hint(bad, "a question without an answer has empty lists");
    }
    const size_t at = a->begin < 0 ? r->pair_size + 1 : bytes_before(r->pair, r->pair_size, a->begin);
    if (at > r->pair_size || r->pair_size - at < a->size || memcmp(r->pair + at, a->text, a->size) != 0)
        return misplaced(r, a, bad);
    a->end = a->begin + characters(a->text, a->size);
    answers->count++;
    return true;
}

/* Of {"text": ..., "answer_start": ...}: lists of one length, or one of each. */
static bool read_lists(WantedAnswers *answers, const Record *r, const json_t *value, Err *bad)
{
    const json_t *text = json_object_get(value, "text"), *start = json_object_get(value, "answer_start");
    const size_t count = json_is_array(text) ? json_array_size(text) : 1;
    answers->list = xmalloc((count + 1) * sizeof *answers->list);
    if (!json_is_array(text))
        return add(answers, r, text, start, bad);
    if (!json_is_array(start))
        return odd(bad);
    if (json_array_size(start) != count)
        return err_set(bad, ERR_INPUT, "the answers have %zu texts and %zu places", count, json_array_size(start));
    for (size_t i = 0; i < count; i++)
        if (!add(answers, r, json_array_get(text, i), json_array_get(start, i), bad))
            return false;
    return true;
}

static bool read_objects(WantedAnswers *answers, const Record *r, const json_t *value, Err *bad)
{
    answers->list = xmalloc((json_array_size(value) + 1) * sizeof *answers->list);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *one = json_array_get(value, i);
        if (!add(answers, r, json_object_get(one, "text"), json_object_get(one, "answer_start"), bad))
            return false;
    }
    return true;
}

bool answers_read(WantedAnswers *answers, const Record *r, Err *bad)
{
    const json_t *value = r->label_json;
    *answers = (WantedAnswers){ 0 };
    if (!value && r->label && r->label_size > 0) {
        json_error_t fault;
        value = answers->cell = json_loadb(r->label, r->label_size, JSON_ALLOW_NUL | JSON_DECODE_ANY, &fault);
        if (!value)
            return odd(bad);
    }
    if (!value || json_is_null(value))
        return true;
    if (json_is_object(value))
        return read_lists(answers, r, value, bad);
    return json_is_array(value) ? read_objects(answers, r, value, bad) : odd(bad);
}
