#include "launch/serve/tokens.h"

#include "common/base/mem.h"
#include "launch/serve/inputs.h"
#include "launch/serve/texts.h"

#include <stdlib.h>
#include <string.h>

static const Tokenizer *tokenizer_of(const Service *s)
{
    return s->options.session->base.tokenizer;
}

/* Bytes of a token or text that need not be whole characters. */
static json_t *string_of(const Text *text)
{
    json_t *string = json_stringn(text->data ? text->data : "", text->size);
    return string ? string : json_string("\xEF\xBF\xBD");
}

static json_t *text_of(const Service *s, const int32_t *ids, int64_t n, bool skip_special)
{
    Text text = { 0 };
    tokenizer_decode(tokenizer_of(s), ids, n, skip_special, &text);
    json_t *string = string_of(&text);
    text_release(&text);
    return string;
}

static bool is_batch(const Service *s, size_t count, const char *field, Refusal *r)
{
    return (int64_t)count <= s->options.most_batch ||
           refuse(r, 413, field, "too_many_inputs", "%zu inputs are more than the %lld of a request (--max_batch)",
                  count, (long long)s->options.most_batch);
}

/* ---- text to ids --------------------------------------------------------------------------------- */

static bool encode(const Service *s, const char *text, size_t n, bool special, Encoding *e, const char *field,
                   Refusal *r)
{
    Err err = { 0 };
    const bool ok = special ? tokenizer_encode(tokenizer_of(s), text, n, NULL, 0, 0, e, &err)
                            : tokenizer_encode_plain(tokenizer_of(s), text, n, e, &err);
    return ok || refuse_err(r, 400, field, &err);
}

static json_t *ids_of(const Encoding *e)
{
    json_t *ids = json_array();
    for (int64_t i = 0; i < e->count; i++)
        json_array_append_new(ids, json_integer(e->ids[i]));
    return ids;
}

/* Its tokens as vocabularies write them. */
static json_t *names_of(const Service *s, const Encoding *e)
{
    json_t *names = json_array();
    for (int64_t i = 0; i < e->count; i++) {
        const char *name = tokenizer_token(tokenizer_of(s), e->ids[i]);
        json_array_append_new(names, name ? json_string(name) : json_null());
    }
    return names;
}

static json_t *answer_vllm(const Service *s, const json_t *body, Encoding *e, Refusal *r)
{
    const json_t *prompt = json_object_get(body, "prompt");
    bool special = prompt != NULL, names = false, generation = true;
    if (!inputs_flag(&special, body, "add_special_tokens", r) || !inputs_flag(&names, body, "return_token_strs", r) ||
        !inputs_flag(&generation, body, "add_generation_prompt", r))
        return NULL;
    if (prompt && !json_is_string(prompt)) {
        refuse(r, 400, "prompt", NULL, "'prompt' is a text");
        return NULL;
    }
    Text chat = { 0 };
    const bool ok = prompt ? encode(s, json_string_value(prompt), json_string_length(prompt), special, e, "prompt", r)
                           : texts_render(s, body, generation, &chat, r) &&
                                 encode(s, chat.data ? chat.data : "", chat.size, special, e, "messages", r);
    text_release(&chat);
    return ok ? json_pack("{s:I, s:I, s:o, s:o}", "count", (json_int_t)e->count, "max_model_len",
                          (json_int_t)s->options.session->max_length, "tokens", ids_of(e), "token_strs",
                          names ? names_of(s, e) : json_null())
              : NULL;
}

static json_t *answer_llama(const Service *s, const json_t *body, Encoding *e, Refusal *r)
{
    const json_t *content = json_object_get(body, "content");
    bool special = false, pieces = false;
    if (!inputs_flag(&special, body, "add_special", r) || !inputs_flag(&pieces, body, "with_pieces", r))
        return NULL;
    if (!json_is_string(content)) {
        refuse(r, 400, "content", NULL, "'content' is a text");
        return NULL;
    }
    if (!encode(s, json_string_value(content), json_string_length(content), special, e, "content", r))
        return NULL;
    json_t *tokens = pieces ? json_array() : ids_of(e);
    for (int64_t i = 0; pieces && i < e->count; i++)
        json_array_append_new(tokens,
                              json_pack("{s:i, s:o}", "id", (int)e->ids[i], "piece", text_of(s, &e->ids[i], 1, false)));
    return json_pack("{s:o}", "tokens", tokens);
}

/* Where the bytes of code points lie, in order: each is looked for from the one before. */
typedef struct TextCursor {
    const char *text;
    size_t size, at;
    int64_t place;
} TextCursor;

static size_t bytes_before(TextCursor *c, int64_t place)
{
    if (place < c->place)
        c->at = 0, c->place = 0;
    for (; c->at < c->size && c->place < place; c->place++)
        do
            c->at++;
        while (c->at < c->size && ((unsigned char)c->text[c->at] & 0xc0) == 0x80);
    return c->at;
}

/* {"id", "text", "special", "start", "stop"}: places in code points; a special token has none. begin is moved. */
static json_t *simple_token(const Service *s, const Encoding *e, int64_t i, TextCursor *begin)
{
    const int32_t start = e->offsets[2 * i], stop = e->offsets[2 * i + 1];
    const char *name = tokenizer_token(tokenizer_of(s), e->ids[i]);
    json_t *text = NULL;
    if (e->words[i] < 0)
        return json_pack("{s:i, s:s, s:b, s:n, s:n}", "id", (int)e->ids[i], "text", name ? name : "", "special", 1,
                         "start", "stop");
    const size_t a = bytes_before(begin, start);
    TextCursor end = *begin;
    text = json_stringn(begin->text + a, bytes_before(&end, stop) - a);
    return json_pack("{s:i, s:o, s:b, s:i, s:i}", "id", (int)e->ids[i], "text", text ? text : json_string(""),
                     "special", 0, "start", (int)start, "stop", (int)stop);
}

static json_t *simple_tokens(const Service *s, const json_t *text, const Encoding *e)
{
    json_t *tokens = json_array();
    TextCursor begin = { json_string_value(text), json_string_length(text), 0, 0 };
    for (int64_t i = 0; i < e->count; i++)
        json_array_append_new(tokens, simple_token(s, e, i, &begin));
    return tokens;
}

/* One text, or a list of them. */
static json_t *answer_tei(const Service *s, const json_t *body, Encoding *e, Refusal *r)
{
    const json_t *given = json_object_get(body, "inputs");
    const size_t count = json_is_array(given) ? json_array_size(given) : 1;
    bool special = true;
    if (!inputs_flag(&special, body, "add_special_tokens", r))
        return NULL;
    if (!is_batch(s, count, "inputs", r))
        return NULL;
    json_t *all = json_array();
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        const json_t *text = json_is_array(given) ? json_array_get(given, i) : given;
        ok = json_is_string(text)
                 ? encode(s, json_string_value(text), json_string_length(text), special, e, "inputs", r)
                 : refuse(r, 422, "inputs", NULL, "'inputs' is a text, or a list of texts");
        if (ok)
            json_array_append_new(all, simple_tokens(s, text, e));
    }
    if (ok)
        return all;
    json_decref(all);
    return NULL;
}

void tokens_of_text(Service *s, HttpRequest *request, Refusal *r)
{
    json_t *body = service_body(request, r), *answer = NULL;
    if (json_object_get(body, "prompt") || json_object_get(body, "messages"))
        answer = answer_vllm(s, body, s->encoding, r);
    else if (json_object_get(body, "content"))
        answer = answer_llama(s, body, s->encoding, r);
    else if (json_object_get(body, "inputs"))
        answer = answer_tei(s, body, s->encoding, r);
    else if (body)
        refuse(r, 422, NULL, NULL, "there is no text: 'prompt' or 'messages', 'content', or 'inputs'");
    if (answer)
        service_json(request, 200, answer);
    json_decref(body);
}

/* ---- ids to text ------------------------------------------------------------------------------------- */

/* NULL with the refusal set: some id is none of the tokenizer's. */
static json_t *decode(const Service *s, const json_t *list, bool skip_special, const char *field, Refusal *r)
{
    const size_t n = json_array_size(list);
    int32_t *ids = xcalloc(n + 1, sizeof *ids);
    bool ok = json_is_array(list) || refuse(r, 422, field, NULL, "'%s' is a list of token ids", field);
    for (size_t i = 0; ok && i < n; i++) {
        const json_t *given = json_array_get(list, i);
        const json_int_t id = json_integer_value(given);
        ok = (json_is_integer(given) && id >= 0 && id < tokenizer_size(tokenizer_of(s))) ||
             refuse(r, 422, field, NULL, "'%s' has something at %zu that is none of the tokenizer's %lld ids", field, i,
                    (long long)tokenizer_size(tokenizer_of(s)));
        ids[i] = ok ? (int32_t)id : 0;
    }
    json_t *text = ok ? text_of(s, ids, (int64_t)n, skip_special) : NULL;
    free(ids);
    return text;
}

/* One list of ids, or several. */
static json_t *decode_all(const Service *s, const json_t *given, bool skip, Refusal *r)
{
    const bool several = json_is_array(json_array_get(given, 0));
    const size_t count = several ? json_array_size(given) : 1;
    if (!is_batch(s, count, "ids", r))
        return NULL;
    json_t *all = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *text = decode(s, several ? json_array_get(given, i) : given, skip, "ids", r);
        if (!text) {
            json_decref(all);
            return NULL;
        }
        json_array_append_new(all, text);
    }
    return all;
}

void tokens_to_text(Service *s, HttpRequest *request, Refusal *r)
{
    json_t *body = service_body(request, r), *answer = NULL;
    const json_t *tokens = json_object_get(body, "tokens"), *ids = json_object_get(body, "ids");
    bool skip = ids != NULL; /* as TEI; vLLM and llama-server give special tokens back */
    if (body && !tokens && !ids) {
        refuse(r, 422, NULL, NULL, "there are no ids: 'tokens', or 'ids'");
    } else if (body && inputs_flag(&skip, body, "skip_special_tokens", r)) {
        json_t *text = tokens ? decode(s, tokens, skip, "tokens", r) : NULL;
        answer = text  ? json_pack("{s:O, s:o}", "prompt", text, "content", text)
                 : ids ? decode_all(s, ids, skip, r)
                       : NULL;
    }
    if (answer)
        service_json(request, 200, answer);
    json_decref(body);
}
