/* An adapter in one process: its task, its base, and logits as PEFT has them. */
#include "launch/session.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "launch/adapter_run.h"
#include "tests/support/folder.h"
#include "tests/support/model_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A folder with this adapter_config.json; test_folder_drop it. */
static char *adapter_with(const char *config)
{
    Err err = { 0 };
    char *folder = test_folder_new(), *path = path_join(folder, "adapter_config.json");
    must(file_write(path, config, strlen(config), &err), &err);
    free(path);
    return folder;
}

static bool task_of(const char *config, TaskType *task, Err *err)
{
    char *folder = adapter_with(config);
    *err = (Err){ 0 };
    const bool ok = adapter_run_task(task, folder, err);
    test_folder_drop(folder);
    return ok;
}

static void the_task_is_the_adapters(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        TaskType task;
    } known[] = {
        { "{\"peft_type\": \"LORA\", \"task_type\": \"SEQ_CLS\"}", TASK_SEQ_CLS },
        { "{\"peft_type\": \"LORA\", \"task_type\": \"TOKEN_CLS\"}", TASK_TOKEN_CLS },
        { "{\"peft_type\": \"LORA\", \"task_type\": \"CAUSAL_LM\"}", TASK_CAUSAL_LM },
        { "{\"peft_type\": \"LORA\", \"task_type\": \"SEQ_2_SEQ_LM\"}", TASK_SEQ_2_SEQ_LM },
        /* PEFT has no word for images: the class says it */
        { "{\"task_type\": null, \"auto_mapping\": {\"base_model_class\": \"ViTForImageClassification\"}}",
          TASK_IMAGE_CLS },
        { "{\"auto_mapping\": {\"base_model_class\": \"GPT2LMHeadModel\"}}", TASK_CAUSAL_LM },
        { "{\"auto_mapping\": {\"base_model_class\": \"RobertaForTokenClassification\"}}", TASK_TOKEN_CLS },
        { "{\"auto_mapping\": {\"base_model_class\": \"BertModel\"}}", TASK_FEATURE_EXTRACTION },
    };
    Err err;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        TaskType task = TASK_SEQ_CLS;
        must(task_of(known[i].config, &task, &err), &err);
        assert_int_equal(task, known[i].task);
    }
}

static void a_task_that_is_none_is_refused_with_its_file(void **state)
{
    (void)state;
    static const char *const bad[] = { "{\"peft_type\": \"LORA\", \"task_type\": \"MASKED_LM\"}",
                                       "{\"peft_type\": \"LORA\", \"task_type\": 3}", "{\"task_type\"",
                                       "{\"peft_type\": \"LORA\", \"task_type\": null}",
                                       "{\"auto_mapping\": {\"base_model_class\": \"BertForMaskedLM\"}}" };
    TaskType task;
    Err err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(task_of(bad[i], &task, &err));
        assert_int_equal(err_exit_code(&err), 2);
        if (!strstr(err.where, "adapter_config.json"))
            fail_msg("%s: %s (%s)", bad[i], err.what, err.where);
    }
    assert_false(task_of(bad[0], &task, &err));
    assert_string_equal(err.what, "task_type 'MASKED_LM' is not supported");
    assert_false(task_of(bad[3], &task, &err));
    assert_non_null(strstr(err.what, "its task_type is null"));
    assert_non_null(strstr(err.hint, "--task_type=SEQ_CLS"));
    assert_false(task_of(bad[4], &task, &err));
    assert_non_null(strstr(err.what, "'BertForMaskedLM' is the class of no task"));
}

static const StringList no_names = { 0 };

static void expect_no_base(const char *config, const char *what, const char *hint)
{
    char *folder = adapter_with(config);
    const SessionOptions o = { .adapter = folder, .task = TASK_SEQ_CLS, .labels = &no_names, .max_length = 32 };
    Session session;
    Err err = { 0 };
    assert_false(session_open(&session, &o, &err));
    session_close(&session);
    assert_string_equal(err.what, what);
    assert_string_equal(err.hint, hint);
    assert_non_null(strstr(err.where, "adapter_config.json"));
    assert_int_equal(err_exit_code(&err), 2);
    test_folder_drop(folder);
}

static void an_adapter_without_a_base_asks_for_one(void **state)
{
    (void)state;
    expect_no_base("{\"peft_type\": \"LORA\"}", "the adapter does not say which model it is for", "give --model=DIR");
    expect_no_base("{\"base_model_name_or_path\": 3}", "'base_model_name_or_path' is not a string", "");
}

static void an_adapter_of_an_older_peft_is_told_how_to_convert(void **state)
{
    (void)state;
    Err made = { 0 };
    char *top = test_folder_new(), *folder = xprintf("%s/%0200d/%0200d", top, 0, 0); /* a long path is a long command */
    char *config = path_join(folder, "adapter_config.json");
    must(folder_make(folder, &made) && file_write(config, "{\"task_type\": \"SEQ_CLS\"}", 24, &made), &made);
    free(config);
    const SessionOptions o = { .model = "tests/golden/bert-seqcls/model",
                               .adapter = folder,
                               .task = TASK_SEQ_CLS,
                               .labels = &no_names,
                               .max_length = 32 };
    for (int older = 0; older < 2; older++) {
        Session session;
        Err err = { 0 };
        char *path = path_join(folder, "adapter_model.bin");
        if (older)
            must(file_write(path, "x", 1, &err), &err);
        assert_false(session_open(&session, &o, &err));
        session_close(&session);
        assert_non_null(strstr(err.what, "no adapter_model.safetensors"));
        assert_int_equal(strstr(err.hint, "python3 -c") != NULL && strstr(err.hint, path) != NULL, older);
        if (older)
            assert_true(text_ends(err.hint, "/adapter_model.safetensors')\""));
        assert_int_equal(err_exit_code(&err), 2);
        free(path);
    }
    free(folder);
    test_folder_drop(top);
}

/* golden[g]'s trained adapter: labels are found in its head. */
static void check_logits(int g)
{
    char *adapter = xprintf("tests/golden/%s/expected", golden[g].name);
    char *model = xprintf("tests/golden/%s/model", golden[g].name), *path = path_join(adapter, "logits.safetensors");
    Subject *s = open_subject(g);
    const SessionOptions o = { .model = model,
                               .adapter = adapter,
                               .task = golden[g].task,
                               .labels = &no_names,
                               .problem = s->c.arch->head.problem,
                               .max_length = 64,
                               .most_tokens = 4096,
                               .threads = 1 };
    Packed p = pack(s, &s->dev, NULL, s->dev.count);
    Session session;
    Err err = { 0 };
    must(session_open(&session, &o, &err), &err);
    assert_int_equal(session.base.adapted.arch->head.labels, golden[g].labels);
    must(session_predict(&session, &p.batch, &err), &err);
    SafeTensors *file = safetensors_open(path, &err);
    must(file != NULL, &err);
    const TensorView *view = safetensors_find(file, "after.rows");
    assert_non_null(view);
    assert_int_equal(view->count, p.batch.B * golden[g].labels);
    float *want = xcalloc((size_t)view->count, sizeof *want);
    must(tensor_to_f32(want, view, 0, view->count, &err), &err);
    for (int64_t i = 0; i < view->count; i++)
        assert_true(fabsf(session.logits[i] - want[i]) < 1e-5f);
    free(want);
    safetensors_close(file);
    session_close(&session);
    unpack(&p);
    close_subject(s);
    free(path);
    free(model);
    free(adapter);
}

static void logits_are_pefts(void **state)
{
    (void)state;
    check_logits(0); /* bert-seqcls */
    check_logits(3); /* roberta-pair: a head of two layers */
    check_logits(7); /* gpt2-seqcls */
}

static void logits_that_are_not_finite_are_no_answer(void **state)
{
    (void)state;
    const SessionOptions of_texts = { .model = "tests/golden/bert-seqcls/model",
                                      .adapter = "tests/golden/bert-seqcls/expected",
                                      .task = TASK_SEQ_CLS,
                                      .labels = &no_names,
                                      .max_length = 32,
                                      .most_tokens = 64,
                                      .threads = 1 };
    const SessionOptions of_prompts = { .model = "tests/golden/gpt2-clm/model",
                                        .adapter = "tests/golden/gpt2-clm/expected",
                                        .task = TASK_CAUSAL_LM,
                                        .labels = &no_names,
                                        .max_length = 32,
                                        .most_tokens = 64,
                                        .threads = 1 };
    static const int64_t start[] = { 0, 3 }, example[] = { 0 };
    static const int32_t ids[] = { 2, 5, 3 }, types[3] = { 0 };
    const Batch batch = { .B = 1, .N = 3, .start = start, .ids = ids, .types = types, .example = example };
    const GeneratePrompts prompts = { 1, start, ids, example, NULL };
    const GenerateOptions few = { .sample = { .temperature = 1, .top_p = 1, .repetition_penalty = 1 },
                                  .max_new_tokens = 2,
                                  .positions = 32,
                                  .stop = &no_names };
    for (int large = 0; large < 2; large++) {
        Session session;
        TextEngine own;
        Err err = { 0 };
        must(session_open(&session, &of_texts, &err), &err);
        for (int64_t i = 0; large && i < session.base.adapted.table->size; i++)
            session.values[i] = 1e30f;
        assert_int_equal(session_predict(&session, &batch, &err), !large);
        session_close(&session);
        if (large)
            assert_int_equal(err_exit_code(&err), 5);
        err = (Err){ 0 };
        must(session_open(&session, &of_prompts, &err), &err);
        for (int64_t i = 0; large && i < session.base.adapted.table->size; i++)
            session.values[i] = 1e30f;
        must(session_writes(&session, &own, 1, &err), &err);
        Generated text;
        const GenerateEngine engine = text_engine(&own);
        assert_int_equal(generate(&text, &few, &prompts, &engine, session.base.tokenizer, &err), !large);
        if (large)
            assert_string_equal(err.what, "the model's logits are not finite");
        generated_release(&text);
        text_engine_close(&own);
        session_close(&session);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_task_is_the_adapters),
        cmocka_unit_test(a_task_that_is_none_is_refused_with_its_file),
        cmocka_unit_test(an_adapter_without_a_base_asks_for_one),
        cmocka_unit_test(an_adapter_of_an_older_peft_is_told_how_to_convert),
        cmocka_unit_test(logits_are_pefts),
        cmocka_unit_test(logits_that_are_not_finite_are_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
