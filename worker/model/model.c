/* DESIGN. model_open makes layers from the arch's modules, decides which gradients
 * are needed (from the embedding upwards: below the first trained tensor there are
 * none), then runs model_layout twice: once to count, once to hand out the arena.
 * model_bytes is the same up to the counting. A call binds the values, and runs the
 * layers up and down. */
#include "worker/model/model.h"

#include "worker/kernels/gemm.h"
#include "worker/kernels/kernels.h"
#include "worker/layers/block.h"
#include "worker/layers/embedding.h"
#include "worker/layers/head.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct Model {
    const ModelArch *arch;
    const SlotTable *table;
    ModelOptions options;
    Embedding embedding;
    Block *blocks; /* [arch->layers] */
    Head head;
    Pass pass;
    Arena arena;
};

/* ---- from arch, weights and slots to layers -------------------------------- */

static int64_t slot_offset(const SlotTable *table, int slot)
{
    return slot < 0 ? -1 : table->slots[slot].offset;
}

/* The module with this role as the layers see it; weights NULL: for planning only. */
static ModuleView view(const Model *model, const Weights *weights, int64_t layer, Role role)
{
    const int index = arch_module_index(model->arch, (int)layer, role);
    REQUIRE(index >= 0);
    const Module *module = &model->arch->modules[index];
    const ModuleSlots *slots = &model->table->modules[index];
    return (ModuleView){
        .out = module->out,
        .in = module->in,
        .weight = weights ? weights_weight(weights, index) : NULL,
        .bias = weights ? weights_bias(weights, index) : NULL,
        .weight_at = slot_offset(model->table, slots->weight),
        .bias_at = slot_offset(model->table, slots->bias),
        .a_at = slot_offset(model->table, slots->a),
        .b_at = slot_offset(model->table, slots->b),
        .R = slots->a >= 0 ? slots->r : 0,
        .scale = slots->scale,
    };
}

static void add_linear(const Model *model, const Weights *weights, Linear *linear, int64_t layer,
                       Role role, Site site)
{
    const ModuleView module = view(model, weights, layer, role);
    linear->layer = layer < 0 ? model->arch->layers : layer;
    linear->dropout = model->options.lora_dropout;
    linear_add(linear, &module, site);
}

static LayerNorm make_norm(const Model *model, const Weights *weights, int64_t layer, Role role)
{
    return (LayerNorm){ .module = view(model, weights, layer, role),
                        .eps = (float)model->arch->norm_eps };
}

static void make_embedding(Model *model, const Weights *weights)
{
    const ModelArch *arch = model->arch;
    model->embedding = (Embedding){
        .word = view(model, weights, -1, ROLE_WORD),
        .position = view(model, weights, -1, ROLE_POSITION),
        .type = view(model, weights, -1, ROLE_TYPE),
        .norm = make_norm(model, weights, -1, ROLE_EMBED_NORM),
        .layer = arch->layers,
        .pad_id = arch->pad_id,
        .dropout = arch->hidden_dropout,
    };
}

static void make_block(Model *model, const Weights *weights, int64_t layer)
{
    const ModelArch *arch = model->arch;
    Block *block = &model->blocks[layer];
    *block = (Block){
        .layer = layer,
        .C = arch->C,
        .F = arch->F,
        .attention = { .H = arch->H, .K = arch->H, .D = arch->D, .ldqkv = 3 * arch->C,
                       .ldout = arch->C, .scale = 1.0f / sqrtf((float)arch->D) },
        .act = (int)arch->act,
        .hidden_dropout = arch->hidden_dropout,
        .attention_dropout = arch->attention_dropout,
        .tail = layer == arch->layers - 1,
        .attn_norm = make_norm(model, weights, layer, ROLE_ATTN_NORM),
        .ff_norm = make_norm(model, weights, layer, ROLE_FF_NORM),
        .before = layer > 0 ? block - 1 : NULL,
        .embedding = &model->embedding,
    };
    block->attention.q_rows = block->tail ? 1 : model->options.longest;
    add_linear(model, weights, block->tail ? &block->q : &block->qkv, layer, ROLE_Q, SITE_LORA_Q);
    add_linear(model, weights, &block->qkv, layer, ROLE_K, SITE_LORA_K);
    add_linear(model, weights, &block->qkv, layer, ROLE_V, SITE_LORA_V);
    add_linear(model, weights, &block->attn_out, layer, ROLE_ATTN_OUT, SITE_LORA_ATTN_OUT);
    add_linear(model, weights, &block->ff_up, layer, ROLE_FF_UP, SITE_LORA_FF_UP);
    add_linear(model, weights, &block->ff_down, layer, ROLE_FF_DOWN, SITE_LORA_FF_DOWN);
}

static void make_head(Model *model, const Weights *weights)
{
    const ModelArch *arch = model->arch;
    model->head = (Head){ .layer = arch->layers, .problem = arch->problem,
                          .dropout = arch->head_dropout };
    add_linear(model, weights, &model->head.pooler, -1, ROLE_POOLER, SITE_LORA_POOLER);
    add_linear(model, weights, &model->head.classifier, -1, ROLE_HEAD, SITE_LORA_HEAD);
}

/* Layers, and which gradients they need. model->blocks has room for all. */
static void make_layers(Model *model, const Weights *weights)
{
    make_embedding(model, weights);
    bool below = embedding_is_trained(&model->embedding);
    for (int64_t l = 0; l < model->arch->layers; l++) {
        make_block(model, weights, l);
        block_plan(&model->blocks[l], below);
        below = model->blocks[l].needs.out;
    }
    make_head(model, weights);
    model->head.below = below;
}

/* ---- memory ---------------------------------------------------------------- */

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void measure(const Linear *linear, bool drops, PassSizes *sizes)
{
    sizes->most_R = most(sizes->most_R, linear->R);
    if (drops && linear->R > 0)
        sizes->dropped_in = most(sizes->dropped_in, linear->in);
}

static PassSizes pass_sizes(const Model *model)
{
    const ModelArch *arch = model->arch;
    const ModelOptions *o = &model->options;
    const bool drops = o->training && o->lora_dropout > 0;
    PassSizes sizes = {
        .most_tokens = o->most_tokens,
        .most_sequences = o->most_sequences,
        .longest = o->longest,
        .C = arch->C,
        .H = arch->H,
        .wide = most(3 * arch->C, arch->F),
    };
    for (int64_t l = 0; l < arch->layers; l++) {
        const Block *block = &model->blocks[l];
        const Linear *linears[] = { &block->qkv, &block->q, &block->attn_out, &block->ff_up,
                                    &block->ff_down };
        for (size_t i = 0; i < sizeof linears / sizeof *linears; i++)
            measure(linears[i], drops, &sizes);
        sizes.attention = (size_t)most(
            (int64_t)sizes.attention, attention_scratch(&block->attention, o->longest, o->threads));
    }
    measure(&model->head.pooler, drops, &sizes);
    measure(&model->head.classifier, drops, &sizes);
    return sizes;
}

static void model_layout(Model *model, Layout *layout)
{
    const PassSizes sizes = pass_sizes(model);
    const int64_t layers = model->arch->layers;
    const bool training = model->options.training;
    pass_layout(&model->pass, layout, &sizes);
    embedding_layout(&model->embedding, layout, sizes.most_tokens,
                     training && (embedding_is_trained(&model->embedding) ||
                                  block_needs_input(&model->blocks[0])));
    for (int64_t l = 0; l < layers; l++) {
        const bool above = l + 1 < layers && block_needs_input(&model->blocks[l + 1]);
        block_layout(&model->blocks[l], layout, &sizes, training, above);
    }
    head_layout(&model->head, layout, sizes.most_sequences, training);
}

static size_t count_bytes(Model *model)
{
    Layout layout = { 0 };
    model_layout(model, &layout);
    return layout.bytes;
}

int64_t model_bytes(const ModelArch *arch, const SlotTable *table, const ModelOptions *options)
{
    Model model = { .arch = arch, .table = table, .options = *options };
    model.blocks = xcalloc((size_t)arch->layers, sizeof *model.blocks);
    make_layers(&model, NULL);
    const size_t bytes = count_bytes(&model);
    free(model.blocks);
    return (int64_t)bytes;
}

/* ---- life ------------------------------------------------------------------ */

static bool check(const ModelArch *arch, const SlotTable *table, Err *err)
{
    if (arch->task != TASK_SEQ_CLS)
        return err_set(err, ERR_INPUT, "task_type '%s' is not supported yet",
                       config_task_name(arch->task));
    for (int i = 0; i < arch->module_count; i++) {
        const Module *module = &arch->modules[i];
        if (module->kind != MODULE_LINEAR && table->modules[i].a >= 0) {
            err_set(err, ERR_INPUT, "a LoRA on '%s', which is no linear module, is not supported yet",
                    module->path);
            return err_hint(err, "name linear modules only in lora.target_modules");
        }
    }
    return true;
}

Model *model_open(const ModelArch *arch, const SlotTable *table, const Weights *weights,
                  const ModelOptions *options, Err *err)
{
    if (!check(arch, table, err))
        return NULL;
    REQUIRE(arch->H * arch->D == arch->C && arch->layers > 0);
    REQUIRE(options->most_tokens > 0 && options->most_sequences > 0 && options->threads > 0);
    Model *model = xcalloc(1, sizeof *model);
    *model = (Model){ .arch = arch, .table = table, .options = *options };
    model->blocks = xcalloc((size_t)arch->layers, sizeof *model->blocks);
    make_layers(model, weights);
    if (!arena_init(&model->arena, count_bytes(model), err)) {
        err_hint(err, "lower parallel.micro_batch_tokens");
        model_close(model);
        return NULL;
    }
    Layout layout = { .arena = &model->arena };
    model_layout(model, &layout);
    gemm_set_threads(options->threads);
    return model;
}

void model_close(Model *model)
{
    if (!model)
        return;
    arena_release(&model->arena);
    free(model->blocks);
    free(model);
}

/* ---- calls ----------------------------------------------------------------- */

static int64_t longest_of(const Batch *batch)
{
    int64_t longest = 0;
    for (int64_t b = 0; b < batch->B; b++)
        longest = most(longest, batch->start[b + 1] - batch->start[b]);
    return longest;
}

static void begin(Model *model, const Batch *batch, const float *values)
{
    const ModelOptions *o = &model->options;
    Pass *pass = &model->pass;
    pass->rows = (Rows){ .B = batch->B, .N = batch->N, .longest = longest_of(batch),
                         .start = batch->start };
    pass->firsts = (Rows){ .B = batch->B, .N = batch->B, .longest = 1, .start = pass->first_start };
    REQUIRE(batch->B > 0 && batch->B <= o->most_sequences && batch->N <= o->most_tokens);
    REQUIRE(batch->start[0] == 0 && batch->start[batch->B] == batch->N);
    REQUIRE(pass->rows.longest <= o->longest && pass->rows.longest <= model->arch->positions);
    pass->example = batch->example;
    pass->values = values;
    for (int64_t l = 0; l < model->arch->layers; l++)
        block_bind(&model->blocks[l], values);
    head_bind(&model->head, values);
}

static void forward(Model *model, const Batch *batch)
{
    embedding_forward(&model->embedding, batch->ids, batch->types, &model->pass);
    for (int64_t l = 0; l < model->arch->layers; l++)
        block_forward(&model->blocks[l], &model->pass);
    head_forward(&model->head, &model->pass);
}

static void backward(Model *model, const Batch *batch)
{
    head_backward(&model->head, &model->pass);
    for (int64_t l = model->arch->layers - 1; l >= 0 && model->blocks[l].needs.out; l--)
        block_backward(&model->blocks[l], &model->pass);
    if (embedding_is_trained(&model->embedding))
        embedding_backward(&model->embedding, batch->ids, batch->types, &model->pass);
}

BatchLoss model_train(Model *model, const Batch *batch, const float *values, float *grad,
                      int64_t step)
{
    REQUIRE(model->options.training && values && batch->goal);
    Pass *pass = &model->pass;
    memset(grad, 0, (size_t)model->table->size * sizeof *grad);
    begin(model, batch, values);
    pass->grad = grad;
    pass->drop = true;
    pass->seed = model->options.seed;
    pass->step = step;
    forward(model, batch);
    const BatchLoss loss = { .sum = head_loss(&model->head, batch->goal, pass), .count = batch->B };
    backward(model, batch);
    return loss;
}

BatchLoss model_predict(Model *model, const Batch *batch, const float *values, float *logits)
{
    Pass *pass = &model->pass;
    begin(model, batch, values);
    pass->grad = NULL;
    pass->drop = false;
    forward(model, batch);
    memcpy(logits, model->head.logits, (size_t)(batch->B * model->arch->labels) * sizeof *logits);
    if (!batch->goal)
        return (BatchLoss){ 0 };
    return (BatchLoss){ .sum = head_loss(&model->head, batch->goal, pass), .count = batch->B };
}
