/* The rows of the golden cases: token ids, token types and labels as Transformers gives them, and
 * batches made of them. */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/tensor/safetensors.h"
#include "tests/support/folder.h"
#include "worker/data/pictures.h"
#include "worker/train/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a case, opened ------------------------------------------------------------------- */

typedef struct Case {
    Config config;
    ModelArch *arch;
    Tokenizer *tokenizer;
    Dataset train, validation;
    json_t *rows; /* of expected/encoded.jsonl */
} Case;

static void check(bool ok, const Err *err)
{
    if (!ok)
        fail_msg("%s | %s | %s", err->what, err->where, err->hint);
}

static json_t *read_rows(const char *path)
{
    Err err = { 0 };
    size_t size;
    char *text = file_read(path, &size, &err);
    check(text != NULL, &err);
    json_t *rows = json_array();
    for (char *at = text, *end; (end = strchr(at, '\n')); at = end + 1)
        json_array_append_new(rows, json_loadb(at, (size_t)(end - at), 0, NULL));
    free(text);
    return rows;
}

static void case_open(Case *c, const char *name)
{
    Err err = { 0 };
    *c = (Case){ 0 };
    char *folder = path_join("tests/golden", name);
    char *run = path_join(folder, "run.yaml"), *expected = path_join(folder, "expected/encoded.jsonl");
    check(config_load(&c->config, &(ConfigSources){ .file = run }, &err), &err);
    const Config *f = &c->config;
    c->arch = arch_open(f->model, f->model_config, f->task, &f->labels, f->label_count, f->problem_type, &err);
    check(c->arch != NULL, &err);
    if (f->task != TASK_IMAGE_CLS)
        check((c->tokenizer = tokenizer_open(f->model, &err)) != NULL, &err);
    const DatasetOptions train = settings_data(f, &f->data.train), held = settings_data(f, &f->data.validation);
    check(dataset_open(&c->train, &train, c->arch, c->tokenizer, &err), &err);
    check(dataset_open(&c->validation, &held, c->arch, c->tokenizer, &err), &err);
    c->rows = read_rows(expected);
    free(expected);
    free(run);
    free(folder);
}

static void case_close(Case *c)
{
    json_decref(c->rows);
    dataset_release(&c->train);
    dataset_release(&c->validation);
    tokenizer_close(c->tokenizer);
    arch_close(c->arch);
    config_release(&c->config);
}

/* ---- rows ------------------------------------------------------------------------------- */

static void check_ints(const json_t *want, const int32_t *got, int64_t n, const char *what, size_t row)
{
    if ((int64_t)json_array_size(want) != n)
        fail_msg("row %zu: %lld %s instead of %zu", row, (long long)n, what, json_array_size(want));
    for (int64_t i = 0; i < n; i++)
        if (json_integer_value(json_array_get(want, (size_t)i)) != got[i])
            fail_msg("row %zu: %s[%lld] is %d instead of %lld", row, what, (long long)i, got[i],
                     json_integer_value(json_array_get(want, (size_t)i)));
}

/* labels as Transformers has them; a language model's are shifted here. */
static void check_token_goals(const Case *c, const json_t *labels, const int32_t *goal, int64_t n, size_t row)
{
    json_t *want = json_deep_copy(labels);
    if (c->config.task == TASK_CAUSAL_LM) {
        json_array_remove(want, 0);
        json_array_append_new(want, json_integer(-100));
    }
    check_ints(want, goal, n, "goals", row);
    json_decref(want);
}

static void check_goal(const json_t *labels, const float *goal, int64_t width, size_t row)
{
    for (int64_t i = 0; i < width; i++) {
        const json_t *want = json_is_array(labels) ? json_array_get(labels, (size_t)i) : labels;
        if ((float)json_number_value(want) != goal[i])
            fail_msg("row %zu: goal %lld is %g instead of %g", row, (long long)i, (double)goal[i],
                     json_number_value(want));
    }
}

/* A source, then what its target is read from: the token that it begins behind, and it but for its last. */
static void check_pair(const Case *c, const Dataset *data, int64_t i, const json_t *want, size_t row)
{
    json_t *labels = json_object_get(want, "labels");
    json_t *ids = json_deep_copy(json_object_get(want, "input_ids")), *goals = json_array();
    const int64_t from = data->start[i], n = data->start[i + 1] - from, S = (int64_t)json_array_size(ids);
    for (int64_t t = 0; t < S; t++)
        json_array_append_new(goals, json_integer(-100));
    json_array_append_new(ids, json_integer((json_int_t)c->arch->start_id));
    json_array_extend(ids, labels);
    json_array_remove(ids, json_array_size(ids) - 1);
    json_array_extend(goals, labels);
    check_ints(ids, data->ids + from, n, "ids", row);
    check_ints(goals, data->token_goal + from, n, "goals", row);
    for (int64_t t = 0; t < n; t++)
        assert_int_equal(data->types[from + t], t >= S);
    json_decref(ids);
    json_decref(goals);
}

static void check_row(const Case *c, const Dataset *data, int64_t i, const json_t *want, size_t row)
{
    const int64_t from = data->start[i], n = data->start[i + 1] - from;
    const json_t *labels = json_object_get(want, "labels"), *types = json_object_get(want, "token_type_ids");
    if (c->arch->source_layers > 0) {
        check_pair(c, data, i, want, row);
        return;
    }
    if (data->images)
        assert_string_equal(strchr(data->images + data->image_at[i], ':') + 1,
                            json_string_value(json_object_get(want, "file")));
    else
        check_ints(json_object_get(want, "input_ids"), data->ids + from, n, "ids", row);
    assert_int_equal(c->arch->types > 1, data->types != NULL); /* DeBERTa v3 is given types, and has no table of them */
    if (types && data->types)
        check_ints(types, data->types + from, n, "types", row);
    for (int64_t t = 0; !types && data->types && t < n; t++)
        assert_int_equal(data->types[from + t], 0);
    if (data->token_goal)
        check_token_goals(c, labels, data->token_goal + from, n, row);
    else
        check_goal(labels, data->goal + i * data->goal_width, data->goal_width, row);
}

static void check_case(const char *name)
{
    Case c;
    case_open(&c, name);
    int64_t train = 0, held = 0;
    size_t i;
    json_t *row;
    json_array_foreach(c.rows, i, row)
    {
        const bool first = strcmp(json_string_value(json_object_get(row, "split")), "train") == 0;
        assert_true(first ? train < c.train.count : held < c.validation.count);
        check_row(&c, first ? &c.train : &c.validation, first ? train++ : held++, row, i);
    }
    assert_int_equal(train, c.train.count);
    assert_int_equal(held, c.validation.count);
    case_close(&c);
}

#define CASE(name, folder)                                                                                             \
    static void name(void **state)                                                                                     \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        check_case(folder);                                                                                            \
    }
CASE(a_text_with_a_label_is_encoded_as_in_transformers, "bert-seqcls")
CASE(a_list_of_labels_is_encoded_as_in_transformers, "bert-multilabel")
CASE(words_with_tags_are_encoded_as_in_run_ner, "bert-tokcls")
CASE(a_pair_is_cut_from_its_longer_text, "roberta-pair")
CASE(a_number_is_a_goal_of_regression, "distilbert-regress")
CASE(a_text_without_special_tokens_has_its_label, "gpt2-seqcls")
CASE(completions_are_learnt_as_in_trl, "gpt2-clm")
CASE(blocks_are_cut_as_in_run_clm, "gpt2-text")
CASE(completions_with_a_first_token_are_learnt_as_in_trl, "llama-clm")
CASE(completions_of_a_byte_level_model_are_learnt_as_in_trl, "qwen2-clm")
CASE(images_come_by_class_and_name, "vit-imgcls")

/* ---- images --------------------------------------------------------------------------------- */

/* expected/pixels.safetensors holds a few of the validation images, by name. */
static void images_have_the_pixels_of_transformers(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    case_open(&c, "vit-imgcls");
    SafeTensors *want = safetensors_open("tests/golden/vit-imgcls/expected/pixels.safetensors", &err);
    check(want != NULL, &err);
    Pictures pictures;
    BatchRoom room = { 0 };
    const int64_t n = pictures_floats(c.arch);
    check(
        pictures_open(&pictures, &c.validation, c.arch, &(PicturesOptions){ .files = &c.config.data.validation }, &err),
        &err);
    check(batch_room(&room, &(BatchSize){ c.arch->positions, 1, 1, n }, &err), &err);
    assert_int_equal(pictures.good_count, c.validation.count);
    int found = 0;
    for (uint32_t i = 0; i < (uint32_t)c.validation.count; i++) {
        const TensorView *t = safetensors_find(want, strchr(c.validation.images + c.validation.image_at[i], ':') + 1);
        if (!t)
            continue;
        Batch batch = batch_fill(&room, &c.validation, &i, 1, 0);
        check(pictures_fill(&pictures, &room, &batch, 0, &err), &err);
        assert_int_equal(batch.N, c.arch->positions);
        assert_null(batch.ids);
        for (int64_t k = 0; k < n; k++) { /* the golden ones are rounded in other places */
            float value;
            memcpy(&value, (const char *)t->data + (size_t)k * sizeof value, sizeof value);
            assert_float_equal(batch.pixels[k], value, 1e-6f);
        }
        found++;
    }
    assert_true(found > 0);
    safetensors_close(want);
    batch_release(&room);
    pictures_close(&pictures);
    case_close(&c);
}

/* ---- batches -------------------------------------------------------------------------------- */

static void a_batch_has_the_goals_of_its_tokens(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    case_open(&c, "bert-tokcls");
    BatchRoom room = { 0 };
    check(batch_room(&room, &(BatchSize){ 3 * c.train.longest, 3, 0, 0 }, &err), &err);
    const uint32_t rows[] = { 7, 2, 11 };
    const Batch batch = batch_fill(&room, &c.train, rows, 3, 0);
    assert_int_equal(batch.B, 3);
    assert_null(batch.goal);
    for (int64_t b = 0; b < 3; b++) {
        const int64_t from = c.train.start[rows[b]], n = c.train.start[rows[b] + 1] - from;
        assert_int_equal(batch.example[b], rows[b]);
        assert_int_equal(batch.start[b + 1] - batch.start[b], n);
        assert_memory_equal(batch.ids + batch.start[b], c.train.ids + from, (size_t)n * sizeof(int32_t));
        assert_memory_equal(batch.token_goal + batch.start[b], c.train.token_goal + from, (size_t)n * sizeof(int32_t));
    }
    assert_int_equal(batch.N, batch.start[3]);
    batch_release(&room);
    case_close(&c);
}

/* Unigram with a table of characters, WordPiece with other ends, byte-level BPE that is normalised. */
static void rows_of_every_encoder_are_those_of_transformers(void **state)
{
    (void)state;
    static const char *const names[] = { "electra-pair",      "mpnet-seqcls",      "albert-seqcls",
                                         "modernbert-seqcls", "modernbert-tokcls", "deberta-v3-seqcls",
                                         "deberta-v2-tokcls", "deberta-v1-seqcls" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_case(names[i]);
}

/* Tokenizers of their own: byte fallback, digits, sets within sets, classes that are not theirs. */
static void rows_of_every_decoder_are_those_of_transformers(void **state)
{
    (void)state;
    static const char *const names[] = { "gemma-clm",      "gemma2-clm",   "gemma3-clm",  "phi3-clm",
                                         "phi3-long",      "gpt_neox-clm", "phi-clm",     "granite-clm",
                                         "olmo2-clm",      "stablelm-clm", "smollm3-clm", "falcon-clm",
                                         "falcon_new-clm", "bloom-clm",    "gptj-clm",    "cohere-clm" };
    static const char *const pairs[] = { "t5-seq2seq", "flan_t5-seq2seq", "bart-seq2seq" };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        check_case(pairs[i]);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_case(names[i]);
}

static void a_second_opening_maps_what_the_first_has_encoded(void **state)
{
    (void)state;
    Case a, b;
    case_open(&a, "bert-tokcls");
    case_open(&b, "bert-tokcls");
    assert_int_equal(a.train.digest, b.train.digest);
    assert_int_equal(a.train.block_size, b.train.block_size);
    assert_memory_equal(a.train.token_goal, b.train.token_goal, (size_t)a.train.start[a.train.count] * 4);
    case_close(&a);
    case_close(&b);
}

static void rows_that_cannot_be_kept_are_told_unless_they_are_kept_already(void **state)
{
    (void)state;
    Case c;
    Err err = { 0 };
    case_open(&c, "bert-seqcls");
    const DatasetOptions kept = settings_data(&c.config, &c.config.data.train);
    DatasetOptions other = kept;
    other.max_length--;
    assert_true(dataset_can_keep(&other, c.arch, c.tokenizer, &err));
    char *in_the_way = xprintf("%s/check.%ld.tmp", getenv("LORA_CACHE"), (long)getpid());
    check(folder_make(in_the_way, &err), &err); /* no file can have this name: as in a folder that is read-only */
    assert_false(dataset_can_keep(&other, c.arch, c.tokenizer, &err));
    assert_non_null(strstr(err.hint, "set LORA_CACHE"));
    err = (Err){ 0 };
    check(dataset_can_keep(&kept, c.arch, c.tokenizer, &err), &err);
    assert_int_equal(err.kind, ERR_NONE);
    check(folder_remove(in_the_way, &err), &err);
    free(in_the_way);
    case_close(&c);
}

/* ---- all ---------------------------------------------------------------------------------------- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_with_a_label_is_encoded_as_in_transformers),
        cmocka_unit_test(rows_that_cannot_be_kept_are_told_unless_they_are_kept_already),
        cmocka_unit_test(a_list_of_labels_is_encoded_as_in_transformers),
        cmocka_unit_test(words_with_tags_are_encoded_as_in_run_ner),
        cmocka_unit_test(a_pair_is_cut_from_its_longer_text),
        cmocka_unit_test(a_number_is_a_goal_of_regression),
        cmocka_unit_test(a_text_without_special_tokens_has_its_label),
        cmocka_unit_test(completions_are_learnt_as_in_trl),
        cmocka_unit_test(blocks_are_cut_as_in_run_clm),
        cmocka_unit_test(completions_with_a_first_token_are_learnt_as_in_trl),
        cmocka_unit_test(completions_of_a_byte_level_model_are_learnt_as_in_trl),
        cmocka_unit_test(images_come_by_class_and_name),
        cmocka_unit_test(images_have_the_pixels_of_transformers),
        cmocka_unit_test(a_batch_has_the_goals_of_its_tokens),
        cmocka_unit_test(rows_of_every_decoder_are_those_of_transformers),
        cmocka_unit_test(rows_of_every_encoder_are_those_of_transformers),
        cmocka_unit_test(a_second_opening_maps_what_the_first_has_encoded),
    };
    return cmocka_run_group_tests(tests, test_cache_new, test_cache_drop);
}
