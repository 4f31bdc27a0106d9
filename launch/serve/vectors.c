#include "launch/serve/vectors.h"

#include "common/base/mem.h"
#include "common/metrics/embed_loss.h"
#include "launch/serve/inputs.h"

#include <stdlib.h>
#include <string.h>

/* What a request wants of its answer. */
typedef struct VectorForm {
    ExchangeForm form;
    bool openai; /* the shape; else TEI's */
    bool base64; /* floats as bytes, little-endian */
    bool normalize;
    char *model; /* owned */
} VectorForm;

static void free_form(void *self)
{
    VectorForm *form = self;
    free(form->model);
    free(form);
}

/* ---- answers ------------------------------------------------------------------------------------ */

static json_t *base64_of(const float *e, int64_t C)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = (const unsigned char *)e; /* x86-64 is little-endian */
    const size_t n = (size_t)C * sizeof *e;
    char *out = xmalloc((n + 2) / 3 * 4 + 1), *to = out;
    for (size_t i = 0; i < n; i += 3) {
        const size_t left = n - i;
        const unsigned held =
            (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
        *to++ = letters[held >> 18];
        *to++ = letters[held >> 12 & 63];
        *to++ = left > 1 ? letters[held >> 6 & 63] : '=';
        *to++ = left > 2 ? letters[held & 63] : '=';
    }
    json_t *text = json_stringn(out, (size_t)(to - out));
    free(out);
    return text;
}

static json_t *vector_of(const VectorForm *form, const ServeJob *job)
{
    const int64_t C = job->logit_count;
    if (form->normalize)
        embed_normalize(job->logits, 1, C);
    if (form->base64)
        return base64_of(job->logits, C);
    json_t *list = json_array();
    for (int64_t c = 0; c < C; c++)
        json_array_append_new(list, json_real((double)job->logits[c]));
    return list;
}

static void answer(Service *s, HttpRequest *request, ServeExchange *x)
{
    (void)s;
    const VectorForm *form = x->form;
    json_t *all = json_array();
    for (int64_t i = 0; i < x->count; i++) {
        json_t *vector = vector_of(form, &x->jobs[i]);
        json_array_append_new(all, form->openai ? json_pack("{s:s, s:I, s:o}", "object", "embedding", "index",
                                                            (json_int_t)i, "embedding", vector)
                                                : vector);
    }
    service_json(request, 200,
                 form->openai ? json_pack("{s:s, s:o, s:s, s:{s:I, s:I}}", "object", "list", "data", all, "model",
                                          form->model, "usage", "prompt_tokens", (json_int_t)x->prompt_tokens,
                                          "total_tokens", (json_int_t)x->prompt_tokens)
                              : all);
}

/* ---- requests ------------------------------------------------------------------------------------- */

/* How a route reads a request. */
typedef struct VectorRules {
    InputRules input;
    bool openai;
    const char *const *known; /* fields, NULL-terminated */
} VectorRules;

/* A field that nobody has, or that asks for what is not built, is refused by name. */
static bool check_fields(const json_t *body, const VectorRules *rules, Refusal *r)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        bool known = json_is_null(value);
        for (int i = 0; !known && rules->known[i]; i++)
            known = strcmp(rules->known[i], name) == 0;
        if (!known)
            return refuse(r, 400, NULL, "unknown_parameter", "there is no field '%.200s' in requests for embeddings",
                          name);
    }
    const json_t *prompt = json_object_get(body, "prompt_name");
    return !prompt || json_is_null(prompt) ||
           refuse(r, 422, "prompt_name", NULL, "prompts have no names here: write the prompt before the text");
}

/* As many as the model's are; OpenAI's clients may ask for fewer, of models that were taught to bear it. */
static bool check_width(const Service *s, const json_t *body, Refusal *r)
{
    const json_t *given = json_object_get(body, "dimensions");
    const int64_t C = s->options.session->base.adapted.arch->C;
    return !given || json_is_null(given) || (json_is_integer(given) && json_integer_value(given) == C) ||
           refuse(r, 400, "dimensions", "unsupported_parameter",
                  "'dimensions' is not supported: the model's embeddings have %lld", (long long)C);
}

static bool take_encoding(VectorForm *form, const json_t *body, Refusal *r)
{
    const json_t *given = json_object_get(body, "encoding_format");
    const char *name = json_string_value(given);
    form->base64 = name && strcmp(name, "base64") == 0;
    return !given || json_is_null(given) || form->base64 || (name && strcmp(name, "float") == 0) ||
           refuse(r, 400, "encoding_format", NULL, "'encoding_format' is \"float\" or \"base64\"");
}

static bool take_one(const Service *s, ServeJob *job, const json_t *input, const InputRules *rules, Refusal *r)
{
    if (json_is_string(input))
        return inputs_text(s, job, input, NULL, rules, r);
    if (inputs_are_ids(input))
        return inputs_ids(s, job, input, rules, r);
    return refuse(r, 422, rules->field, NULL,
                  "'%s' is a text, a list of texts, a list of token ids, or a list of such lists", rules->field);
}

/* Inputs of a request; 0 with the refusal set. */
static int64_t count_inputs(const Service *s, const json_t *given, const char *field, Refusal *r)
{
    const bool several = json_is_array(given) && !inputs_are_ids(given);
    const int64_t count = several ? (int64_t)json_array_size(given) : 1;
    if (!given || json_is_null(given) || count == 0)
        refuse(r, 422, field, NULL, "'%s' cannot be empty", field);
    else if (count > s->options.most_batch)
        refuse(r, 413, field, "too_many_inputs", "%lld inputs are more than the %lld of a request (--max_batch)",
               (long long)count, (long long)s->options.most_batch);
    else
        return count;
    return 0;
}

static ServeExchange *new_exchange(HttpRequest *request, ServedAdapter *served, int64_t count)
{
    ServeExchange *x = exchange_new(request, served, count);
    VectorForm *form = xcalloc(1, sizeof *form);
    *form = (VectorForm){ .form = { answer, NULL }, .normalize = true, .model = xstrdup(served->named->name) };
    x->form = form;
    x->form_free = free_form;
    return x;
}

static bool take_all(const Service *s, ServeExchange *x, const json_t *body, VectorRules *rules, Refusal *r)
{
    VectorForm *form = x->form;
    const ModelArch *arch = adapter_arch(x->served->named->adapter);
    const json_t *given = json_object_get(body, rules->input.field);
    const bool several = json_is_array(given) && !inputs_are_ids(given);
    form->openai = rules->openai;
    bool ok = check_fields(body, rules, r) && check_width(s, body, r) && take_encoding(form, body, r) &&
              inputs_flag(&form->normalize, body, "normalize", r) &&
              inputs_flag(&rules->input.cut, body, "truncate", r);
    form->normalize = form->normalize || arch->head.embed.how.normalize == NORMALIZE_YES;
    for (int64_t i = 0; ok && i < x->count; i++)
        ok = take_one(s, &x->jobs[i], several ? json_array_get(given, (size_t)i) : given, &rules->input, r);
    return ok;
}

/* OpenAI has one status for what is wrong with a request. */
static void speak_openai(Refusal *r)
{
    if (r->status == 413 && !r->code)
        r->code = "context_length_exceeded";
    if (r->status == 413 || r->status == 422)
        r->status = 400;
}

static void embed(Service *s, HttpRequest *request, VectorRules *rules, Refusal *r)
{
    json_t *body = service_body(request, r);
    const int64_t count = body ? count_inputs(s, json_object_get(body, rules->input.field), rules->input.field, r) : 0;
    ServedAdapter *served = count > 0 ? service_choose(s, body, r) : NULL;
    ServeExchange *x = served ? new_exchange(request, served, count) : NULL;
    if (x && !take_all(s, x, body, rules, r)) {
        service_drop(s, x);
        x = NULL;
    }
    if (rules->openai && body)
        speak_openai(r);
    json_decref(body);
    if (x && service_start(s, request, x, r))
        http_wait(request);
}

void vectors_openai(Service *s, HttpRequest *request, Refusal *r)
{
    static const char *const known[] = { "input", "model", "encoding_format", "dimensions", "user", NULL };
    embed(s, request, &(VectorRules){ { "input", false }, true, known }, r);
}

void vectors_embed(Service *s, HttpRequest *request, Refusal *r)
{
    static const char *const known[] = {
        "inputs", "model", "normalize", "truncate", "prompt_name", "dimensions", NULL
    };
    embed(s, request, &(VectorRules){ { "inputs", false }, false, known }, r);
}
