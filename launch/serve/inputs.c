#include "launch/serve/inputs.h"

#include "common/base/mem.h"
#include "worker/data/examples.h"

bool inputs_flag(bool *value, const json_t *body, const char *key, Refusal *r)
{
    const json_t *given = json_object_get(body, key);
    if (!given || json_is_null(given))
        return true;
    *value = json_is_true(given);
    return json_is_boolean(given) || refuse(r, 422, key, NULL, "'%s' is true or false", key);
}

bool inputs_are_ids(const json_t *value)
{
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!json_is_integer(json_array_get(value, i)))
            return false;
    return json_array_size(value) > 0;
}

bool inputs_check(const Service *s, const ServeJob *job, const InputRules *rules, Refusal *r)
{
    const Session *session = s->options.session;
    Err err = { 0 };
    if (!examples_check_some(&job->encoding, &err) ||
        !examples_check_ids(session->base.adapted.arch, &job->encoding, &err))
        return refuse_err(r, 422, rules->field, &err);
    return job->encoding.count <= session->max_length ||
           refuse(r, 413, rules->field, NULL,
                  "the input has %lld tokens, and %lld are the most; \"truncate\": true cuts it",
                  (long long)job->encoding.count, (long long)session->max_length);
}

bool inputs_text(const Service *s, ServeJob *job, const json_t *text, const json_t *pair, const InputRules *rules,
                 Refusal *r)
{
    const Session *session = s->options.session;
    const int64_t most = rules->cut ? session->max_length : 0;
    Err err = { 0 };
    if (!tokenizer_encode(session->base.tokenizer, json_string_value(text), json_string_length(text),
                          json_string_value(pair), json_string_length(pair), most, s->encoding, &err))
        return refuse_err(r, 422, rules->field, &err);
    encoding_move(&job->encoding, s->encoding);
    return inputs_check(s, job, rules, r);
}

bool inputs_ids(const Service *s, ServeJob *job, const json_t *ids, const InputRules *rules, Refusal *r)
{
    Encoding *e = &job->encoding;
    const int64_t given = (int64_t)json_array_size(ids), most = s->options.session->max_length;
    const int64_t count = rules->cut && given > most ? most : given;
    *e = (Encoding){ .ids = xcalloc((size_t)count, sizeof *e->ids), .types = xcalloc((size_t)count, sizeof *e->types) };
    e->count = count;
    for (int64_t i = 0; i < count; i++) {
        const json_int_t id = json_integer_value(json_array_get(ids, (size_t)i));
        if (id < 0 || id >= s->options.session->base.adapted.arch->V)
            return refuse(r, 422, rules->field, NULL, "token %lld is none of the model's %lld", (long long)id,
                          (long long)s->options.session->base.adapted.arch->V);
        e->ids[i] = (int32_t)id;
    }
    return inputs_check(s, job, rules, r);
}
