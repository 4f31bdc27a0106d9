/* Questions of the golden cases beside Transformers and PEFT: windows with their labels, logits before and after training,
 * the gradient of the first step, the answers that are chosen. */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/slots/slots_tensor.h"
#include "launch/session.h"
#include "tests/support/folder.h"
#include "tests/support/must.h"
#include "worker/data/questions.h"
#include "worker/eval/measure_answers.h"
#include "worker/train/settings.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const cases[] = { "bert-qa", "modernbert-qa" };

typedef struct Case {
    const char *name;
    Config config;
    Session session;
    Dataset train, dev;
} Case;

static char *file_in(const Case *c, const char *file)
{
    return xprintf("tests/golden/%s/%s", c->name, file);
}

static void case_open(Case *c, const char *name, const char *adapter)
{
    Err err = { 0 };
    *c = (Case){ .name = name };
    char *run = file_in(c, "run.yaml"), *folder = file_in(c, adapter);
    must(config_load(&c->config, &(ConfigSources){ .file = run }, &err), &err);
    const SessionOptions o = { .model = c->config.model,
                               .adapter = folder,
                               .task = c->config.task,
                               .model_config = c->config.model_config,
                               .labels = &c->config.labels,
                               .max_length = c->config.data.max_length,
                               .most_tokens = 4096,
                               .threads = 1 };
    must(session_open(&c->session, &o, &err), &err);
    const DatasetOptions train = settings_data(&c->config, &c->config.data.train),
                         dev = settings_data(&c->config, &c->config.data.validation);
    const ModelArch *arch = c->session.base.adapted.arch;
    must(dataset_open(&c->train, &train, arch, c->session.base.tokenizer, &err), &err);
    must(dataset_open(&c->dev, &dev, arch, c->session.base.tokenizer, &err), &err);
    free(folder);
    free(run);
}

static void case_close(Case *c)
{
    dataset_release(&c->train);
    dataset_release(&c->dev);
    session_close(&c->session);
    config_release(&c->config);
}

/* The objects of a .jsonl file. */
static json_t *read_lines(const Case *c, const char *file)
{
    Err err = { 0 };
    size_t size;
    char *path = file_in(c, file), *text = file_read(path, &size, &err);
    must(text != NULL, &err);
    json_t *rows = json_array();
    for (char *at = text, *end; (end = strchr(at, '\n')); at = end + 1)
        json_array_append_new(rows, json_loadb(at, (size_t)(end - at), 0, NULL));
    free(text);
    free(path);
    return rows;
}

/* ---- windows ---------------------------------------------------------------------------------- */

static void check_window(const Case *c, const Dataset *data, int64_t w, const json_t *want)
{
    const Questions q = questions_view(data->notes);
    const int64_t from = data->start[w], width = data->start[w + 1] - from;
    const json_t *ids = json_object_get(want, "input_ids"), *types = json_object_get(want, "token_type_ids");
    const json_t *offsets = json_object_get(want, "offsets");
    const int64_t n = (int64_t)json_array_size(ids);
    assert_int_equal(q.real[w], n);
    assert_int_equal(width, c->config.data.padded ? c->config.data.max_length : n);
    assert_int_equal(types != NULL, data->types != NULL);
    for (int64_t t = 0; t < width; t++) {
        const json_t *place = t < n ? json_array_get(offsets, (size_t)t) : NULL;
        assert_int_equal(data->ids[from + t], t < n ? json_integer_value(json_array_get(ids, (size_t)t)) : q.pad_id);
        if (types)
            assert_int_equal(data->types[from + t], t < n ? json_integer_value(json_array_get(types, (size_t)t)) : 0);
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(q.offsets[2 * (from + t) + (int64_t)i],
                             json_is_array(place) ? json_integer_value(json_array_get(place, i)) : -1);
    }
    assert_int_equal((int64_t)data->goal[2 * w], json_integer_value(json_object_get(want, "start_positions")));
    assert_int_equal((int64_t)data->goal[2 * w + 1], json_integer_value(json_object_get(want, "end_positions")));
}

static void windows_and_labels_are_those_of_run_qa(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        Case c;
        case_open(&c, cases[k], "init");
        json_t *rows = read_lines(&c, "expected/encoded.jsonl"), *row;
        int64_t train = 0, dev = 0;
        size_t i;
        json_array_foreach(rows, i, row)
        {
            const bool first = strcmp(json_string_value(json_object_get(row, "split")), "train") == 0;
            assert_true(first ? train < c.train.count : dev < c.dev.count);
            check_window(&c, first ? &c.train : &c.dev, first ? train++ : dev++, row);
        }
        assert_int_equal(train, c.train.count);
        assert_int_equal(dev, c.dev.count);
        json_decref(rows);
        case_close(&c);
    }
}

/* ---- logits, gradient --------------------------------------------------------------------------- */

enum { LOGIT_WINDOWS = 8 };

static float *read_tensor(const SafeTensors *file, const char *name, int64_t count)
{
    Err err = { 0 };
    const TensorView *view = safetensors_find(file, name);
    assert_non_null(view);
    assert_int_equal(view->count, count);
    float *out = xcalloc((size_t)count, sizeof *out);
    must(tensor_to_f32(out, view, 0, count, &err), &err);
    return out;
}

static void check_logits(const char *name, const char *adapter, const char *when)
{
    Case c;
    Err err = { 0 };
    case_open(&c, name, adapter);
    char *path = file_in(&c, "expected/logits.safetensors");
    SafeTensors *file = safetensors_open(path, &err);
    must(file != NULL, &err);
    for (uint32_t w = 0; w < LOGIT_WINDOWS; w++) {
        char tensor[40];
        const Batch batch = batch_fill(&c.session.room, &c.dev, &w, 1, 0);
        must(session_predict(&c.session, &batch, &err), &err);
        snprintf(tensor, sizeof tensor, "%s.window%u", when, w);
        float *want = read_tensor(file, tensor, 2 * batch.N);
        for (int64_t i = 0; i < 2 * batch.N; i++)
            if (!(fabsf(c.session.logits[i] - want[i]) < 1e-5f * fmaxf(1, fabsf(want[i]))))
                fail_msg("%s %s: logit %lld is %g, should be %g", name, tensor, (long long)i,
                         (double)c.session.logits[i], (double)want[i]);
        free(want);
    }
    safetensors_close(file);
    free(path);
    case_close(&c);
}

static void logits_are_those_of_transformers_padded_places_too(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        check_logits(cases[k], "init", "before");
        check_logits(cases[k], "expected", "after");
    }
}

/* The head's bias has no gradient but rounding noise: softmax over places does not feel it. */
static bool is_noise(const Slot *slot)
{
    return text_ends(slot->name, "qa_outputs.bias") || text_ends(slot->name, "classifier.bias");
}

static void check_slots(const Case *c, const float *grad, double weight)
{
    Err err = { 0 };
    char *path = file_in(c, "expected/grads.safetensors");
    SafeTensors *file = safetensors_open(path, &err);
    must(file != NULL, &err);
    const SlotTable *table = c->session.base.adapted.table;
    assert_int_equal(safetensors_count(file), table->count);
    for (int i = 0; i < table->count; i++) {
        const Slot *slot = &table->slots[i];
        const TensorView *view = safetensors_find(file, slot->name);
        assert_non_null(view);
        float *want = xcalloc((size_t)slot->count, sizeof *want), most = 0, off = 0;
        must(slot_fits(slot, view, &err) && slot_read(want, slot, view, &err), &err);
        for (int64_t k = 0; k < slot->count; k++) {
            most = fmaxf(most, fabsf(want[k]));
            off = fmaxf(off, fabsf(grad[slot->offset + k] / (float)weight - want[k]));
        }
        if (!(off <= (is_noise(slot) ? 1e-6f : 1e-4f * most)))
            fail_msg("%s: off by %g of %g", slot->name, (double)off, (double)most);
        free(want);
    }
    safetensors_close(file);
    free(path);
}

static void check_gradient(const char *name)
{
    Case c;
    Err err = { 0 };
    case_open(&c, name, "init");
    json_t *steps = read_lines(&c, "expected/trajectory.jsonl");
    const json_t *step = json_array_get(steps, 0), *list = json_object_get(step, "rows");
    const int64_t B = (int64_t)json_array_size(list);
    uint32_t *rows = xcalloc((size_t)B, sizeof *rows);
    int64_t longest = 0;
    for (int64_t b = 0; b < B; b++) {
        rows[b] = (uint32_t)json_integer_value(json_array_get(list, (size_t)b));
        const int64_t T = c.train.start[rows[b] + 1] - c.train.start[rows[b]];
        longest = T > longest ? T : longest;
    }
    const Adapted *adapted = &c.session.base.adapted;
    const ModelOptions o = { .most_tokens = B * longest,
                             .most_sequences = B,
                             .longest = longest,
                             .training = true,
                             .threads = 1,
                             .untyped = true };
    Model *model = model_open(adapted->arch, adapted->table, &c.session.base.weights, &o, &err);
    must(model != NULL, &err);
    float *grad = xcalloc((size_t)adapted->table->size, sizeof *grad);
    const Batch batch = batch_fill(&c.session.room, &c.train, rows, B, longest);
    assert_int_equal(batch.N, B * longest);
    const BatchLoss loss = model_train(model, &batch, c.session.values, grad, 0);
    assert_float_equal(loss.sum / loss.weight, json_real_value(json_object_get(step, "loss")), 1e-5);
    check_slots(&c, grad, loss.weight);
    free(grad);
    free(rows);
    model_close(model);
    json_decref(steps);
    case_close(&c);
}

static void the_first_step_has_the_loss_and_the_gradient_of_peft(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
        check_gradient(cases[k]);
}

/* ---- answers -------------------------------------------------------------------------------------- */

static void expect_text(const Questions *q, int64_t question, const AnswerSpan *span, const json_t *want)
{
    size_t n, size;
    const char *context = questions_piece(q, question, 0, &n);
    const char *text = measure_answers_text(context, n, span, &size);
    if (json_string_length(want) != size || memcmp(json_string_value(want), text, size) != 0)
        fail_msg("question %lld: '%.*s' instead of '%s'", (long long)question, (int)size, text,
                 json_string_value(want));
}

static void check_answer(const Questions *q, int64_t question, const Spans *spans, const json_t *want)
{
    expect_text(q, question, spans->answer < 0 ? NULL : &spans->found[spans->answer], json_object_get(want, "text"));
    const json_t *odds = json_object_get(want, "null_odds"), *best = json_object_get(want, "nbest"), *one;
    if (json_is_real(odds))
        assert_float_equal(spans->odds, json_real_value(odds), 1e-4);
    size_t i;
    json_array_foreach(best, i, one)
    {
        const AnswerSpan *span = &spans->found[i];
        assert_true((int64_t)i < spans->count);
        expect_text(q, question, span, json_object_get(one, "text"));
        assert_float_equal((double)span->start_logit, json_number_value(json_object_get(one, "start_logit")), 1e-4);
        assert_float_equal((double)span->end_logit, json_number_value(json_object_get(one, "end_logit")), 1e-4);
        assert_float_equal(span->probability, json_number_value(json_object_get(one, "probability")), 1e-5);
    }
}

static void check_answers(const char *name)
{
    Case c;
    Err err = { 0 };
    case_open(&c, name, "expected");
    const Questions q = questions_view(c.dev.notes);
    const SpansOptions o = settings_spans(&c.config);
    json_t *answers = read_lines(&c, "expected/answers.jsonl");
    Spans spans = { 0 };
    assert_int_equal(json_array_size(answers), q.count);
    for (uint32_t w = 0; w < q.windows; w++) {
        const Batch batch = batch_fill(&c.session.room, &c.dev, &w, 1, 0);
        must(session_predict(&c.session, &batch, &err), &err);
        if (w == 0 || q.of[w - 1] != q.of[w])
            spans_begin(&spans);
        spans_add(&spans, &o, c.session.logits, q.offsets + 2 * c.dev.start[w], batch.N);
        if (w + 1 < q.windows && q.of[w + 1] == q.of[w])
            continue;
        spans_choose(&spans, &o);
        check_answer(&q, q.of[w], &spans, json_array_get(answers, (size_t)q.of[w]));
    }
    spans_release(&spans);
    json_decref(answers);
    case_close(&c);
}

static void answers_are_those_of_utils_qa(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
        check_answers(cases[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_and_labels_are_those_of_run_qa),
        cmocka_unit_test(logits_are_those_of_transformers_padded_places_too),
        cmocka_unit_test(the_first_step_has_the_loss_and_the_gradient_of_peft),
        cmocka_unit_test(answers_are_those_of_utils_qa),
    };
    return cmocka_run_group_tests(tests, test_cache_new, test_cache_drop);
}
