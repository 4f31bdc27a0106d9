/* make_model FOLDER - a model of BERT-base's shapes: config.json and model.safetensors with small
 * random weights. What a run of it sends depends on the shapes alone. */
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/tensor/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 12, WIDTH = 768, INNER = 3072, VOCABULARY = 30522, POSITIONS = 512, MOST = 256 };

typedef struct Model {
    TensorOut tensors[MOST];
    int count;
    const float *values; /* [VOCABULARY * WIDTH], shared by all tensors */
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
    char prefix[64];
    snprintf(prefix, sizeof prefix, "bert.encoder.layer.%d.", layer);
    add_linear(model, prefix, "attention.self.query", WIDTH, WIDTH);
    add_linear(model, prefix, "attention.self.key", WIDTH, WIDTH);
    add_linear(model, prefix, "attention.self.value", WIDTH, WIDTH);
    add_linear(model, prefix, "attention.output.dense", WIDTH, WIDTH);
    add_linear(model, prefix, "attention.output.LayerNorm", WIDTH, 0);
    add_linear(model, prefix, "intermediate.dense", INNER, WIDTH);
    add_linear(model, prefix, "output.dense", WIDTH, INNER);
    add_linear(model, prefix, "output.LayerNorm", WIDTH, 0);
}

static void add_all(Model *model)
{
    const char *embeddings = "bert.embeddings.";
    add(model, xprintf("%sword_embeddings.weight", embeddings), VOCABULARY, WIDTH);
    add(model, xprintf("%sposition_embeddings.weight", embeddings), POSITIONS, WIDTH);
    add(model, xprintf("%stoken_type_embeddings.weight", embeddings), 2, WIDTH);
    add_linear(model, embeddings, "LayerNorm", WIDTH, 0);
    for (int i = 0; i < LAYERS; i++)
        add_layer(model, i);
    add_linear(model, "bert.pooler.", "dense", WIDTH, WIDTH);
}

static bool write_config(const char *folder, Err *err)
{
    char *path = path_join(folder, "config.json");
    char *text = xprintf("{\"model_type\": \"bert\", \"hidden_size\": %d, \"num_hidden_layers\": %d, "
                         "\"num_attention_heads\": 12, \"intermediate_size\": %d, \"vocab_size\": %d, "
                         "\"max_position_embeddings\": %d, \"type_vocab_size\": 2, "
                         "\"hidden_act\": \"gelu\", \"layer_norm_eps\": 1e-12, \"pad_token_id\": 0}\n",
                         WIDTH, LAYERS, INNER, VOCABULARY, POSITIONS);
    const bool ok = file_write(path, text, strlen(text), err);
    free(path);
    free(text);
    return ok;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_model FOLDER\n");
        return 2;
    }
    Err err = { 0 };
    const RngKey key = rng_key(1, 0, 0, 0);
    float *values = mem_alloc((size_t)VOCABULARY * WIDTH * sizeof *values, &err);
    for (int64_t i = 0; values && i < (int64_t)VOCABULARY * WIDTH; i++)
        values[i] = 0.04f * (rng_uniform(key, (uint32_t)i) - 0.5f);
    Model model = { .values = values };
    add_all(&model);
    char *path = path_join(argv[1], "model.safetensors");
    const bool ok = values && folder_make(argv[1], &err) && write_config(argv[1], &err) &&
                    safetensors_write(path, model.tensors, model.count, &err);
    if (!ok)
        err_print(&err, stderr);
    for (int i = 0; i < model.count; i++)
        free((char *)(uintptr_t)model.tensors[i].name);
    free(values);
    free(path);
    return err_exit_code(&err);
}
