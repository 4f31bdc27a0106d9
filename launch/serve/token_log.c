#include "launch/serve/token_log.h"

#include "common/base/maths.h"
#include "common/base/mem.h"
#include "worker/tokenizer/byte_level.h"

#include <stdlib.h>
#include <string.h>

struct TokenLog {
    int64_t count, most, tops, V;
    LoggedToken *tokens; /* [most] */
    size_t *at; /* [most] bytes of the text before each */
    LoggedToken *top; /* [most, tops] likeliest first */
};

TokenLog *token_log_open(int64_t most, int64_t tops, int64_t V, Err *err)
{
    TokenLog *log = xcalloc(1, sizeof *log);
    const size_t n = (size_t)most, k = (size_t)tops;
    *log = (TokenLog){ .most = most, .tops = tops < V ? tops : V, .V = V };
    log->tokens = mem_alloc(n * sizeof *log->tokens, err);
    log->at = log->tokens ? mem_alloc(n * sizeof *log->at, err) : NULL;
    log->top = log->at ? mem_alloc((n * k + 1) * sizeof *log->top, err) : NULL;
    if (log->top)
        return log;
    token_log_close(log);
    return NULL;
}

void token_log_close(TokenLog *log)
{
    if (!log)
        return;
    free(log->tokens);
    free(log->at);
    free(log->top);
    free(log);
}

/* The likeliest first, of two alike the lower id. */
static void find_top(LoggedToken *top, int64_t tops, const float *logits, int64_t V)
{
    int64_t count = 0;
    for (int64_t i = 0; i < V; i++) {
        if (tops == 0 || (count == tops && (double)logits[i] <= top[tops - 1].logprob))
            continue;
        int64_t place = count < tops ? count++ : tops - 1;
        for (; place > 0 && top[place - 1].logprob < (double)logits[i]; place--)
            top[place] = top[place - 1];
        top[place] = (LoggedToken){ (int32_t)i, (double)logits[i] };
    }
}

void token_log_add(TokenLog *log, int32_t id, const float *logits, size_t at)
{
    REQUIRE(log->count < log->most && id >= 0 && id < log->V);
    float most = logits[0];
    double sum = 0;
    for (int64_t i = 1; i < log->V; i++)
        most = logits[i] > most ? logits[i] : most;
    for (int64_t i = 0; i < log->V; i++)
        sum += maths_exp((double)logits[i] - (double)most);
    const double whole = (double)most + maths_log(sum);
    LoggedToken *top = log->top + log->count * log->tops;
    find_top(top, log->tops, logits, log->V);
    for (int64_t k = 0; k < log->tops; k++)
        top[k].logprob -= whole;
    log->at[log->count] = at;
    log->tokens[log->count++] = (LoggedToken){ id, (double)logits[id] - whole };
}

int64_t token_log_within(const TokenLog *log, int64_t count, size_t size)
{
    while (count > 0 && log->at[count - 1] >= size)
        count--;
    return count;
}

/* ---- names ---------------------------------------------------------------------------------------- */

/* What `id` adds behind `before` (-1: nothing stands there). NULL: it is part of a character. */
static json_t *text_of(const TokenLogPart *part, int32_t before, int32_t id)
{
    Text first = { 0 }, both = { 0 };
    const int32_t ids[] = { before, id };
    if (before >= 0) {
        tokenizer_decode(part->tokenizer, ids, 1, false, &first);
        tokenizer_decode(part->tokenizer, ids, 2, false, &both);
    }
    if (before < 0 || both.size < first.size || memcmp(both.data, first.data, first.size) != 0) {
        text_clear(&first);
        text_clear(&both);
        tokenizer_decode(part->tokenizer, &id, 1, false, &both);
    }
    const char *added = both.data ? both.data + first.size : "";
    json_t *text = strstr(added, "\xef\xbf\xbd") ? NULL : json_stringn(added, both.size - first.size);
    text_release(&first);
    text_release(&both);
    return text;
}

/* Of a token that is part of a character: "<0xE2>" of byte fallback, or GPT-2's alphabet. */
static void add_part_bytes(const TokenLogPart *part, int32_t id, Text *out)
{
    const char *token = tokenizer_token(part->tokenizer, id);
    char *rest = NULL;
    const unsigned long byte = token && text_starts(token, "<0x") ? strtoul(token + 3, &rest, 16) : 0;
    if (rest && rest == token + 5 && strcmp(rest, ">") == 0)
        text_add(out, (const char[]){ (char)byte }, 1);
    else if (token && !byte_level_decode(token, strlen(token), out))
        text_add(out, token, strlen(token));
}

/* What the token adds; *whole: it is characters. */
static void add_bytes(const TokenLogPart *part, int32_t before, int32_t id, bool *whole, Text *out)
{
    json_t *text = text_of(part, before, id);
    *whole = text != NULL;
    if (text)
        text_add(out, json_string_value(text), json_string_length(text));
    else
        add_part_bytes(part, id, out);
    json_decref(text);
}

static json_t *name_of(const Text *bytes, bool whole)
{
    if (whole)
        return json_stringn(bytes->data ? bytes->data : "", bytes->size);
    Text name = { 0 };
    text_adds(&name, "bytes:");
    for (size_t i = 0; i < bytes->size; i++)
        text_addf(&name, "\\x%02x", (unsigned char)bytes->data[i]);
    json_t *text = json_stringn(name.data, name.size);
    text_release(&name);
    return text;
}

static int32_t before(const TokenLogPart *part, int64_t i)
{
    return i > 0 ? part->log->tokens[i - 1].id : part->before;
}

static json_t *numbers_of(const Text *bytes)
{
    json_t *numbers = json_array();
    for (size_t i = 0; i < bytes->size; i++)
        json_array_append_new(numbers, json_integer((unsigned char)bytes->data[i]));
    return numbers;
}

static json_t *name_at(const TokenLogPart *part, int64_t i, int32_t id)
{
    Text bytes = { 0 };
    bool whole;
    add_bytes(part, before(part, i), id, &whole, &bytes);
    json_t *name = name_of(&bytes, whole);
    text_release(&bytes);
    return name;
}

/* ---- forms ---------------------------------------------------------------------------------------- */

static void add_top(json_t *all, const TokenLogPart *part, int64_t i, const LoggedToken *token)
{
    json_t *name = name_at(part, i, token->id);
    if (!json_object_get(all, json_string_value(name)))
        json_object_set_new(all, json_string_value(name), json_real(token->logprob));
    json_decref(name);
}

static int64_t characters(const Text *text, size_t size)
{
    int64_t count = 0;
    for (size_t i = 0; i < size && i < text->size; i++)
        count += ((unsigned char)text->data[i] & 0xc0) != 0x80;
    return count;
}

json_t *token_log_completion(const TokenLogPart *part)
{
    const TokenLog *log = part->log;
    json_t *names = json_array(), *values = json_array(), *tops = json_array(), *offsets = json_array();
    for (int64_t i = part->from; i < part->to; i++) {
        json_t *top = json_object();
        for (int64_t k = 0; k < log->tops; k++)
            add_top(top, part, i, &log->top[i * log->tops + k]);
        add_top(top, part, i, &log->tokens[i]); /* the one that was chosen is always there */
        json_array_append_new(names, name_at(part, i, log->tokens[i].id));
        json_array_append_new(values, json_real(log->tokens[i].logprob));
        json_array_append_new(tops, top);
        json_array_append_new(offsets, json_integer(characters(part->text, log->at[i])));
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "tokens", names, "token_logprobs", values, "top_logprobs", tops,
                     "text_offset", offsets);
}

static json_t *entry_of(const TokenLogPart *part, int64_t i, const LoggedToken *token)
{
    Text bytes = { 0 };
    bool whole;
    add_bytes(part, before(part, i), token->id, &whole, &bytes);
    json_t *entry = json_pack("{s:o, s:f, s:o}", "token", name_of(&bytes, whole), "logprob", token->logprob, "bytes",
                              numbers_of(&bytes));
    text_release(&bytes);
    return entry;
}

json_t *token_log_chat(const TokenLogPart *part)
{
    const TokenLog *log = part->log;
    json_t *content = json_array();
    for (int64_t i = part->from; i < part->to; i++) {
        json_t *entry = entry_of(part, i, &log->tokens[i]), *tops = json_array();
        for (int64_t k = 0; k < log->tops; k++)
            json_array_append_new(tops, entry_of(part, i, &log->top[i * log->tops + k]));
        json_object_set_new(entry, "top_logprobs", tops);
        json_array_append_new(content, entry);
    }
    return json_pack("{s:o, s:n}", "content", content, "refusal");
}
