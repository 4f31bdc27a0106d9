/* DESIGN. model_open makes layers from the arch's modules, decides which gradients
 * are needed (from the embedding upwards: below the first trained tensor there are
 * none), then runs model_layout twice: once to count, once to hand out the arena.
 * model_bytes is the same up to the counting. What a call does with them is in model_call.c. */
#include "worker/model/model.h"

#include "worker/model/encoder.h"
#include "worker/model/model_parts.h"
#include "worker/model/scores.h"

#include <stdlib.h>
#include <string.h>

/* ---- from arch, weights and slots to layers -------------------------------- */

int64_t model_slot_offset(const Model *model, int slot)
{
    const Stage *stage = model->options.stage;
    if (slot < 0)
        return -1;
    return stage && stage->at[slot] >= 0 ? stage->at[slot] : model->table->slots[slot].offset;
}

static bool has(const Model *model, int64_t layer, Role role)
{
    return arch_module(model->arch, arch_physical(model->arch, layer), role) != NULL;
}

/* The module with this role as the layers see it; weights NULL: for planning only. */
static ModuleView view(const Model *model, const Weights *weights, int64_t layer, Role role)
{
    const int index = arch_module_index(model->arch, arch_physical(model->arch, layer), role);
    REQUIRE(index >= 0);
    const Module *module = &model->arch->modules[index];
    const ModuleSlots *slots = &model->table->modules[index];
    return (ModuleView){
        .index = index,
        .out = module->out,
        .in = module->in,
        .weight = weights ? weights_frozen(weights, index) : frozen_of_floats(NULL, module->out, module->in),
        .bias = weights ? weights_bias(weights, index) : NULL,
        .weight_at = model_slot_offset(model, slots->weight),
        .bias_at = model_slot_offset(model, slots->bias),
        .a_at = model_slot_offset(model, slots->a),
        .b_at = model_slot_offset(model, slots->b),
        .lora_bias_at = model_slot_offset(model, slots->lora_bias),
        .magnitude_at = model_slot_offset(model, slots->magnitude),
        .triplets = slots->e >= 0,
        .e_at = model_slot_offset(model, slots->e),
        .tokens_at = model_slot_offset(model, slots->tokens),
        .tokens = model->table->tokens,
        .token_count = slots->tokens >= 0 ? model->table->token_count : 0,
        .R = slots->a >= 0 ? slots->r : 0,
        .scale = slots->scale,
    };
}

static void add_linear(const Model *model, const Weights *weights, Linear *linear, int64_t layer, Role role, Site site)
{
    const ModuleView module = view(model, weights, layer, role);
    linear->layer = layer < 0 ? model->arch->layers : layer;
    linear->dropout = model->options.lora_dropout;
    linear->summed = layer >= 0 && model->arch->physical;
    linear_add(linear, &module, site);
}

/* Where the model has none: rows go through as they are. */
static Norm make_norm(const Model *model, const Weights *weights, int64_t layer, Role role)
{
    const ModelArch *arch = model->arch;
    Norm norm = { .module = module_none(),
                  .C = arch->C,
                  .eps = (float)arch->norm_eps,
                  .rms = arch->norm == NORM_RMS,
                  .from_one = arch->gain_from_one,
                  .masks = arch->padding_masked && (role == ROLE_EMBED_NORM || role == ROLE_CONV_NORM) };
    if (has(model, layer, role)) {
        norm.module = view(model, weights, layer, role);
        norm.C = norm.module.out;
    }
    return norm;
}

static Table make_table(const Model *model, const Weights *weights, Role role, int64_t padding_row)
{
    if (!has(model, -1, role))
        return (Table){ .module = module_none() };
    return (Table){ .module = view(model, weights, -1, role), .padding_row = padding_row };
}

/* What differs between the embeddings of two stacks. */
typedef struct EmbeddingRoles {
    Role position, norm;
    int64_t layer;
} EmbeddingRoles;

/* A table of positions may have a row for padding, too. */
static void make_embedding(const Model *model, Embedding *embedding, const Weights *weights,
                           const EmbeddingRoles *roles)
{
    const ModelArch *arch = model->arch;
    *embedding = (Embedding){
        .word = make_table(model, weights, ROLE_WORD, arch->padding_row),
        .position = make_table(model, weights, roles->position, arch->padding_stands ? arch->position_offset - 1 : -1),
        .type = make_table(model, weights, ROLE_TYPE, -1),
        .C = arch_table_width(arch),
        .project_first = arch->project_first,
        .norm = make_norm(model, weights, -1, roles->norm),
        .streams = arch->pre_norm,
        .layer = roles->layer,
        .dropout = arch->embed_dropout,
        .scale = (float)arch->embed_scale,
        .scale_behind = arch->embed_scale_behind,
        .noise = model->options.noise,
    };
    if (has(model, -1, ROLE_EMBED_PROJECT))
        add_linear(model, weights, &embedding->project, -1, ROLE_EMBED_PROJECT, SITE_LORA_EMBED);
    if (!has(model, -1, ROLE_PATCH))
        return;
    add_linear(model, weights, &embedding->patches, -1, ROLE_PATCH, SITE_LORA_PATCH);
    embedding->first = view(model, weights, -1, ROLE_CLS);
    embedding->image_size = arch->image_size;
    embedding->patch = arch->patch;
    embedding->channels = arch->channels;
}

static void make_distances(Model *model, const Weights *weights)
{
    const ModelArch *arch = model->arch;
    const bool are = has(model, -1, ROLE_DISTANCE);
    model->distances = (Distances){ .table = are ? view(model, weights, -1, ROLE_DISTANCE) : module_none(),
                                    .norm = make_norm(model, weights, -1, ROLE_DISTANCE_NORM),
                                    .C = arch->C,
                                    .E = arch->H * arch->D,
                                    .dropout = arch->hidden_dropout,
                                    .has_keys = arch->distance_keys,
                                    .has_queries = arch->distance_queries,
                                    .arch = arch,
                                    .longest = model->options.longest };
    Distances *d = &model->distances;
    d->count = d->table.out;
    d->is_trained =
        are && (module_is_trained(&d->table) || (norm_is_there(&d->norm) && module_is_trained(&d->norm.module)));
}

static void make_conv(Model *model, const Weights *weights)
{
    const ModelArch *arch = model->arch;
    if (!has(model, -1, ROLE_CONV))
        return;
    model->conv = (Conv){ .norm = make_norm(model, weights, -1, ROLE_CONV_NORM),
                          .layer = arch->layers,
                          .C = arch->C,
                          .kernel = arch->conv_kernel,
                          .act = arch->conv_act,
                          .dropout = arch->hidden_dropout };
    add_linear(model, weights, &model->conv.linear, -1, ROLE_CONV, SITE_LORA_CONV);
}

/* q or k of tokens make those of distances, too. */
static bool makes_distances(const Attention *a)
{
    return a->distances && ((a->distances->has_keys && a->distance_k.parts == 0) ||
                            (a->distances->has_queries && a->distance_q.parts == 0));
}

static Attention make_attention(const Model *model, const Weights *weights, int64_t layer)
{
    const ModelArch *arch = model->arch;
    Attention a = {
        .layer = layer,
        .C = arch->C,
        .E = arch->H * arch->D,
        .QKV = (arch->H + 2 * arch->K) * arch->D,
        .dropout = arch->attention_dropout,
    };
    a.shape = (AttentionShape){
        .H = arch->H,
        .K = arch->K,
        .D = arch->D,
        .ldqkv = a.QKV,
        .ldout = a.E,
        .scale = (float)arch->scales[layer],
        .causal = arch->causal && !arch_is_source(arch, layer),
        .window = arch->windows ? arch->windows[layer] : 0,
        .grouped = arch->qkv_grouped,
        .even_behind = arch->padding_masked,
        .cap = (float)arch->score_cap,
    };
    a.rope_set = arch_rope_set(arch, layer);
    a.trains_added = has(model, -1, ROLE_SCORE_TABLE) && module_is_trained(&model->score_table);
    a.distances = distances_are_there(&model->distances) ? &model->distances : NULL;
    a.q_bias = has(model, layer, ROLE_Q_BIAS) ? view(model, weights, layer, ROLE_Q_BIAS) : module_none();
    a.v_bias = has(model, layer, ROLE_V_BIAS) ? view(model, weights, layer, ROLE_V_BIAS) : module_none();
    if (has(model, layer, ROLE_DISTANCE_K))
        add_linear(model, weights, &a.distance_k, layer, ROLE_DISTANCE_K, SITE_LORA_DISTANCE_K);
    if (has(model, layer, ROLE_DISTANCE_Q))
        add_linear(model, weights, &a.distance_q, layer, ROLE_DISTANCE_Q, SITE_LORA_DISTANCE_Q);
    a.added_set = arch->source_layers > 0 && !arch_is_source(arch, layer);
    if (has(model, layer, ROLE_QKV)) {
        add_linear(model, weights, &a.qkv, layer, ROLE_QKV, SITE_LORA_Q);
    } else {
        add_linear(model, weights, &a.qkv, layer, ROLE_Q, SITE_LORA_Q);
        add_linear(model, weights, &a.qkv, layer, ROLE_K, SITE_LORA_K);
        add_linear(model, weights, &a.qkv, layer, ROLE_V, SITE_LORA_V);
    }
    add_linear(model, weights, &a.out, layer, ROLE_ATTN_OUT, SITE_LORA_ATTN_OUT);
    a.qkv.summed = a.qkv.summed || makes_distances(&a);
    a.q_norm = make_norm(model, weights, layer, ROLE_Q_NORM);
    a.k_norm = make_norm(model, weights, layer, ROLE_K_NORM);
    return a;
}

static Cross make_cross(const Model *model, const Weights *weights, int64_t layer)
{
    const ModelArch *arch = model->arch;
    Cross c = { .layer = layer,
                .C = arch->C,
                .E = arch->H * arch->D,
                .KV = 2 * arch->K * arch->D,
                .dropout = arch->attention_dropout,
                .below = model->encoder.below };
    c.shape = (AttentionShape){ .H = arch->H,
                                .K = arch->K,
                                .D = arch->D,
                                .ldqkv = c.E,
                                .ldout = c.E,
                                .ldkv = c.KV,
                                .scale = (float)arch->scales[layer] };
    add_linear(model, weights, &c.q, layer, ROLE_CROSS_Q, SITE_LORA_CROSS_Q);
    add_linear(model, weights, &c.kv, layer, ROLE_CROSS_K, SITE_LORA_CROSS_K);
    add_linear(model, weights, &c.kv, layer, ROLE_CROSS_V, SITE_LORA_CROSS_V);
    add_linear(model, weights, &c.out, layer, ROLE_CROSS_OUT, SITE_LORA_CROSS_OUT);
    return c;
}

static Mlp make_mlp(const Model *model, const Weights *weights, int64_t layer)
{
    const ModelArch *arch = model->arch;
    Mlp m = { .layer = layer,
              .C = arch->C,
              .F = arch->F,
              .act = arch->act,
              .gated = arch->gated,
              .dropout = arch->inner_dropout };
    const bool one = has(model, layer, ROLE_GATE_UP);
    if (one)
        add_linear(model, weights, &m.up, layer, ROLE_GATE_UP, SITE_LORA_FF_GATE);
    if (m.gated && !one)
        add_linear(model, weights, &m.up, layer, ROLE_FF_GATE, SITE_LORA_FF_GATE);
    if (!one)
        add_linear(model, weights, &m.up, layer, ROLE_FF_UP, SITE_LORA_FF_UP);
    add_linear(model, weights, &m.down, layer, ROLE_FF_DOWN, SITE_LORA_FF_DOWN);
    return m;
}

/* Side by side two sublayers may have one norm. */
static Role norm_of_mlp(const Model *model, int64_t layer)
{
    return model->arch->side_by_side && !has(model, layer, ROLE_FF_NORM) ? ROLE_ATTN_NORM : ROLE_FF_NORM;
}

static void make_block(Model *model, const Weights *weights, int64_t layer)
{
    const ModelArch *arch = model->arch;
    Block *block = &model->blocks[layer];
    *block = (Block){ .layer = layer, .C = arch->C, .side_by_side = arch->side_by_side };
    block->sublayers[block->count++] = (Sublayer){ .kind = BODY_ATTENTION,
                                                   .attention = make_attention(model, weights, layer),
                                                   .norm = make_norm(model, weights, layer, ROLE_ATTN_NORM),
                                                   .after = make_norm(model, weights, layer, ROLE_ATTN_AFTER),
                                                   .site = SITE_ATTN_OUT };
    if (has(model, layer, ROLE_CROSS_Q))
        block->sublayers[block->count++] = (Sublayer){ .kind = BODY_CROSS,
                                                       .cross = make_cross(model, weights, layer),
                                                       .norm = make_norm(model, weights, layer, ROLE_CROSS_NORM),
                                                       .after = { .module = module_none() },
                                                       .site = SITE_CROSS_OUT };
    block->sublayers[block->count++] = (Sublayer){ .kind = BODY_MLP,
                                                   .mlp = make_mlp(model, weights, layer),
                                                   .norm = make_norm(model, weights, layer, norm_of_mlp(model, layer)),
                                                   .after = make_norm(model, weights, layer, ROLE_FF_AFTER),
                                                   .site = SITE_FF };
    for (int i = 0; i < block->count; i++) {
        block->sublayers[i].place = arch->pre_norm ? NORM_BEFORE : NORM_BEHIND;
        block->sublayers[i].factor = (float)arch->residual_scale;
        const bool stays = i == 0 ? arch->attention_stays : arch->mlp_stays;
        block->sublayers[i].dropout = stays ? 0 : arch->hidden_dropout;
    }
}

static void make_head(Model *model, const Weights *weights, bool below)
{
    const ModelArch *arch = model->arch;
    if (model->embeds)
        return;
    if (model->speaks) {
        model->vocab_head = (VocabHead){ .loss = model->options.loss,
                                         .scale = (float)arch->logit_scale,
                                         .cap = (float)arch->logit_cap,
                                         .below = below };
        add_linear(model, weights, &model->vocab_head.linear, -1, ROLE_HEAD, SITE_LORA_HEAD);
        return;
    }
    model->head = (Head){ .layer = arch->layers,
                          .spans = arch->head.task->spans,
                          .problem = arch->head.problem,
                          .loss = { model->options.loss.smoothing, model->options.loss.weights, arch->head.tasks },
                          .act = arch->head.pooler_act,
                          .pooler_dropout = arch->head.pooler_dropout,
                          .dropout = arch->head.dropout,
                          .below = below,
                          .mean = arch->head.rows == READ_MEAN,
                          .norm = make_norm(model, weights, -1, ROLE_HEAD_NORM) };
    if (has(model, -1, ROLE_POOLER))
        add_linear(model, weights, &model->head.pooler, -1, ROLE_POOLER, SITE_LORA_POOLER);
    add_linear(model, weights, &model->head.classifier, -1, ROLE_HEAD, SITE_LORA_HEAD);
}

static void choose_stage(Model *model)
{
    const Stage *stage = model->options.stage;
    model->first = stage ? stage->first : 0;
    model->end = stage ? stage->end : model->arch->layers;
    model->opens = !stage || stage_is_first(stage);
    model->closes = !stage || stage_is_last(stage);
}

/* What stands before the blocks. True: something of it is trained. */
static bool make_entries(Model *model, const Weights *weights)
{
    const ModelArch *arch = model->arch;
    Encoder *encoder = &model->encoder;
    make_embedding(model, &model->embedding, weights,
                   &(EmbeddingRoles){ ROLE_POSITION, ROLE_EMBED_NORM, arch->layers });
    if (arch->source_layers == 0)
        return embedding_is_trained(&model->embedding);
    encoder->layers = arch->source_layers;
    make_embedding(model, &encoder->embedding, weights,
                   &(EmbeddingRoles){ ROLE_SOURCE_POSITION, ROLE_SOURCE_EMBED_NORM, arch->layers + 1 });
    encoder->final = make_norm(model, weights, -1, ROLE_SOURCE_FINAL_NORM);
    encoder->ends = has(model, -1, ROLE_SOURCE_FINAL_NORM);
    return embedding_is_trained(&encoder->embedding);
}

/* Layers, and which gradients they need. model->blocks has room for all. */
static void make_layers(Model *model, const Weights *weights)
{
    choose_stage(model);
    model->speaks = model->arch->head.task->speaks;
    model->embeds = model->arch->head.task->embeds;
    bool below = make_entries(model, weights);
    if (has(model, -1, ROLE_SCORE_TABLE))
        model->score_table = view(model, weights, -1, ROLE_SCORE_TABLE);
    make_distances(model, weights);
    make_conv(model, weights);
    const bool at_conv = below;
    for (int64_t l = 0; l < model->arch->layers; l++) {
        if (l > 0 && l == model->encoder.layers) {
            model->encoder.below = below || module_is_trained(&model->encoder.final.module);
            below = embedding_is_trained(&model->embedding);
        }
        make_block(model, weights, l);
        if (l == model->first)
            model->below_first = below;
        below = block_plan(&model->blocks[l], below);
        if (l == 0)
            below = conv_plan(&model->conv, at_conv, below);
        if (l + 1 == model->end)
            model->below_end = below;
    }
    model->ends = has(model, -1, ROLE_FINAL_NORM);
    if (model->ends) {
        model->final = make_norm(model, weights, -1, ROLE_FINAL_NORM);
        below = below || module_is_trained(&model->final.module);
    }
    model->below = below;
    make_head(model, weights, below);
}

/* ---- memory ---------------------------------------------------------------- */

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void measure_head(const Model *model, bool drops, PassSizes *sizes)
{
    linear_measure(&model->head.pooler, drops, sizes);
    linear_measure(&model->head.classifier, drops, sizes);
    linear_measure(&model->vocab_head.linear, drops, sizes);
}

static PassSizes pass_sizes(const Model *model)
{
    const ModelArch *arch = model->arch;
    const ModelOptions *o = &model->options;
    const bool drops = o->training && o->lora_dropout > 0;
    PassSizes sizes = {
        .most_tokens = most(o->most_tokens, model->distances.count),
        .most_sequences = o->most_sequences,
        .longest = o->longest,
        .most_read = arch->head.task->of_tokens || arch->head.rows == READ_MEAN ? o->most_tokens : o->most_sequences,
        .C = arch->C,
        .H = arch->H,
        .across = most(most(arch->C, arch_table_width(arch)), arch->H * arch->D),
        .wide = most((arch->H + 2 * arch->K) * arch->D, arch->F),
        .most_R = most(model->opens ? embedding_most_R(&model->embedding) : 0, o->most_R),
        .stream = arch->pre_norm,
        .again = o->training && o->checkpointing,
        .places = has(model, -1, ROLE_POSITION) && !arch->image_size,
        .labels = model->speaks || model->embeds || !model->closes ? 0 : most(arch->head.labels, o->most_labels),
    };
    for (int64_t l = model->first; l < model->end; l++)
        block_measure(&model->blocks[l], drops, o->threads, &sizes);
    conv_measure(&model->conv, drops, &sizes);
    if (model->opens) {
        sizes.wide = most(sizes.wide, model->embedding.patches.in);
        linear_measure(&model->embedding.project, drops, &sizes);
        linear_measure(&model->embedding.patches, drops, &sizes);
    }
    if (model->closes)
        measure_head(model, drops, &sizes);
    return sizes;
}

static void layers_layout(Model *model, Layout *layout)
{
    if (model->encoder.layers > 0)
        encoder_layout(&model->encoder, layout, model);
    if (model->opens)
        embedding_layout(&model->embedding, layout, &model->sizes);
    distances_layout(&model->distances, layout, model->options.training);
    conv_layout(&model->conv, layout, &model->sizes);
    for (int64_t l = model->first; l < model->end; l++)
        block_layout(&model->blocks[l], layout);
    if (model->closes && model->ends)
        norm_layout(&model->final, layout);
    if (model->closes && !model->speaks)
        head_layout(&model->head, layout, &model->sizes);
}

static bool turns_by(const ModelArch *arch, int set)
{
    for (int64_t l = 0; l < arch->layers; l++)
        if (arch_rope_set(arch, l) == set)
            return true;
    return false;
}

static void places_layout(Model *model, Layout *layout)
{
    const int64_t longest = model->sizes.longest;
    for (int set = 0; set < ROPE_SETS; set++)
        if (turns_by(model->arch, set))
            rope_layout(&model->room.ropes[set], layout, model->arch, set, longest);
    scores_layout(model, layout);
}

static void model_layout(Model *model, Layout *layout)
{
    model->sizes = pass_sizes(model);
    pass_layout(&model->room, layout, &model->sizes);
    places_layout(model, layout);
    layers_layout(model, layout);
    if (model->closes && model->speaks)
        vocab_head_layout(&model->vocab_head, layout, &model->sizes, model->options.training);
}

/* Its logits are made in the base model's buffers. */
static void beside_layout(Model *model, Layout *layout)
{
    layers_layout(model, layout);
    if (model->speaks)
        linear_layout(&model->vocab_head.linear, layout);
}

static size_t count_bytes(Model *model, void (*lay_out)(Model *, Layout *))
{
    Layout layout = { 0 };
    lay_out(model, &layout);
    return layout.bytes;
}

/* Micro-batches that may be on their way; 0: it does not train. */
static int flights_of(const ModelOptions *o)
{
    const int given = o->flights > 0 ? o->flights : 1;
    return o->training ? given : 0;
}

int64_t model_bytes(const ModelArch *arch, const SlotTable *table, const Weights *weights, const ModelOptions *options)
{
    Model model = { .arch = arch, .table = table, .options = *options };
    model.blocks = xcalloc((size_t)arch->layers, sizeof *model.blocks);
    make_layers(&model, weights);
    size_t bytes = count_bytes(&model, model_layout);
    if (options->training)
        bytes += (size_t)flights_of(options) * keep_bytes(&model);
    free(model.blocks);
    return (int64_t)bytes;
}

/* ---- life ------------------------------------------------------------------ */

/* Tables of positions end; rotary positions, slopes and windows do not. Of two stacks whoever reads rows has checked. */
static bool check(const ModelArch *arch, const ModelOptions *options, Err *err)
{
    if (arch->rope || arch->alibi != ALIBI_NONE || arch->source_layers > 0 || options->longest <= arch->positions)
        return true;
    err_set(err, ERR_INPUT, "sequences of %lld tokens are longer than the model's %lld positions",
            (long long)options->longest, (long long)arch->positions);
    return err_hint(err, "lower data.max_length");
}

static bool keeps_init(Model *model, Err *err)
{
    const int count = flights_of(&model->options);
    model->keeps = count > 0 ? xcalloc((size_t)count, sizeof *model->keeps) : NULL;
    for (int i = 0; i < count; i++)
        if (!keep_init(&model->keeps[i], model, err))
            return false;
    return true;
}

Model *model_open(const ModelArch *arch, const SlotTable *table, const Weights *weights, const ModelOptions *options,
                  Err *err)
{
    REQUIRE(arch->layers > 0 && arch->H % arch->K == 0);
    REQUIRE(options->most_tokens > 0 && options->most_sequences > 0 && options->threads > 0);
    if (!check(arch, options, err))
        return NULL;
    Model *model = xcalloc(1, sizeof *model);
    *model = (Model){ .arch = arch, .table = table, .weights = weights, .options = *options };
    model->blocks = xcalloc((size_t)arch->layers, sizeof *model->blocks);
    make_layers(model, weights);
    if (!arena_init(&model->arena, count_bytes(model, model_layout), err) || !keeps_init(model, err)) {
        err_hint(err, "lower parallel.micro_batch_tokens");
        model_close(model);
        return NULL;
    }
    Layout layout = { .arena = &model->arena };
    model_layout(model, &layout);
    for (int set = 0; set < ROPE_SETS; set++)
        rope_fill(&model->room.ropes[set]);
    scores_fill(model);
    distances_fill(&model->distances);
    model->pass = &model->room;
    return model;
}

Model *model_beside(Model *base, const ModelArch *arch, const SlotTable *table, Err *err)
{
    REQUIRE(arch->layers == base->arch->layers && arch->C == base->arch->C);
    Model *model = xcalloc(1, sizeof *model);
    *model =
        (Model){ .arch = arch, .table = table, .weights = base->weights, .options = base->options, .pass = base->pass };
    model->options.most_R = model->options.most_labels = 0;
    model->options.training = false;
    model->blocks = xcalloc((size_t)arch->layers, sizeof *model->blocks);
    make_layers(model, base->weights);
    model->sizes = pass_sizes(model);
    if (!arena_init(&model->arena, count_bytes(model, beside_layout), err)) {
        model_close(model);
        return NULL;
    }
    Layout layout = { .arena = &model->arena };
    beside_layout(model, &layout);
    scores_beside(model, base);
    return model;
}

void model_close(Model *model)
{
    if (!model)
        return;
    arena_release(&model->arena);
    free(model->blocks);
    for (int i = 0; model->keeps && i < flights_of(&model->options); i++)
        keep_release(&model->keeps[i]);
    free(model->keeps);
    free(model);
}

void model_weigh_classes(Model *model, const double *weights)
{
    model->head.loss.weights = weights;
}

int64_t model_most_tokens(const Model *model)
{
    return model->options.most_tokens;
}

int64_t model_slot_size(const Model *model)
{
    return model->options.stage ? model->options.stage->size : model->table->size;
}
