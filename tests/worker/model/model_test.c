#include "worker/model/model.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "tests/support/must.h"
#include "tests/support/slopes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One encoded example of a golden case. */
typedef struct Example {
    int32_t *ids, *types;
    int64_t length;
    float goal[8];
} Example;

enum { MOST_EXAMPLES = 400, MOST_LABELS = 8, BATCH = 16 };

/* A golden case opened as a run would: arch, slots, frozen weights, examples. */
typedef struct Case {
    ModelArch *arch;
    SlotTable *table;
    Weights weights;
    float *values;
    Example train[MOST_EXAMPLES], dev[MOST_EXAMPLES];
    int train_count, dev_count;
} Case;

/* What a case is opened with besides its name. */
typedef struct CaseOptions {
    const char *name;
    const char *config; /* overrides as JSON */
    ProblemType problem;
    int64_t labels;
    LoraConfig lora;
} CaseOptions;

static char query[] = "query", value[] = "value", intermediate[] = "intermediate.dense";
static char key[] = "key", attn_out[] = "attention.output.dense", ff_down[] = "output.dense";
static char pooler[] = "pooler", words[] = "word_embeddings", layer_norm[] = "LayerNorm";

/* ---- golden files ---------------------------------------------------------- */

static char *golden(const char *name, const char *file)
{
    return xprintf("tests/golden/%s/%s", name, file);
}

static int32_t *ints(const json_t *list, int64_t *count)
{
    *count = (int64_t)json_array_size(list);
    int32_t *out = xcalloc((size_t)*count + 1, sizeof *out);
    for (int64_t i = 0; i < *count; i++)
        out[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
    return out;
}

static void read_example(Case *c, const json_t *row)
{
    const bool train = strcmp(json_string_value(json_object_get(row, "split")), "train") == 0;
    Example *e = train ? &c->train[c->train_count++] : &c->dev[c->dev_count++];
    assert_true(c->train_count < MOST_EXAMPLES && c->dev_count < MOST_EXAMPLES);
    int64_t types = 0;
    e->ids = ints(json_object_get(row, "input_ids"), &e->length);
    e->types = ints(json_object_get(row, "token_type_ids"), &types);
    assert_int_equal(e->length, types);
    const json_t *goal = json_object_get(row, "labels");
    if (json_is_number(goal))
        e->goal[0] = (float)json_number_value(goal);
    for (size_t i = 0; i < json_array_size(goal); i++)
        e->goal[i] = (float)json_number_value(json_array_get(goal, i));
}

static void read_examples(Case *c, const char *name)
{
    Err err = { 0 };
    char *path = golden(name, "expected/encoded.jsonl");
    char *text = file_read(path, NULL, &err), *rest = NULL;
    must(text != NULL, &err);
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *row = json_bytes(line, strlen(line), path, &err);
        must(row != NULL, &err);
        read_example(c, row);
        json_decref(row);
    }
    free(text);
    free(path);
}

/* ---- cases ----------------------------------------------------------------- */

static void load_weights(Case *c, const char *folder)
{
    Err err = { 0 };
    SafeTensors *files = safetensors_open_model(folder, &err);
    must(files != NULL, &err);
    must(weights_plan(&c->weights, c->arch, files, &err), &err);
    c->weights.data = xcalloc(1, (size_t)c->weights.bytes);
    must(weights_load(&c->weights, files, 0, 1, &err), &err);
    safetensors_close(files);
}

static Case *case_open(const CaseOptions *o)
{
    Err err = { 0 };
    Case *c = xcalloc(1, sizeof *c);
    char *folder = golden(o->name, "model");
    json_t *config = json_bytes(o->config, strlen(o->config), "overrides", &err);
    must(config != NULL, &err);
    const StringList no_names = { 0 };
    c->arch = arch_open(folder, config, TASK_SEQ_CLS, &no_names, o->labels, o->problem, &err);
    must(c->arch != NULL, &err);
    c->table = slots_open(c->arch, &o->lora, &err);
    must(c->table != NULL, &err);
    load_weights(c, folder);
    c->values = xcalloc((size_t)c->table->size, sizeof(float));
    must(slots_init(c->values, c->table, c->arch, &o->lora, 5, &err), &err);
    read_examples(c, o->name);
    json_decref(config);
    free(folder);
    return c;
}

static void free_examples(Example *examples, int count)
{
    for (int i = 0; i < count; i++) {
        free(examples[i].ids);
        free(examples[i].types);
    }
}

static void case_close(Case *c)
{
    free_examples(c->train, c->train_count);
    free_examples(c->dev, c->dev_count);
    free(c->values);
    free(c->weights.data);
    weights_release(&c->weights);
    slots_close(c->table);
    arch_close(c->arch);
    free(c);
}

#define NO_DROPOUT "{\"hidden_dropout_prob\": 0.0, \"attention_probs_dropout_prob\": 0.0}"
#define DROPOUT "{\"hidden_dropout_prob\": 0.2, \"attention_probs_dropout_prob\": 0.3}"

static char seqcls_init[] = "tests/golden/bert-seqcls/init";
static char multilabel_init[] = "tests/golden/bert-multilabel/init";

static Case *open_seqcls(void)
{
    char *targets[] = { query, value };
    const CaseOptions o = {
        .name = "bert-seqcls",
        .config = NO_DROPOUT,
        .problem = PROBLEM_SINGLE_LABEL,
        .labels = 3,
        .lora = { .r = 4, .alpha = 8, .target_modules = { targets, 2 }, .init_adapter = seqcls_init },
    };
    return case_open(&o);
}

static Case *open_multilabel(void)
{
    char *targets[] = { query, value, intermediate };
    int64_t layers[] = { 0, 2 };
    double two = 2;
    char *rank_of[] = { value }, *alpha_of[] = { intermediate };
    const CaseOptions o = {
        .name = "bert-multilabel",
        .config = "{}",
        .problem = PROBLEM_MULTI_LABEL,
        .labels = 4,
        .lora = { .r = 4,
                  .alpha = 8,
                  .target_modules = { targets, 3 },
                  .layers_to_transform = layers,
                  .layers_count = 2,
                  .rank_pattern = { rank_of, &two, 1 },
                  .alpha_pattern = { alpha_of, &two, 1 },
                  .init_adapter = multilabel_init },
    };
    return case_open(&o);
}

static void stir(Case *c)
{
    stir_values(c->values, c->table);
}

/* ---- batches --------------------------------------------------------------- */

typedef struct Packed {
    Batch batch;
    int64_t start[MOST_EXAMPLES + 1], example[MOST_EXAMPLES];
    int32_t ids[MOST_EXAMPLES * 32], types[MOST_EXAMPLES * 32];
    float goal[MOST_EXAMPLES * MOST_LABELS];
} Packed;

/* examples[rows[0, B)] end to end; rows NULL: the first B. */
static void pack(Packed *p, const Case *c, const Example *examples, const int *rows, int B)
{
    const bool many = c->arch->head.problem == PROBLEM_MULTI_LABEL;
    const int width = many ? (int)c->arch->head.labels : 1;
    int64_t N = 0;
    for (int b = 0; b < B; b++) {
        const int row = rows ? rows[b] : b;
        const Example *e = &examples[row];
        assert_true((size_t)(N + e->length) <= sizeof p->ids / sizeof *p->ids);
        p->start[b] = N;
        p->example[b] = row;
        memcpy(p->ids + N, e->ids, (size_t)e->length * sizeof(int32_t));
        memcpy(p->types + N, e->types, (size_t)e->length * sizeof(int32_t));
        memcpy(p->goal + b * width, e->goal, (size_t)width * sizeof(float));
        N += e->length;
    }
    p->start[B] = N;
    p->batch = (Batch){
        .B = B, .N = N, .start = p->start, .ids = p->ids, .types = p->types, .example = p->example, .goal = p->goal
    };
}

static Packed *packed(const Case *c, const Example *examples, const int *rows, int B)
{
    Packed *p = xcalloc(1, sizeof *p);
    pack(p, c, examples, rows, B);
    return p;
}

static Model *open_model(const Case *c, const Packed *p, double lora_dropout)
{
    const ModelOptions o = { .most_tokens = p->batch.N,
                             .most_sequences = p->batch.B,
                             .longest = 32,
                             .training = true,
                             .threads = 1,
                             .lora_dropout = lora_dropout,
                             .seed = 42 };
    Err err = { 0 };
    Model *model = model_open(c->arch, c->table, &c->weights, &o, &err);
    must(model != NULL, &err);
    return model;
}

static float *new_grad(const Case *c)
{
    float *grad = xcalloc((size_t)c->table->size, sizeof *grad);
    for (int64_t i = 0; i < c->table->size; i++)
        grad[i] = 7; /* model_train writes, it does not add */
    return grad;
}

static double largest(const float *x, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)x[i]));
    return most;
}

/* Largest |a - b| of a slot, relative to the largest of b. */
static double slot_difference(const float *a, const float *b, const Slot *slot)
{
    double most = 0;
    for (int64_t i = slot->offset; i < slot->offset + slot->count; i++)
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most / fmax(largest(b + slot->offset, slot->count), 1e-30);
}

static void without_values_it_is_the_base_with_a_head_of_zeros(void **state)
{
    (void)state;
    Case *c = open_seqcls();
    Packed *p = packed(c, c->dev, NULL, 8);
    Model *model = open_model(c, p, 0);
    float logits[8 * 3];
    const BatchLoss loss = model_predict(model, &p->batch, NULL, logits);
    assert_true(largest(logits, 8 * 3) == 0);
    assert_float_equal(loss.sum / 8, log(3.0), 1e-6);
    model_close(model);
    free(p);
    case_close(c);
}

/* ---- by itself --------------------------------------------------------------- */

/* Every tensor that can be trained is, one way or the other, and everything drops. */
static Case *open_everything(ProblemType problem, int64_t labels)
{
    char *saved[] = { pooler, words, layer_norm };
    const CaseOptions o = {
        .name = "bert-seqcls",
        .config = DROPOUT,
        .problem = problem,
        .labels = labels,
        .lora = { .r = 3, .alpha = 6, .all_linear = true, .bias = BIAS_ALL, .modules_to_save = { saved, 3 } },
    };
    Case *c = case_open(&o);
    stir(c);
    return c;
}

static void check_slopes(const Case *c, double lora_dropout)
{
    Packed *p = packed(c, c->train, NULL, BATCH);
    Model *model = open_model(c, p, lora_dropout);
    expect_slopes(model, c->arch, c->table, &c->weights, &p->batch, c->values);
    model_close(model);
    free(p);
}

static void gradients_are_the_slopes_of_the_loss_with_every_tensor_trained(void **state)
{
    (void)state;
    Case *c = open_everything(PROBLEM_SINGLE_LABEL, 3);
    check_slopes(c, 0.0);
    check_slopes(c, 0.25);
    case_close(c);
}

static void regression_has_the_right_slopes_too(void **state)
{
    (void)state;
    Case *c = open_everything(PROBLEM_REGRESSION, 1);
    check_slopes(c, 0.1);
    case_close(c);
}

static void whole_attention_modules_can_be_trained(void **state)
{
    (void)state;
    char *saved[] = { query, intermediate }, *targets[] = { value };
    const CaseOptions o = {
        .name = "bert-seqcls",
        .config = DROPOUT,
        .problem = PROBLEM_SINGLE_LABEL,
        .labels = 3,
        .lora = { .r = 3, .alpha = 6, .target_modules = { targets, 1 }, .modules_to_save = { saved, 2 } },
    };
    Case *c = case_open(&o);
    stir(c);
    check_slopes(c, 0.0);
    case_close(c);
}

/* Each single layer and place as the lowest that is trained. */
static void what_is_skipped_below_the_first_adapted_linear_changes_no_gradient(void **state)
{
    (void)state;
    char *roles[] = { query, key, value, attn_out, intermediate, ff_down };
    for (int64_t layer = 0; layer < 2; layer++) {
        for (int role = 0; role < 6; role++) {
            const CaseOptions o = {
                .name = "bert-seqcls",
                .config = DROPOUT,
                .problem = PROBLEM_SINGLE_LABEL,
                .labels = 3,
                .lora = { .r = 3,
                          .alpha = 6,
                          .target_modules = { &roles[role], 1 },
                          .layers_to_transform = &layer,
                          .layers_count = 1 },
            };
            Case *c = case_open(&o);
            stir(c);
            check_slopes(c, 0.0);
            case_close(c);
        }
    }
}

static void four_micro_batches_add_up_to_the_whole(void **state)
{
    (void)state;
    Case *c = open_everything(PROBLEM_SINGLE_LABEL, 3);
    Packed *whole = packed(c, c->train, NULL, BATCH);
    Model *model = open_model(c, whole, 0.2);
    float *grad = new_grad(c), *part = new_grad(c);
    float *sum = xcalloc((size_t)c->table->size, sizeof *sum);
    const double loss = model_train(model, &whole->batch, c->values, grad, 9).sum;
    double parts_loss = 0;
    for (int m = 0; m < 4; m++) {
        int rows[4];
        for (int b = 0; b < 4; b++)
            rows[b] = (b * 7 + m * 4) % BATCH; /* not the order of the whole */
        Packed *piece = packed(c, c->train, rows, 4);
        parts_loss += model_train(model, &piece->batch, c->values, part, 9).sum;
        for (int64_t i = 0; i < c->table->size; i++)
            sum[i] += part[i];
        free(piece);
    }
    assert_float_equal(parts_loss, loss, 1e-5 * fabs(loss));
    for (int i = 0; i < c->table->count; i++)
        if (!is_noise(c->arch, &c->table->slots[i]))
            assert_true(slot_difference(sum, grad, &c->table->slots[i]) < 1e-5);
    free(grad);
    free(part);
    free(sum);
    model_close(model);
    free(whole);
    case_close(c);
}

static void the_same_call_gives_the_same_bits(void **state)
{
    (void)state;
    Case *c = open_everything(PROBLEM_SINGLE_LABEL, 3);
    Packed *p = packed(c, c->train, NULL, BATCH), *other = packed(c, c->dev, NULL, 5);
    Model *model = open_model(c, p, 0.2);
    float *a = new_grad(c), *b = new_grad(c), logits[5 * 3];
    const size_t bytes = (size_t)c->table->size * sizeof(float);
    const double loss = model_train(model, &p->batch, c->values, a, 4).sum;
    model_train(model, &other->batch, c->values, b, 5);
    model_predict(model, &other->batch, c->values, logits);
    assert_true(model_train(model, &p->batch, c->values, b, 4).sum == loss);
    assert_memory_equal(a, b, bytes);
    model_train(model, &p->batch, c->values, b, 5);
    assert_memory_not_equal(a, b, bytes); /* another step, other masks */
    free(a);
    free(b);
    model_close(model);
    free(p);
    free(other);
    case_close(c);
}

static void padding_of_the_flat_buffer_stays_zero(void **state)
{
    (void)state;
    Case *c = open_multilabel();
    Packed *p = packed(c, c->train, NULL, BATCH);
    Model *model = open_model(c, p, 0);
    float *grad = new_grad(c);
    model_train(model, &p->batch, c->values, grad, 0);
    for (int i = 0; i < c->table->count; i++) {
        const Slot *slot = &c->table->slots[i];
        memset(grad + slot->offset, 0, (size_t)slot->count * sizeof *grad);
    }
    assert_true(largest(grad, c->table->size) == 0);
    free(grad);
    model_close(model);
    free(p);
    case_close(c);
}

static int64_t bytes_with_layer(int64_t layer, bool training)
{
    char *targets[] = { query, value };
    const CaseOptions o = {
        .name = "bert-multilabel",
        .config = "{}",
        .problem = PROBLEM_MULTI_LABEL,
        .labels = 4,
        .lora = { .r = 4,
                  .alpha = 8,
                  .target_modules = { targets, 2 },
                  .layers_to_transform = &layer,
                  .layers_count = 1 },
    };
    Case *c = case_open(&o);
    const ModelOptions options = {
        .most_tokens = 4096, .most_sequences = 32, .longest = 512, .training = training, .threads = 1
    };
    const int64_t bytes = model_bytes(c->arch, c->table, NULL, &options);
    case_close(c);
    return bytes;
}

static void frozen_lower_layers_keep_nothing(void **state)
{
    (void)state;
    const int64_t first = bytes_with_layer(0, true), last = bytes_with_layer(2, true);
    const int64_t none = bytes_with_layer(0, false);
    const int64_t layer = 4096 * (10 * 32 + 4) * 4; /* about what one keeps: see block.h */
    assert_true(first - last > layer);
    assert_true(last - none < layer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_values_it_is_the_base_with_a_head_of_zeros),
        cmocka_unit_test(gradients_are_the_slopes_of_the_loss_with_every_tensor_trained),
        cmocka_unit_test(regression_has_the_right_slopes_too),
        cmocka_unit_test(whole_attention_modules_can_be_trained),
        cmocka_unit_test(what_is_skipped_below_the_first_adapted_linear_changes_no_gradient),
        cmocka_unit_test(four_micro_batches_add_up_to_the_whole),
        cmocka_unit_test(the_same_call_gives_the_same_bits),
        cmocka_unit_test(padding_of_the_flat_buffer_stays_zero),
        cmocka_unit_test(frozen_lower_layers_keep_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
