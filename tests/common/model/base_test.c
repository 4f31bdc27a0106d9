/* Models that are not what they say: golden models with tensors more, fewer and renamed. What Transformers
 * 5.23 leaves over without harm (buffers of older versions, poolers, heads of its other classes) is fine. */
#include "common/model/base.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "tests/support/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A golden model, changed. */
typedef struct Change {
    const char *golden;
    TaskType task;
    const char *more[4]; /* names of tensors added unless they are there, one float each */
    const char *cut, *put; /* names that begin with `cut` begin with `put` instead; NULL: none */
    const char *key, *value; /* of config.json, as JSON; NULL: none */
    const char *overrides; /* model_config, as JSON; NULL: none */
    int64_t labels; /* of the run; 0: as the model says */
    float added; /* the number of tensors that are added */
} Change;

static void write_config(const char *from, const char *folder, const Change *c)
{
    Err err = { 0 };
    char *source = path_join(from, "config.json"), *target = path_join(folder, "config.json");
    json_t *config = json_file(source, &err);
    must(config != NULL, &err);
    if (c->key)
        json_object_set_new(config, c->key, json_loads(c->value, JSON_DECODE_ANY, NULL));
    must(json_write(target, config, &err), &err);
    json_decref(config);
    free(source);
    free(target);
}

/* A folder with the changed model. */
static char *make(const Change *c)
{
    Err err = { 0 };
    char *from = xprintf("tests/golden/%s/model", c->golden), *folder = xstrdup("/tmp/base-XXXXXX");
    assert_non_null(mkdtemp(folder));
    write_config(from, folder, c);
    SafeTensors *st = safetensors_open_model(from, &err);
    must(st != NULL, &err);
    const int64_t count = safetensors_count(st);
    int64_t most = 1;
    for (int64_t i = 0; i < count; i++)
        most = safetensors_at(st, i)->count > most ? safetensors_at(st, i)->count : most;
    float *zeros = xcalloc((size_t)most, sizeof *zeros); /* names and shapes are what is asked for */
    TensorOut *out = xcalloc((size_t)count + 4, sizeof *out);
    char **names = xcalloc((size_t)count, sizeof *names);
    for (int64_t i = 0; i < count; i++) {
        const TensorView *t = safetensors_at(st, i);
        const bool hit = c->cut && text_starts(t->name, c->cut);
        names[i] = xprintf("%s%s", hit ? c->put : "", t->name + (hit ? strlen(c->cut) : 0));
        out[i] = (TensorOut){ .name = names[i], .dims = t->dims, .data = zeros };
        memcpy(out[i].dim, t->dim, sizeof out[i].dim);
    }
    int n = (int)count;
    for (int i = 0; i < 4 && c->more[i]; i++)
        if (!safetensors_find(st, c->more[i]))
            out[n++] = (TensorOut){ .name = c->more[i], .dims = 1, .dim = { 1 }, .data = &c->added };
    char *path = path_join(folder, "model.safetensors");
    must(safetensors_write(path, out, n, &err), &err);
    for (int64_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    free(out);
    free(zeros);
    free(path);
    free(from);
    safetensors_close(st);
    return folder;
}

/* What base_check says in *err, and base_doubts in *doubts, which the caller releases. */
static bool try(const Change *c, Err *err, Text *doubts)
{
    const StringList none = { 0 };
    char *folder = make(c);
    json_t *overrides = c->overrides ? json_loads(c->overrides, 0, NULL) : NULL;
    ModelArch *arch = arch_open(folder, overrides, c->task, &none, c->labels, PROBLEM_AUTO, err);
    SafeTensors *files = arch ? safetensors_open_model(folder, err) : NULL;
    const bool ok = files && base_check(arch, files, err);
    if (ok)
        base_doubts(arch, files, doubts);
    safetensors_close(files);
    arch_close(arch);
    json_decref(overrides);
    must(folder_remove(folder, &(Err){ 0 }), err);
    free(folder);
    return ok;
}

/* said: in the doubts, or NULL for none at all. */
static void fine(const Change *c, const char *said)
{
    Err err = { 0 };
    Text doubts = { 0 };
    const bool ok = try(c, &err, &doubts);
    if (!ok)
        fail_msg("%s with '%s': %s | %s", c->golden, c->more[0] ? c->more[0] : "", err.what, err.hint);
    if (said ? !doubts.data || !strstr(doubts.data, said) : doubts.size > 0)
        fail_msg("%s with '%s': it says '%s'", c->golden, c->more[0] ? c->more[0] : "", doubts.data ? doubts.data : "");
    text_release(&doubts);
}

static void refused(const Change *c, const char *what, const char *hint)
{
    Err err = { 0 };
    Text doubts = { 0 };
    if (try(c, &err, &doubts))
        fail_msg("%s with '%s' is taken", c->golden, c->more[0] ? c->more[0] : "");
    if (!strstr(err.what, what) || !strstr(err.hint, hint))
        fail_msg("%s: %s | %s | %s", c->golden, err.what, err.where, err.hint);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.where, "model.safetensors"));
}

static void golden_models_are_what_they_say(void **state)
{
    (void)state;
    static const Change all[] = {
        { .golden = "bert-seqcls", .task = TASK_SEQ_CLS },
        { .golden = "bert-multilabel", .task = TASK_SEQ_CLS },
        { .golden = "bert-tokcls", .task = TASK_TOKEN_CLS },
        { .golden = "bert-seqcls", .task = TASK_TOKEN_CLS }, /* leaves the pooler over */
        { .golden = "roberta-pair", .task = TASK_SEQ_CLS },
        { .golden = "roberta-pair", .task = TASK_TOKEN_CLS },
        { .golden = "distilbert-regress", .task = TASK_SEQ_CLS },
        { .golden = "gpt2-clm", .task = TASK_CAUSAL_LM },
        { .golden = "gpt2-clm", .task = TASK_TOKEN_CLS },
        { .golden = "gpt2-seqcls", .task = TASK_SEQ_CLS },
        { .golden = "llama-clm", .task = TASK_CAUSAL_LM },
        { .golden = "llama-clm", .task = TASK_SEQ_CLS }, /* leaves lm_head over */
        { .golden = "qwen2-clm", .task = TASK_CAUSAL_LM },
        { .golden = "vit-imgcls", .task = TASK_IMAGE_CLS },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        fine(&all[i], NULL);
}

static void buffers_and_other_heads_may_be_left_over(void **state)
{
    (void)state;
    static const Change all[] = {
        { .golden = "bert-seqcls",
          .task = TASK_SEQ_CLS,
          .more = { "bert.embeddings.position_ids", "cls.seq_relationship.bias", "qa_outputs.weight",
                    "cls.predictions.decoder.bias" } },
        { .golden = "bert-seqcls",
          .task = TASK_TOKEN_CLS,
          .cut = "bert.",
          .put = "",
          .more = { "embeddings.position_ids" } },
        { .golden = "roberta-pair",
          .task = TASK_SEQ_CLS,
          .more = { "roberta.embeddings.position_ids", "roberta.pooler.dense.weight", "lm_head.decoder.bias",
                    "classifier.weight" } },
        { .golden = "distilbert-regress",
          .task = TASK_SEQ_CLS,
          .more = { "distilbert.embeddings.position_ids", "qa_outputs.bias" } },
        { .golden = "gpt2-clm",
          .task = TASK_CAUSAL_LM,
          .more = { "transformer.h.0.attn.bias", "transformer.h.1.attn.masked_bias", "score.weight",
                    "multiple_choice_head.summary.bias" } },
        { .golden = "gpt2-clm",
          .task = TASK_CAUSAL_LM,
          .cut = "transformer.",
          .put = "",
          .more = { "h.0.attn.bias", "h.0.attn.masked_bias" } },
        { .golden = "llama-clm",
          .task = TASK_CAUSAL_LM,
          .more = { "model.layers.0.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq", "score.weight" } },
        { .golden = "qwen2-clm",
          .task = TASK_SEQ_CLS,
          .more = { "model.layers.0.self_attn.rotary_emb.inv_freq", "qa_outputs.bias" } },
        { .golden = "vit-imgcls",
          .task = TASK_IMAGE_CLS,
          .more = { "vit.pooler.dense.bias", "vit.embeddings.mask_token", "decoder.0.weight" } },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        fine(&all[i], NULL);
}

static void what_belongs_to_the_body_may_not(void **state)
{
    (void)state;
    static const Change all[] = {
        { .golden = "bert-seqcls",
          .task = TASK_SEQ_CLS,
          .more = { "bert.encoder.layer.0.attention.self.distance_embedding.weight" } },
        { .golden = "bert-seqcls",
          .task = TASK_SEQ_CLS,
          .more = { "bert.encoder.layer.1.crossattention.self.query.weight" } },
        { .golden = "bert-seqcls",
          .task = TASK_SEQ_CLS,
          .cut = "bert.",
          .put = "",
          .more = { "embeddings_project.weight" } },
        { .golden = "roberta-pair", .task = TASK_SEQ_CLS, .more = { "roberta.encoder.layer.0.adapter.up.weight" } },
        { .golden = "distilbert-regress",
          .task = TASK_SEQ_CLS,
          .more = { "distilbert.embeddings.token_type_embeddings.weight" } },
        { .golden = "gpt2-clm", .task = TASK_CAUSAL_LM, .more = { "transformer.h.0.attn.q_norm.weight" } },
        { .golden = "gpt2-clm", .task = TASK_CAUSAL_LM, .more = { "transformer.h.0.crossattention.c_attn.weight" } },
        { .golden = "gpt2-clm", .task = TASK_CAUSAL_LM, .more = { "lm_head.bias" } },
        { .golden = "llama-clm", .task = TASK_CAUSAL_LM, .more = { "model.layers.0.self_attn.q_norm.weight" } },
        { .golden = "llama-clm", .task = TASK_SEQ_CLS, .more = { "model.layers.1.self_attn.q_proj.bias" } },
        { .golden = "llama-clm",
          .task = TASK_CAUSAL_LM,
          .more = { "model.layers.0.pre_feedforward_layernorm.weight" } },
        { .golden = "llama-clm", .task = TASK_CAUSAL_LM, .more = { "lm_head.bias" } },
        { .golden = "qwen2-clm", .task = TASK_CAUSAL_LM, .more = { "model.layers.0.self_attn.o_proj.bias" } },
        { .golden = "qwen2-clm", .task = TASK_CAUSAL_LM, .more = { "model.mm_projector.weight" } },
        { .golden = "vit-imgcls", .task = TASK_IMAGE_CLS, .more = { "vit.embeddings.distillation_token" } },
        { .golden = "vit-imgcls", .task = TASK_IMAGE_CLS, .more = { "vit.encoder.layer.0.layer_scale1.lambda1" } },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char *what = xprintf("nothing reads '%s' of the model's tensors", all[i].more[0]);
        refused(&all[i], what, "model_type '");
        free(what);
    }
    refused(&(Change){ .golden = "llama-clm",
                       .task = TASK_CAUSAL_LM,
                       .more = { "model.layers.0.a.weight", "model.layers.0.b.weight", "model.layers.0.c.weight",
                                 "model.layers.1.d.weight" },
                       .key = "architectures",
                       .value = "[\"Qwen3ForCausalLM\"]" },
            "nothing reads 'model.layers.0.a.weight', 'model.layers.0.b.weight', 'model.layers.0.c.weight' and 1 more",
            "model_type 'llama' and architectures 'Qwen3ForCausalLM'");
}

static void what_nothing_adds_has_to_be_0(void **state)
{
    (void)state;
    Change c = { .golden = "bart-seq2seq", .task = TASK_SEQ_2_SEQ_LM, .more = { "final_logits_bias" } };
    fine(&c, NULL);
    c.added = 0.5f;
    refused(&c, "number 0 of it is 0.5", "'final_logits_bias' is 0");
}

static void marks_of_other_tools_are_known(void **state)
{
    (void)state;
    refused(&(Change){ .golden = "llama-clm",
                       .task = TASK_CAUSAL_LM,
                       .more = { "model.layers.0.self_attn.q_proj.weight_scale" } },
            "nothing reads", "quantised");
    refused(&(Change){ .golden = "bert-seqcls",
                       .task = TASK_SEQ_CLS,
                       .more = { "bert.encoder.layer.0.attention.self.query.lora_A.default.weight" } },
            "nothing reads", "merge it");
}

static void more_layers_than_config_json_says_are_taken_on_purpose_only(void **state)
{
    (void)state;
    static const Change all[] = {
        { .golden = "bert-multilabel",
          .task = TASK_SEQ_CLS,
          .key = "num_hidden_layers",
          .value = "2",
          .overrides = "{\"num_hidden_layers\": 2}" },
        { .golden = "gpt2-clm",
          .task = TASK_CAUSAL_LM,
          .key = "n_layer",
          .value = "1",
          .overrides = "{\"n_layer\": 1}" },
        { .golden = "distilbert-regress",
          .task = TASK_SEQ_CLS,
          .key = "n_layers",
          .value = "1",
          .overrides = "{\"n_layers\": 1}" },
        { .golden = "llama-clm",
          .task = TASK_CAUSAL_LM,
          .key = "num_hidden_layers",
          .value = "1",
          .overrides = "{\"num_hidden_layers\": 1}" },
        { .golden = "vit-imgcls",
          .task = TASK_IMAGE_CLS,
          .key = "num_hidden_layers",
          .value = "1",
          .overrides = "{\"num_hidden_layers\": 1}" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        Change c = all[i];
        fine(&c, NULL);
        c.overrides = NULL;
        refused(&c, "nothing reads '", "model_config: {num_hidden_layers: ");
    }
}

static void what_stands_beside_the_body_is_said(void **state)
{
    (void)state;
    fine(&(Change){ .golden = "bert-seqcls", .task = TASK_SEQ_CLS, .more = { "crf.transitions" } },
         "nothing reads 'crf.transitions' of the model's tensors");
    fine(&(Change){ .golden = "gpt2-clm", .task = TASK_CAUSAL_LM, .more = { "v_head.summary.weight" } },
         "'v_head.summary.weight'");
}

static void architectures_that_contradict_are_said(void **state)
{
    (void)state;
    static const struct {
        const char *golden;
        TaskType task;
        const char *architectures;
        const char *said;
    } all[] = {
        { "llama-clm", TASK_CAUSAL_LM, "[\"MistralForCausalLM\"]",
          "architectures say 'MistralForCausalLM', its model_type says 'llama'" },
        { "qwen2-clm", TASK_CAUSAL_LM, "[\"Qwen2MoeForCausalLM\"]", "'Qwen2MoeForCausalLM'" },
        { "bert-seqcls", TASK_SEQ_CLS, "[\"RobertaForMaskedLM\", \"X\"]", "'RobertaForMaskedLM', 'X'" },
        { "bert-seqcls", TASK_SEQ_CLS, "[\"BertGenerationEncoder\"]", "'BertGenerationEncoder'" },
        { "vit-imgcls", TASK_IMAGE_CLS, "[\"DeiTForImageClassification\"]", "'DeiTForImageClassification'" },
        { "llama-clm", TASK_CAUSAL_LM, "[\"LLaMAForCausalLM\"]", NULL },
        { "gpt2-clm", TASK_CAUSAL_LM, "[\"GPT2DoubleHeadsModel\"]", NULL },
        { "bert-seqcls", TASK_SEQ_CLS, "[\"BertModel\"]", NULL },
        { "roberta-pair", TASK_SEQ_CLS, "[\"MyOwn\", \"RobertaModel\"]", NULL },
        { "distilbert-regress", TASK_SEQ_CLS, "[]", NULL },
        { "distilbert-regress", TASK_SEQ_CLS, "null", NULL },
        { "distilbert-regress", TASK_SEQ_CLS, "\"DistilBertModel\"", NULL },
        { "distilbert-regress", TASK_SEQ_CLS, "[7, null]", NULL },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        fine(
            &(Change){
                .golden = all[i].golden, .task = all[i].task, .key = "architectures", .value = all[i].architectures },
            all[i].said);
}

static void names_of_others_are_explained(void **state)
{
    (void)state;
    refused(&(Change){ .golden = "bert-seqcls", .task = TASK_SEQ_CLS, .cut = "bert.", .put = "module.bert." },
            "there is no tensor 'bert.embeddings.word_embeddings.weight', nor any other of such a model",
            "there is 'module.bert.embeddings.word_embeddings.weight': names begin with 'bert.' or without it");
    refused(&(Change){ .golden = "bert-seqcls", .task = TASK_SEQ_CLS, .cut = "bert.", .put = "_orig_mod." },
            "nor any other of such a model", "there is '_orig_mod.embeddings.word_embeddings.weight'");
    refused(&(Change){ .golden = "bert-seqcls", .task = TASK_SEQ_CLS, .cut = "bert.", .put = "electra." },
            "nor any other of such a model", "names that Transformers gives to a BertForSequenceClassification");
    refused(&(Change){ .golden = "vit-imgcls", .task = TASK_IMAGE_CLS, .cut = "vit.", .put = "v/" },
            "nor any other of such a model", "names that Transformers gives to a ViTForImageClassification");
    refused(&(Change){ .golden = "llama-clm", .task = TASK_CAUSAL_LM, .cut = "model.norm.", .put = "model.final." },
            "there is no tensor 'model.norm.weight'", "with and without 'model.'");
}

static void config_json_and_the_weights_have_to_agree(void **state)
{
    (void)state;
    static const Change all[] = {
        { .golden = "bert-seqcls", .task = TASK_SEQ_CLS, .key = "vocab_size", .value = "30522" },
        { .golden = "llama-clm", .task = TASK_CAUSAL_LM, .key = "vocab_size", .value = "33" },
        { .golden = "gpt2-clm", .task = TASK_CAUSAL_LM, .key = "n_positions", .value = "7" },
        { .golden = "roberta-pair", .task = TASK_SEQ_CLS, .key = "intermediate_size", .value = "48" },
        { .golden = "qwen2-clm", .task = TASK_CAUSAL_LM, .key = "num_key_value_heads", .value = "1" },
        { .golden = "vit-imgcls", .task = TASK_IMAGE_CLS, .key = "image_size", .value = "64" },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        refused(&all[i], "config.json says [", "of different models");
    refused(&(Change){ .golden = "bert-seqcls", .task = TASK_SEQ_CLS, .key = "num_hidden_layers", .value = "5" },
            "there is no tensor 'bert.encoder.layer.2.", "with and without");
}

static void one_channel_is_refused_for_what_it_is(void **state)
{
    (void)state;
    Err err = { 0 };
    const StringList none = { 0 };
    char *folder = make(&(Change){ .golden = "vit-imgcls", .key = "num_channels", .value = "1" });
    assert_null(arch_open(folder, NULL, TASK_IMAGE_CLS, &none, 0, PROBLEM_AUTO, &err));
    assert_string_equal(err.what, "num_channels 1 is not supported");
    assert_non_null(strstr(err.hint, "red, green and blue"));
    must(folder_remove(folder, &err), &err);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_models_are_what_they_say),
        cmocka_unit_test(buffers_and_other_heads_may_be_left_over),
        cmocka_unit_test(what_belongs_to_the_body_may_not),
        cmocka_unit_test(what_nothing_adds_has_to_be_0),
        cmocka_unit_test(marks_of_other_tools_are_known),
        cmocka_unit_test(more_layers_than_config_json_says_are_taken_on_purpose_only),
        cmocka_unit_test(what_stands_beside_the_body_is_said),
        cmocka_unit_test(architectures_that_contradict_are_said),
        cmocka_unit_test(names_of_others_are_explained),
        cmocka_unit_test(config_json_and_the_weights_have_to_agree),
        cmocka_unit_test(one_channel_is_refused_for_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
