/* A model in stages: what they compute together, one behind the other and several micro-batches on their way, is to
 * the bit what the whole gives. And how blocks are dealt out. */
#include "worker/model/stage.h"

#include "common/base/mem.h"
#include "common/slots/inits.h"
#include "tests/support/model_case.h"
#include "tests/support/slopes.h"
#include "worker/kernels/levels.h"
#include "worker/model/decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { STEP = 6, BIG = 7, SMALL = 2, MOST_STAGES = 4, FLIGHTS = 2 };

/* A stage as a rank holds it. */
typedef struct Part {
    Stage stage;
    Weights weights;
    Model *model;
    float *values; /* [stage.size] */
    uint64_t digest;
} Part;

static void load_part(Part *part, const Subject *s)
{
    Err err = { 0 };
    char *folder = file_of(s, "model");
    SafeTensors *files = safetensors_open_model(folder, &err);
    must(files != NULL, &err);
    must(weights_plan_beside(&part->weights, s->c.table, &part->stage, files, PRECISION_FP32, &err), &err);
    part->weights.data = xcalloc(1, (size_t)part->weights.bytes + 1);
    must(weights_load(&part->weights, files, 0, 1, &err), &err);
    part->digest = weights_digest(&part->weights, files, 0, 2) + weights_digest(&part->weights, files, 1, 2);
    for (int i = 0; inits_shift(&s->c.lora) && i < s->c.arch->module_count; i++)
        if (stage_holds(&part->stage, &s->c.arch->modules[i]))
            must(inits_shift_base(weights_room(&part->weights, i), s->c.table, i, &s->c.lora, 1, &err), &err);
    safetensors_close(files);
    free(folder);
}

static ModelOptions options_of(const Subject *s, const Packed *most, const Stage *stage)
{
    return (ModelOptions){ .most_tokens = most->batch.N,
                           .most_sequences = most->batch.B,
                           .longest = MOST_LENGTH < s->c.arch->positions ? MOST_LENGTH : s->c.arch->positions,
                           .training = true,
                           .threads = 1,
                           .lora_dropout = 0.1,
                           .seed = 42,
                           .stage = stage,
                           .flights = FLIGHTS };
}

static void open_part(Part *part, const Subject *s, const Packed *most, int index, int count)
{
    Err err = { 0 };
    must(stage_init(&part->stage, s->c.arch, s->c.table, index, count, &err), &err);
    load_part(part, s);
    const ModelOptions o = options_of(s, most, &part->stage);
    part->model = model_open(s->c.arch, s->c.table, &part->weights, &o, &err);
    must(part->model != NULL, &err);
    part->values = xcalloc((size_t)part->stage.size + 1, sizeof *part->values);
    stage_take(&part->stage, s->c.table, part->values, s->c.values);
    model_bind(part->model, part->values);
}

static void close_part(Part *part)
{
    model_close(part->model);
    free(part->weights.data);
    weights_release(&part->weights);
    stage_release(&part->stage);
    free(part->values);
}

/* A micro-batch on its way through all stages. */
typedef struct Flight {
    Packed p;
    float *rows[MOST_STAGES]; /* that came out of each stage */
    float *grad; /* [table->size] */
    double loss;
} Flight;

static void forward(Part *parts, int s, int flight, Flight *f)
{
    f->p.batch.rows = s > 0 ? f->rows[s - 1] : NULL;
    const int64_t out = f->p.batch.N * model_width_out(parts[s].model);
    f->rows[s] = out > 0 ? xcalloc((size_t)out, sizeof(float)) : NULL;
    model_forward(parts[s].model, flight, &f->p.batch, STEP, f->rows[s]);
}

/* dx: what the stage above pulls with, replaced by what this one does; NULL: nothing. */
static void backward(const Subject *s, Part *parts, int k, int flight, Flight *f, float **dx)
{
    Part *part = &parts[k];
    const size_t floats = (size_t)(f->p.batch.N * s->c.arch->C);
    float *grad = xcalloc((size_t)part->stage.size + 1, sizeof *grad);
    float *out = model_pulls(part->model) ? xcalloc(floats, sizeof *out) : NULL;
    f->p.batch.rows = k > 0 ? f->rows[k - 1] : NULL;
    assert_true(model_is_pulled(part->model) == (*dx != NULL));
    const BatchLoss loss = model_backward(part->model, flight, &f->p.batch, STEP, *dx, grad, out);
    f->loss += loss.sum;
    stage_put(&part->stage, s->c.table, f->grad, grad);
    free(grad);
    free(*dx);
    *dx = out;
}

static Flight take_off(const Subject *s, const Set *set, int B)
{
    return (Flight){ .p = pack(s, set, NULL, B), .grad = xcalloc((size_t)s->c.table->size, sizeof(float)) };
}

static void land(Flight *f, int stages)
{
    for (int s = 0; s < stages; s++)
        free(f->rows[s]);
    free(f->grad);
    unpack(&f->p);
}

static void expect_whole(const Subject *s, Model *whole, const Flight *f)
{
    const size_t bytes = (size_t)s->c.table->size * sizeof(float);
    float *wanted = xcalloc(1, bytes);
    Batch batch = f->p.batch;
    batch.rows = NULL;
    const double loss = model_train(whole, &batch, s->c.values, wanted, STEP).sum;
    assert_true(f->loss == loss);
    assert_memory_equal(f->grad, wanted, bytes);
    free(wanted);
}

/* Two forwards, then two backwards: on the last stage each backward follows its forward at once. */
static void train_in_stages(const Subject *s, Model *whole, Part *parts, int stages)
{
    Flight flights[FLIGHTS] = { take_off(s, &s->train, BIG), take_off(s, &s->dev, SMALL) };
    float *dx[FLIGHTS] = { NULL };
    for (int i = 0; i < FLIGHTS; i++)
        for (int k = 0; k + 1 < stages; k++)
            forward(parts, k, i, &flights[i]);
    for (int i = 0; i < FLIGHTS; i++) {
        forward(parts, stages - 1, i, &flights[i]);
        backward(s, parts, stages - 1, i, &flights[i], &dx[i]);
    }
    for (int i = 0; i < FLIGHTS; i++) {
        for (int k = stages - 2; k >= 0; k--)
            backward(s, parts, k, i, &flights[i], &dx[i]);
        assert_null(dx[i]);
        expect_whole(s, whole, &flights[i]);
    }
    for (int i = 0; i < FLIGHTS; i++)
        land(&flights[i], stages);
}

static void predict_in_stages(const Subject *s, Model *whole, Part *parts, int stages)
{
    Packed p = pack(s, &s->dev, NULL, SMALL);
    const double loss = model_predict(whole, &p.batch, s->c.values, NULL).sum;
    float *rows[MOST_STAGES] = { NULL };
    for (int k = 0; k + 1 < stages; k++) {
        rows[k] = xcalloc((size_t)(p.batch.N * s->c.arch->C), sizeof(float));
        model_give_on(parts[k].model, &p.batch, parts[k].values, rows[k]);
        p.batch.rows = rows[k];
    }
    assert_true(model_predict(parts[stages - 1].model, &p.batch, parts[stages - 1].values, NULL).sum == loss);
    for (int k = 0; k < stages; k++)
        free(rows[k]);
    unpack(&p);
}

/* ---- texts ---------------------------------------------------------------------------------------------- */

enum { LANES = 2, LONG = 70, PIECE = 5 }; /* tokens of a text, more than a page has; of a feed's lane at the most */

typedef struct Voice {
    Decoder *decoder;
    Adapter *adapter;
} Voice;

static int64_t long_of(const Subject *s)
{
    return s->c.arch->positions < LONG ? s->c.arch->positions : LONG;
}

static Voice open_voice(const Subject *s, Model *model, const float *values)
{
    Err err = { 0 };
    const DecodeOptions o = { .lanes = LANES, .longest = long_of(s) };
    Voice voice = { .decoder = decode_open(model, &o, &err) };
    must(voice.decoder != NULL, &err);
    voice.adapter = adapter_open(model, &(AdapterOptions){ .values = values }, &err);
    must(voice.adapter != NULL, &err);
    for (int64_t lane = 0; lane < LANES; lane++)
        assert_int_equal(decode_join(voice.decoder, voice.adapter, o.longest), lane);
    return voice;
}

static void close_voice(Voice *voice)
{
    decode_close(voice->decoder);
    adapter_close(voice->adapter);
}

/* Prompts in pieces and then a token a lane: through all stages, and through the whole. */
static void write_in_stages(const Subject *s, Model *whole, Part *parts, int stages)
{
    const int64_t V = s->c.arch->V, longest = long_of(s), lane[LANES] = { 1, 0 };
    Voice one = open_voice(s, whole, s->c.values), each[MOST_STAGES];
    float *rows = xcalloc((size_t)(LANES * PIECE * s->c.arch->C), sizeof *rows);
    float *logits = xcalloc((size_t)(LANES * V), sizeof *logits),
          *wanted = xcalloc((size_t)(LANES * V), sizeof *wanted);
    for (int k = 0; k < stages; k++)
        each[k] = open_voice(s, parts[k].model, parts[k].values);
    for (int64_t read[LANES] = { 0 }, step = 0; read[0] < longest && read[1] < longest; step++) {
        int64_t start[LANES + 1] = { 0 };
        int32_t ids[LANES * PIECE];
        for (int i = 0; i < LANES; i++) {
            const int64_t most = longest - read[i], n = step < 4 ? PIECE - i : 1, count = n < most ? n : most;
            for (int64_t t = 0; t < count; t++)
                ids[start[i] + t] = (int32_t)((read[i] + t) * 131 % V + i);
            start[i + 1] = start[i] + count;
            read[i] += count;
        }
        DecodeFeed feed = { .count = LANES, .lane = lane, .start = start, .ids = ids };
        decode_feed(one.decoder, &feed, wanted);
        for (int k = 0; k < stages; k++) {
            feed.rows = k > 0 ? rows : NULL;
            decode_feed(each[k].decoder, &feed, k + 1 < stages ? rows : logits);
        }
        assert_memory_equal(logits, wanted, (size_t)(LANES * V) * sizeof *logits);
    }
    for (int k = 0; k < stages; k++) {
        close_voice(&each[k]);
        model_bind(parts[k].model, parts[k].values);
    }
    close_voice(&one);
    free(rows);
    free(logits);
    free(wanted);
}

static uint64_t digest_of_files(const Subject *s)
{
    Err err = { 0 };
    char *folder = file_of(s, "model");
    SafeTensors *files = safetensors_open_model(folder, &err);
    must(files != NULL, &err);
    const uint64_t digest = safetensors_digest(files);
    safetensors_close(files);
    free(folder);
    return digest;
}

static void with_stages(Subject *s, int stages)
{
    Part parts[MOST_STAGES] = { 0 };
    Err err = { 0 };
    Packed most = pack(s, &s->train, NULL, BIG);
    const ModelOptions o = options_of(s, &most, NULL);
    Model *whole = model_open(s->c.arch, s->c.table, &s->weights, &o, &err);
    must(whole != NULL, &err);
    int64_t size = 0;
    uint64_t digest = 0;
    for (int k = 0; k < stages; k++) {
        open_part(&parts[k], s, &most, k, stages);
        size += parts[k].stage.size;
        digest += parts[k].digest;
    }
    assert_true(digest == digest_of_files(s));
    assert_int_equal(size, s->c.table->size);
    train_in_stages(s, whole, parts, stages);
    predict_in_stages(s, whole, parts, stages);
    if (s->c.arch->head.task->speaks && s->c.arch->source_layers == 0)
        write_in_stages(s, whole, parts, stages);
    for (int k = 0; k < stages; k++)
        close_part(&parts[k]);
    model_close(whole);
    unpack(&most);
}

static bool is_shared(const Subject *s)
{
    Stage stage;
    Err err = { 0 };
    if (stage_init(&stage, s->c.arch, s->c.table, 0, 2, &err)) {
        stage_release(&stage);
        return false;
    }
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.what, s->c.arch->physical
                                         ? "run the same weights"
                                         : "is trained in the word table and in the head that is tied to it"));
    return true;
}

static void stages_give_the_bits_of_the_whole(void **state)
{
    const Kernels *before = kernels;
    for (int i = 0; i < level_count; i++) {
        if (!levels[i].fits())
            continue;
        levels_use(&levels[i]);
        Subject *s = open_subject((int)(intptr_t)*state);
        ModelArch *arch = s->c.arch;
        arch->embed_dropout = arch->hidden_dropout = arch->attention_dropout = 0.2;
        arch->head.pooler_dropout = arch->head.dropout = 0.2;
        stir_values(s->c.values, s->c.table);
        for (int stages = 1; stages <= arch->layers && stages <= MOST_STAGES; stages++)
            if (stages == 1 || !is_shared(s))
                with_stages(s, stages);
        close_subject(s);
    }
    for (int i = 0; i < level_count; i++)
        if (levels[i].kernels == before)
            levels_use(&levels[i]);
}

/* Nothing is trained below the second block, so that no gradient comes back to the first stage. */
static void nothing_is_pulled_where_nothing_is_trained(void **state)
{
    (void)state;
    static const char *const cases[][2] = { { "bert-seqcls", "query" },
                                            { "gpt2-clm", "c_attn" },
                                            { "llama-clm", "up_proj" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *lora = xprintf("{\"r\": 4, \"lora_alpha\": 8, \"target_modules\": [\"%s\"], "
                             "\"layers_to_transform\": [1]}",
                             cases[i][1]);
        Subject *s = open_subject_with(golden_index(cases[i][0]), lora);
        free(lora);
        stir_values(s->c.values, s->c.table);
        Part first = { 0 };
        Packed most = pack(s, &s->train, NULL, BIG);
        open_part(&first, s, &most, 0, 2);
        assert_false(model_is_pulled(first.model));
        assert_int_equal(first.stage.size, 0);
        close_part(&first);
        unpack(&most);
        with_stages(s, 2);
        close_subject(s);
    }
}

/* ---- how blocks are dealt out ------------------------------------------------------------------------ */

/* A Llama of so many blocks, as far as a deal looks at it. */
typedef struct Shape {
    ModelArch arch;
    Module *modules;
} Shape;

static Shape shape_new(int64_t layers, int64_t C, int64_t F, int64_t V)
{
    Shape shape = { .modules = xcalloc((size_t)layers * 7 + 2, sizeof(Module)) };
    Module *m = shape.modules;
    *m++ = (Module){ .kind = MODULE_EMBEDDING, .role = ROLE_WORD, .layer = -1, .out = V, .in = C };
    for (int l = 0; l < (int)layers; l++) {
        for (Role role = ROLE_Q; role <= ROLE_ATTN_OUT; role++)
            *m++ = (Module){ .kind = MODULE_LINEAR, .role = role, .layer = l, .out = C, .in = C };
        *m++ = (Module){ .kind = MODULE_LINEAR, .role = ROLE_FF_GATE, .layer = l, .out = F, .in = C };
        *m++ = (Module){ .kind = MODULE_LINEAR, .role = ROLE_FF_UP, .layer = l, .out = F, .in = C };
        *m++ = (Module){ .kind = MODULE_LINEAR, .role = ROLE_FF_DOWN, .layer = l, .out = C, .in = F };
    }
    *m++ = (Module){ .kind = MODULE_LINEAR, .role = ROLE_HEAD, .layer = -1, .out = V, .in = C };
    shape.arch = (ModelArch){ .layers = layers, .modules = shape.modules, .module_count = (int)(m - shape.modules) };
    return shape;
}

static void expect_deal(const Shape *shape, int count, const int64_t *blocks)
{
    int64_t ends[16];
    stage_split(ends, &shape->arch, count);
    for (int s = 0; s < count; s++)
        assert_int_equal(ends[s] - (s > 0 ? ends[s - 1] : 0), blocks[s]);
}

static void blocks_are_dealt_by_time_and_memory(void **state)
{
    (void)state;
    Shape large = shape_new(14, 2048, 5632, 32000), base = shape_new(12, 768, 3072, 30522),
          plain = shape_new(7, 8, 8, 1);
    expect_deal(&large, 4, (int64_t[]){ 3, 4, 4, 3 }); /* 0.88, 0.82, 0.82, 0.88 GB of fp32 */
    expect_deal(&large, 1, (int64_t[]){ 14 });
    expect_deal(&base, 2, (int64_t[]){ 7, 5 }); /* the head is worth two blocks and a half */
    expect_deal(&plain, 7, (int64_t[]){ 1, 1, 1, 1, 1, 1, 1 });
    free(large.modules);
    free(base.modules);
    free(plain.modules);
}

static void more_stages_than_blocks_are_refused(void **state)
{
    (void)state;
    Subject *s = open_subject(golden_index("bert-seqcls"));
    Stage stage;
    Err err = { 0 };
    assert_false(stage_init(&stage, s->c.arch, s->c.table, 0, 3, &err));
    assert_string_equal(err.what, "the model has 2 blocks, not enough for 3 stages");
    assert_string_equal(err.where, "parallel.pipeline");
    assert_string_equal(err.hint, "a stage holds a block at least: take 2 or fewer");
    close_subject(s);
}

int main(void)
{
    struct CMUnitTest tests[GOLDEN_STACKS + 3] = {
        cmocka_unit_test(nothing_is_pulled_where_nothing_is_trained),
        cmocka_unit_test(blocks_are_dealt_by_time_and_memory),
        cmocka_unit_test(more_stages_than_blocks_are_refused),
    };
    for (int g = 0; g < GOLDEN_STACKS; g++)
        tests[3 + g] =
            (struct CMUnitTest){ golden[g].name, stages_give_the_bits_of_the_whole, NULL, NULL, (void *)(intptr_t)g };
    return _cmocka_run_group_tests("stages", tests, GOLDEN_STACKS + 3, NULL, NULL);
}
