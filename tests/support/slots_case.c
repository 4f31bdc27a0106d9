#include "tests/support/slots_case.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "tests/support/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const GoldenCase golden[GOLDEN_ALL] = {
    { "bert-seqcls", TASK_SEQ_CLS, 3 },        { "bert-multilabel", TASK_SEQ_CLS, 4 },
    { "bert-tokcls", TASK_TOKEN_CLS, 7 },      { "roberta-pair", TASK_SEQ_CLS, 2 },
    { "distilbert-regress", TASK_SEQ_CLS, 1 }, { "gpt2-clm", TASK_CAUSAL_LM, 0 },
    { "gpt2-text", TASK_CAUSAL_LM, 0 },        { "gpt2-seqcls", TASK_SEQ_CLS, 3 },
    { "llama-clm", TASK_CAUSAL_LM, 0 },        { "qwen2-clm", TASK_CAUSAL_LM, 0 },
    { "qwen3-clm", TASK_CAUSAL_LM, 0 },        { "opt-clm", TASK_CAUSAL_LM, 0 },
    { "vit-imgcls", TASK_IMAGE_CLS, 3 },       { "bert-rslora", TASK_SEQ_CLS, 3 },
    { "bert-pissa", TASK_SEQ_CLS, 3 },         { "llama-olora", TASK_CAUSAL_LM, 0 },
    { "bert-rslora-dora", TASK_SEQ_CLS, 3 },   { "llama-dora", TASK_CAUSAL_LM, 0 },
    { "gpt2-dora", TASK_CAUSAL_LM, 0 },        { "vit-dora", TASK_IMAGE_CLS, 3 },
    { "gpt2-tokens", TASK_CAUSAL_LM, 0 },      { "bert-adalora", TASK_SEQ_CLS, 3 },
    { "gpt2-adalora-clm", TASK_CAUSAL_LM, 0 }, { "electra-pair", TASK_SEQ_CLS, 2 },
    { "mpnet-seqcls", TASK_SEQ_CLS, 3 },       { "albert-seqcls", TASK_SEQ_CLS, 3 },
    { "modernbert-seqcls", TASK_SEQ_CLS, 3 },  { "modernbert-tokcls", TASK_TOKEN_CLS, 7 },
    { "deberta-v3-seqcls", TASK_SEQ_CLS, 3 },  { "deberta-v2-tokcls", TASK_TOKEN_CLS, 7 },
    { "deberta-v1-seqcls", TASK_SEQ_CLS, 3 },  { "gemma-clm", TASK_CAUSAL_LM, 0 },
    { "gemma2-clm", TASK_CAUSAL_LM, 0 },       { "gemma3-clm", TASK_CAUSAL_LM, 0 },
    { "phi3-clm", TASK_CAUSAL_LM, 0 },         { "gpt_neox-clm", TASK_CAUSAL_LM, 0 },
    { "phi-clm", TASK_CAUSAL_LM, 0 },          { "granite-clm", TASK_CAUSAL_LM, 0 },
    { "olmo2-clm", TASK_CAUSAL_LM, 0 },        { "stablelm-clm", TASK_CAUSAL_LM, 0 },
    { "smollm3-clm", TASK_CAUSAL_LM, 0 },      { "falcon-clm", TASK_CAUSAL_LM, 0 },
    { "falcon_new-clm", TASK_CAUSAL_LM, 0 },   { "bloom-clm", TASK_CAUSAL_LM, 0 },
    { "gptj-clm", TASK_CAUSAL_LM, 0 },         { "cohere-clm", TASK_CAUSAL_LM, 0 },
    { "t5-seq2seq", TASK_SEQ_2_SEQ_LM, 0 },    { "flan_t5-seq2seq", TASK_SEQ_2_SEQ_LM, 0 },
    { "bart-seq2seq", TASK_SEQ_2_SEQ_LM, 0 },  { "roberta-full", TASK_SEQ_CLS, 2 },
    { "gpt2-full-clm", TASK_CAUSAL_LM, 0 },
};

int golden_index(const char *name)
{
    int g = 0;
    while (strcmp(golden[g].name, name) != 0)
        g++;
    return g;
}

ModelArch *open_arch(const char *folder, TaskType task, int64_t labels)
{
    Err err = { 0 };
    const StringList none = { 0 };
    ModelArch *arch =
        arch_open(folder, NULL, task, &none, labels, labels == 1 ? PROBLEM_REGRESSION : PROBLEM_AUTO, &err);
    must(arch != NULL, &err);
    return arch;
}

/* LoRA settings of an adapter_config.json that holds these keys. */
LoraConfig read_settings(const json_t *keys)
{
    json_t *config = json_deep_copy(keys);
    if (!json_object_get(config, "r"))
        json_object_set_new(config, "r", json_integer(4));
    if (!json_object_get(config, "peft_type"))
        json_object_set_new(config, "peft_type", json_string("LORA"));
    char *folder = test_folder_new(), *path = path_join(folder, "adapter_config.json");
    Err err = { 0 };
    LoraConfig lora;
    must(json_write(path, config, &err), &err);
    must(lora_config_read(&lora, folder, &err), &err);
    lora.published = false; /* they stand for a run's */
    test_folder_drop(folder);
    free(path);
    json_decref(config);
    return lora;
}

LoraConfig settings(const char *json)
{
    json_t *keys = json_loads(json, 0, NULL);
    assert_non_null(keys);
    const LoraConfig lora = read_settings(keys);
    json_decref(keys);
    return lora;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(json_string_value(*(json_t *const *)a), json_string_value(*(json_t *const *)b));
}

/* Lists of names are sets to PEFT. */
static void sort_list(const json_t *list)
{
    const size_t n = json_array_size(list);
    json_t **items = xcalloc(n + 1, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = json_incref(json_array_get(list, i));
    if (n > 0 && json_is_string(items[0]))
        qsort(items, n, sizeof *items, by_text);
    for (size_t i = 0; i < n; i++)
        json_array_set_new((json_t *)(uintptr_t)list, i, items[i]);
    for (size_t i = n; i > 1 && json_is_string(items[0]); i--) /* PEFT writes a name twice that the user gave, too */
        if (json_equal(json_array_get(list, i - 1), json_array_get(list, i - 2)))
            json_array_remove((json_t *)(uintptr_t)list, i - 1);
    free(items);
}

/* Each key of `wanted` is in `got` with the same value. */
void expect_config(const char *what, json_t *got, const json_t *wanted)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)wanted, key, value)
    {
        json_t *mine = json_object_get(got, key);
        if (strcmp(key, "layers_to_transform") != 0) {
            sort_list(mine);
            sort_list(value);
        }
        if (!mine || !json_equal(mine, value))
            fail_msg("%s: %s is %s, PEFT has %s", what, key, json_dumps(mine, JSON_ENCODE_ANY),
                     json_dumps(value, JSON_ENCODE_ANY));
    }
}

const Slot *find_slot(const SlotTable *table, const char *bare)
{
    for (int i = 0; i < table->count; i++)
        if (strcmp(table->slots[i].name + strlen(PREFIX), bare) == 0)
            return &table->slots[i];
    return NULL;
}

json_t *written_config(const SlotTable *table, const LoraConfig *lora)
{
    char *folder = test_folder_new(), *path = path_join(folder, "adapter_config.json");
    float *values = xcalloc((size_t)table->size, sizeof *values);
    Err err = { 0 };
    must(slots_write_adapter(folder, &(AdapterForm){ .values = values }, table, lora, "model", &err), &err);
    json_t *config = json_file(path, &err);
    must(config != NULL, &err);
    test_folder_drop(folder);
    free(values);
    free(path);
    return config;
}

void open_table(Case *c)
{
    Err err = { 0 };
    c->table = slots_open(c->arch, &c->lora, &err);
    must(c->table != NULL, &err);
    c->values = xcalloc((size_t)c->table->size, sizeof *c->values);
}

void open_golden(Case *c, int g)
{
    open_golden_part(c, g, "expected");
}

void open_golden_part(Case *c, int g, const char *part)
{
    Err err = { 0 };
    char *folder = xprintf("tests/golden/%s/model", golden[g].name);
    char *adapter = xprintf("tests/golden/%s/%s", golden[g].name, part);
    c->arch = open_arch(folder, golden[g].task, golden[g].labels);
    c->lora = (LoraConfig){ .mode = MODE_FULL };
    must(g >= GOLDEN || lora_config_read(&c->lora, adapter, &err), &err);
    open_table(c);
    free(adapter);
    free(folder);
}

/* A golden model with settings of its own. */
void open_with(Case *c, const char *name, TaskType task, const char *lora)
{
    char *folder = xprintf("tests/golden/%s/model", name);
    c->arch = open_arch(folder, task, task == TASK_CAUSAL_LM ? 0 : 3);
    c->lora = settings(lora);
    open_table(c);
    free(folder);
}

void close_case(Case *c)
{
    free(c->values);
    slots_close(c->table);
    lora_config_release(&c->lora);
    arch_close(c->arch);
}
