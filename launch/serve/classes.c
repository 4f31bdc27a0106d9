#include "launch/serve/classes.h"

#include "common/base/maths.h"
#include "common/base/mem.h"
#include "launch/serve/inputs.h"
#include "worker/images/image_read.h"

#include <stdlib.h>
#include <string.h>

/* What a request wants of its answer. */
typedef struct ClassForm {
    ExchangeForm form;
    bool raw; /* raw_scores: logits */
    bool listed; /* a list of answers, not the one */
    const ModelArch *arch; /* of the adapter that answers */
    json_t **words; /* [count] of words: their texts and places; owned, NULL: no words */
    int64_t count;
} ClassForm;

static void free_form(void *self)
{
    ClassForm *form = self;
    for (int64_t i = 0; i < form->count; i++)
        json_decref(form->words[i]);
    free(form->words);
    free(form);
}

/* ---- inputs ------------------------------------------------------------------------------------------ */

typedef struct ClassInput {
    const json_t *text, *pair; /* strings; pair NULL: none */
} ClassInput;

static bool bad_input(bool root, Refusal *r)
{
    return refuse(r, 422, "inputs", NULL, "%s",
                  root ? "an input is a text, or {\"text\": ..., \"text_pair\": ...}; several are a list of these"
                       : "an input is \"text\", [\"text\"] or [\"text\", \"pair\"]; several are a list of lists");
}

/* One of /predict's: "text", ["text"], ["text", "pair"]. */
static bool take_strings(ClassInput *input, const json_t *given, Refusal *r)
{
    if (json_is_string(given)) {
        input->text = given;
        return true;
    }
    const size_t n = json_array_size(given);
    for (size_t i = 0; i < n; i++)
        if (!json_is_string(json_array_get(given, i)))
            return bad_input(false, r);
    if (n < 1 || n > 2)
        return bad_input(false, r);
    input->text = json_array_get(given, 0);
    input->pair = n == 2 ? json_array_get(given, 1) : NULL;
    return true;
}

static bool take_object(ClassInput *input, const json_t *given, Refusal *r)
{
    if (json_is_string(given)) {
        input->text = given;
        return true;
    }
    input->text = json_object_get(given, "text");
    input->pair = json_object_get(given, "text_pair");
    return (json_is_string(input->text) && (!input->pair || json_is_string(input->pair))) || bad_input(true, r);
}

static bool are_strings(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_string(json_array_get(list, i)))
            return false;
    return true;
}

/* inputs[*count], owned; *listed: the answer is a list of answers. */
static ClassInput *take_inputs(const Service *s, const json_t *body, bool root, int64_t *count, bool *listed,
                               Refusal *r)
{
    const json_t *given = json_object_get(body, "inputs");
    const bool several = json_is_array(given) && (root || !are_strings(given));
    const size_t n = several ? json_array_size(given) : 1;
    const bool nothing = !given || json_is_null(given) || (json_is_array(given) && json_array_size(given) == 0) ||
                         (json_is_string(given) && json_string_length(given) == 0);
    if (nothing) {
        refuse(r, 422, "inputs", NULL, "'inputs' cannot be empty");
        return NULL;
    }
    if ((int64_t)n > s->options.most_batch) {
        refuse(r, 413, "inputs", NULL, "%zu inputs are more than the %lld of a request", n,
               (long long)s->options.most_batch);
        return NULL;
    }
    ClassInput *inputs = xcalloc(n, sizeof *inputs);
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        const json_t *one = several ? json_array_get(given, i) : given;
        ok = root ? take_object(&inputs[i], one, r) : take_strings(&inputs[i], one, r);
    }
    *count = (int64_t)n;
    *listed = several || root;
    if (ok)
        return inputs;
    free(inputs);
    return NULL;
}

/* ---- words ----------------------------------------------------------------------------------------------- */

/* Words between white space, with their places in code points. */
typedef struct SplitWords {
    const char **text;
    size_t *size;
    int64_t count;
    json_t *places; /* [{"word", "start", "end"}] */
} SplitWords;

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static SplitWords split(const char *text, size_t n)
{
    SplitWords words = { .text = xcalloc(n / 2 + 1, sizeof *words.text), .places = json_array() };
    words.size = xcalloc(n / 2 + 1, sizeof *words.size);
    int64_t place = 0;
    for (size_t at = 0; at < n;) {
        if (is_space(text[at])) {
            at++;
            place++;
            continue;
        }
        size_t end = at;
        const int64_t start = place;
        for (; end < n && !is_space(text[end]); end++)
            place += ((unsigned char)text[end] & 0xc0) != 0x80;
        words.text[words.count] = text + at;
        words.size[words.count++] = end - at;
        json_array_append_new(words.places, json_pack("{s:o, s:I, s:I}", "word", json_stringn(text + at, end - at),
                                                      "start", (json_int_t)start, "end", (json_int_t)place));
        at = end;
    }
    return words;
}

static bool encode_words(const Service *s, ServeJob *job, const ClassInput *input, int64_t most, json_t **places,
                         Err *err)
{
    SplitWords words = split(json_string_value(input->text), json_string_length(input->text));
    const WordList list = { words.text, words.size, words.count };
    const bool ok = tokenizer_encode_words(s->options.session->base.tokenizer, &list, most, s->encoding, err);
    encoding_move(&job->encoding, s->encoding);
    free(words.text);
    free(words.size);
    *places = words.places;
    return ok;
}

/* ---- rows -------------------------------------------------------------------------------------------------- */

static bool encode(const Service *s, ServeJob *job, const ClassInput *input, bool cut, json_t **places, Refusal *r)
{
    const Session *session = s->options.session;
    const InputRules rules = { "inputs", cut };
    Err err = { 0 };
    if (!session->base.adapted.arch->head.task->of_tokens)
        return inputs_text(s, job, input->text, input->pair, &rules, r);
    if (!encode_words(s, job, input, cut ? session->max_length : 0, places, &err))
        return refuse_err(r, 422, "inputs", &err);
    return inputs_check(s, job, &rules, r);
}

static bool take_image(const Service *s, ServeJob *job, const char *bytes, size_t n, Refusal *r)
{
    const Session *session = s->options.session;
    const ModelArch *arch = session->base.adapted.arch;
    const int64_t size = arch->image_size, floats = pictures_floats(arch);
    Err err = { 0 };
    Image image = { 0 };
    uint8_t *planes = xmalloc((size_t)floats);
    bool ok = image_decode(&image, (const uint8_t *)bytes, n, &err) &&
              image_process_apply(&session->process, planes, size, size, &image, &err);
    if (ok) {
        job->pixels = mem_alloc((size_t)floats * sizeof(float), &err);
        ok = job->pixels != NULL;
    }
    if (ok)
        image_process_values(&session->process, job->pixels, planes, size * size);
    image_release(&image);
    free(planes);
    return ok || refuse_err(r, 422, "inputs", &err);
}

/* Bytes of base64 text, "data:...;base64," before it or not; owned. NULL: it is none. */
static char *decode_base64(const char *text, size_t *n)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *comma = text_starts(text, "data:") ? strchr(text, ',') : NULL;
    text = comma ? comma + 1 : text;
    char *out = xmalloc(strlen(text) * 3 / 4 + 4);
    unsigned held = 0;
    int bits = 0;
    for (*n = 0; *text && *text != '='; text++) {
        const char *at = strchr(letters, *text);
        if (is_space(*text))
            continue;
        if (!at) {
            free(out);
            return NULL;
        }
        held = held << 6 | (unsigned)(at - letters);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[(*n)++] = (char)(held >> bits & 255);
        }
    }
    return out;
}

/* ---- answers ------------------------------------------------------------------------------------------------ */

static void scores_of(double *p, const ClassForm *form, const float *logits)
{
    const int64_t n = form->arch->head.labels;
    const ProblemType problem = form->arch->head.problem;
    if (!form->raw && problem != PROBLEM_REGRESSION && problem != PROBLEM_MULTI_LABEL) {
        maths_softmax(p, logits, n);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        p[i] = form->raw || problem == PROBLEM_REGRESSION ? (double)logits[i]
                                                          : 1.0 / (1.0 + maths_exp(-(double)logits[i]));
}

/* [{"label", "score"}], highest first. */
static json_t *classes_of(const ClassForm *form, const float *logits)
{
    const int64_t n = form->arch->head.labels;
    double *p = xmalloc((size_t)n * sizeof *p);
    json_t *out = json_array();
    scores_of(p, form, logits);
    for (int64_t k = 0; k < n; k++) {
        int64_t best = -1;
        for (int64_t i = 0; i < n; i++)
            if (p[i] == p[i] && (best < 0 || p[i] > p[best]))
                best = i;
        if (best < 0)
            break;
        json_array_append_new(out,
                              json_pack("{s:s, s:f}", "label", form->arch->head.label_names[best], "score", p[best]));
        p[best] = 0.0 / 0.0; /* was taken */
    }
    free(p);
    return out;
}

/* [{"entity", "score", "word", "start", "end"}] of words whose first token is not outside. */
static json_t *tags_of(const ClassForm *form, const ServeJob *job, const json_t *places)
{
    const int64_t n = form->arch->head.labels;
    const Encoding *e = &job->encoding;
    double *p = xmalloc((size_t)n * sizeof *p);
    json_t *out = json_array();
    for (int64_t i = 0, last = -1; i < e->count; last = e->words[i++]) {
        if (e->words[i] < 0 || e->words[i] == last)
            continue;
        scores_of(p, form, job->logits + i * n);
        int64_t best = 0;
        for (int64_t k = 1; k < n; k++)
            best = p[k] > p[best] ? k : best;
        const char *label = form->arch->head.label_names[best];
        if (strcmp(label, "O") == 0)
            continue;
        json_t *word = json_deep_copy(json_array_get(places, (size_t)e->words[i]));
        json_object_set_new(word, "entity", json_string(label));
        json_object_set_new(word, "score", json_real(p[best]));
        json_array_append_new(out, word);
    }
    free(p);
    return out;
}

static void answer(Service *s, HttpRequest *request, ServeExchange *x)
{
    (void)s;
    const ClassForm *form = x->form;
    json_t *all = json_array();
    for (int64_t i = 0; i < x->count; i++)
        json_array_append_new(all, form->arch->head.task->of_tokens ? tags_of(form, &x->jobs[i], form->words[i])
                                                                    : classes_of(form, x->jobs[i].logits));
    if (form->listed) {
        service_json(request, 200, all);
        return;
    }
    service_json(request, 200, json_incref(json_array_get(all, 0)));
    json_decref(all);
}

/* ---- requests -------------------------------------------------------------------------------------------------- */

static ServeExchange *new_exchange(Service *s, HttpRequest *request, ServedAdapter *served, int64_t count)
{
    ServeExchange *x = exchange_new(request, served, count);
    ClassForm *form = xcalloc(1, sizeof *form);
    *form = (ClassForm){ .form = { answer, NULL }, .count = count };
    form->arch = served->named->folder ? served->named->adapted.arch : s->options.session->base.adapted.arch;
    form->words = xcalloc((size_t)count, sizeof(json_t *));
    x->form = form;
    x->form_free = free_form;
    return x;
}

static void start(Service *s, HttpRequest *request, ServeExchange *x, bool ok, Refusal *r)
{
    if (!ok)
        service_drop(s, x);
    else if (service_start(s, request, x, r))
        http_wait(request);
}

/* The body is an image. */
static void answer_image(Service *s, HttpRequest *request, Refusal *r)
{
    ServedAdapter *served = service_choose(s, NULL, r);
    if (!served)
        return;
    ServeExchange *x = new_exchange(s, request, served, 1);
    start(s, request, x, take_image(s, &x->jobs[0], request->body.data, request->body.size, r), r);
}

static bool take_one(Service *s, ServeExchange *x, int64_t i, const ClassInput *input, bool cut, Refusal *r)
{
    ClassForm *form = x->form;
    if (s->options.session->base.adapted.arch->image_size == 0)
        return encode(s, &x->jobs[i], input, cut, &form->words[i], r);
    size_t n = 0;
    char *bytes = decode_base64(json_string_value(input->text), &n);
    const bool ok = bytes ? take_image(s, &x->jobs[i], bytes, n, r)
                          : refuse(r, 422, "inputs", NULL, "an image is the base64 text of a JPEG or PNG file");
    free(bytes);
    return ok;
}

static void classify(Service *s, HttpRequest *request, bool root, Refusal *r)
{
    const char *type = http_header(request, "Content-Type");
    const bool images = s->options.session->base.adapted.arch->image_size > 0;
    if (images && type && (text_starts(type, "image/") || text_starts(type, "application/octet-stream"))) {
        answer_image(s, request, r);
        return;
    }
    int64_t count = 0;
    bool listed = false, cut = false, raw = false;
    json_t *body = service_body(request, r);
    ClassInput *inputs = body && inputs_flag(&cut, body, "truncate", r) && inputs_flag(&raw, body, "raw_scores", r)
                             ? take_inputs(s, body, root, &count, &listed, r)
                             : NULL;
    ServedAdapter *served = inputs ? service_choose(s, body, r) : NULL;
    if (served) {
        ServeExchange *x = new_exchange(s, request, served, count);
        ClassForm *form = x->form;
        form->raw = raw;
        form->listed = listed && !(images && count == 1); /* as the Inference API answers an image */
        bool ok = true;
        for (int64_t i = 0; ok && i < count; i++)
            ok = take_one(s, x, i, &inputs[i], cut, r);
        start(s, request, x, ok, r);
    }
    free(inputs);
    json_decref(body);
}

void classes_predict(Service *s, HttpRequest *request, Refusal *r)
{
    classify(s, request, false, r);
}

void classes_root(Service *s, HttpRequest *request, Refusal *r)
{
    classify(s, request, true, r);
}
