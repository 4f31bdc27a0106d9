/* make_model FOLDER [small | llama] - a model of BERT-base's shapes: config.json and model.safetensors with small
 * random weights. What a run of it sends depends on the shapes alone. small: its vocabulary alone, in two thin layers.
 * llama: a Llama of 14 blocks and 3.4 GB. */
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/tensor/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCABULARY = 30522, POSITIONS = 512, MOST = 256 };

typedef struct Shape {
    int layers, width, inner;
} Shape;

typedef struct Model {
    Shape shape;
    TensorOut tensors[MOST];
    int count;
    const float *values; /* [VOCABULARY * width], shared by all tensors */
} Model;

/* columns 0: a vector. Takes the name. */
static void add(Model *model, char *name, int64_t rows, int64_t columns)
{
    REQUIRE(model->count < MOST);
    model->tensors[model->count++] =
        (TensorOut){ .name = name, .dims = columns > 0 ? 2 : 1, .dim = { rows, columns }, .data = model->values };
}

static void add_linear(Model *model, const char *prefix, const char *name, int64_t out, int64_t in)
{
    add(model, xprintf("%s%s.weight", prefix, name), out, in);
    add(model, xprintf("%s%s.bias", prefix, name), out, 0);
}

static void add_layer(Model *model, int layer)
{
    const int width = model->shape.width, inner = model->shape.inner;
    char prefix[64];
    snprintf(prefix, sizeof prefix, "bert.encoder.layer.%d.", layer);
    add_linear(model, prefix, "attention.self.query", width, width);
    add_linear(model, prefix, "attention.self.key", width, width);
    add_linear(model, prefix, "attention.self.value", width, width);
    add_linear(model, prefix, "attention.output.dense", width, width);
    add_linear(model, prefix, "attention.output.LayerNorm", width, 0);
    add_linear(model, prefix, "intermediate.dense", inner, width);
    add_linear(model, prefix, "output.dense", width, inner);
    add_linear(model, prefix, "output.LayerNorm", width, 0);
}

static void add_all(Model *model)
{
    const char *embeddings = "bert.embeddings.";
    const int width = model->shape.width;
    add(model, xprintf("%sword_embeddings.weight", embeddings), VOCABULARY, width);
    add(model, xprintf("%sposition_embeddings.weight", embeddings), POSITIONS, width);
    add(model, xprintf("%stoken_type_embeddings.weight", embeddings), 2, width);
    add_linear(model, embeddings, "LayerNorm", width, 0);
    for (int i = 0; i < model->shape.layers; i++)
        add_layer(model, i);
    add_linear(model, "bert.pooler.", "dense", width, width);
}

/* The word table and the head are the largest tensors: whatever is smaller has their first numbers. */
enum { LLAMA_LAYERS = 14, LLAMA_WIDTH = 2048, LLAMA_INNER = 5632, LLAMA_WORDS = 32000 };

static void add_llama(Model *model)
{
    static const char *const square[] = { "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                          "self_attn.o_proj" };
    add(model, xstrdup("model.embed_tokens.weight"), LLAMA_WORDS, LLAMA_WIDTH);
    for (int l = 0; l < LLAMA_LAYERS; l++) {
        for (int k = 0; k < 4; k++)
            add(model, xprintf("model.layers.%d.%s.weight", l, square[k]), LLAMA_WIDTH, LLAMA_WIDTH);
        add(model, xprintf("model.layers.%d.mlp.gate_proj.weight", l), LLAMA_INNER, LLAMA_WIDTH);
        add(model, xprintf("model.layers.%d.mlp.up_proj.weight", l), LLAMA_INNER, LLAMA_WIDTH);
        add(model, xprintf("model.layers.%d.mlp.down_proj.weight", l), LLAMA_WIDTH, LLAMA_INNER);
        add(model, xprintf("model.layers.%d.input_layernorm.weight", l), LLAMA_WIDTH, 0);
        add(model, xprintf("model.layers.%d.post_attention_layernorm.weight", l), LLAMA_WIDTH, 0);
    }
    add(model, xstrdup("model.norm.weight"), LLAMA_WIDTH, 0);
    add(model, xstrdup("lm_head.weight"), LLAMA_WORDS, LLAMA_WIDTH);
}

static char *llama_config(void)
{
    return xprintf("{\"model_type\": \"llama\", \"hidden_size\": %d, \"num_hidden_layers\": %d, "
                   "\"num_attention_heads\": 16, \"num_key_value_heads\": 16, \"intermediate_size\": %d, "
                   "\"vocab_size\": %d, \"max_position_embeddings\": 128, \"hidden_act\": \"silu\", "
                   "\"rms_norm_eps\": 1e-5, \"tie_word_embeddings\": false, \"bos_token_id\": 1, "
                   "\"eos_token_id\": 2, \"pad_token_id\": 2}\n",
                   LLAMA_WIDTH, LLAMA_LAYERS, LLAMA_INNER, LLAMA_WORDS);
}

static char *bert_config(const Shape *shape)
{
    return xprintf("{\"model_type\": \"bert\", \"hidden_size\": %d, \"num_hidden_layers\": %d, "
                   "\"num_attention_heads\": 12, \"intermediate_size\": %d, \"vocab_size\": %d, "
                   "\"max_position_embeddings\": %d, \"type_vocab_size\": 2, "
                   "\"hidden_act\": \"gelu\", \"layer_norm_eps\": 1e-12, \"pad_token_id\": 0}\n",
                   shape->width, shape->layers, shape->inner, VOCABULARY, POSITIONS);
}

/* Takes the text. */
static bool write_config(const char *folder, char *text, Err *err)
{
    char *path = path_join(folder, "config.json");
    const bool ok = file_write(path, text, strlen(text), err);
    free(path);
    free(text);
    return ok;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: make_model FOLDER [small | llama]\n");
        return 2;
    }
    Err err = { 0 };
    const bool llama = argc == 3 && strcmp(argv[2], "llama") == 0;
    const Shape shape = argc == 3 ? (Shape){ 2, 48, 96 } : (Shape){ 12, 768, 3072 };
    const int64_t most = llama ? (int64_t)LLAMA_WORDS * LLAMA_WIDTH : (int64_t)VOCABULARY * shape.width;
    const RngKey key = rng_key(1, 0, 0, 0);
    float *values = mem_alloc((size_t)most * sizeof *values, &err);
    for (int64_t i = 0; values && i < most; i++)
        values[i] = 0.04f * (rng_uniform(key, (uint32_t)i) - 0.5f);
    Model model = { .shape = shape, .values = values };
    if (llama)
        add_llama(&model);
    else
        add_all(&model);
    char *path = path_join(argv[1], "model.safetensors");
    const bool ok = values && folder_make(argv[1], &err) &&
                    write_config(argv[1], llama ? llama_config() : bert_config(&shape), &err) &&
                    safetensors_write(path, model.tensors, model.count, &err);
    if (!ok)
        err_print(&err, stderr);
    for (int i = 0; i < model.count; i++)
        free((char *)(uintptr_t)model.tensors[i].name);
    free(values);
    free(path);
    return err_exit_code(&err);
}
