/* families FOLDER - what a model of every family can do, tried on a small one with an adapter: a line of JSON a family, each
 * cell true or the sentence that refuses it. Run from the tree's root; FOLDER is for what is written. */
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "launch/cmd_export.h"
#include "launch/cmd_merge.h"
#include "launch/cmd_plan.h"
#include "tests/dist/asked.h"
#include "worker/model/model.h"
#include "worker/open/opened.h"
#include "worker/train/stages.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 2, LENGTH_OF_ROWS = 12, MOST_TEXT = ROWS * LENGTH_OF_ROWS, LABELS_OF_HEADS = 2 };

/* Golden cases with a model of the family, or of one that has the same files. */
static const struct {
    const char *family, *golden;
} models[] = {
    { "albert", "albert-seqcls" },
    { "bart", "bart-seq2seq" },
    { "bert", "bert-seqcls" },
    { "bloom", "bloom-clm" },
    { "cohere", "cohere-clm" },
    { "deberta", "deberta-v1-seqcls" },
    { "deberta-v2", "deberta-v3-seqcls" },
    { "distilbert", "distilbert-regress" },
    { "electra", "electra-pair" },
    { "falcon", "falcon-clm" },
    { "gemma", "gemma-clm" },
    { "gemma2", "gemma2-clm" },
    { "gemma3_text", "gemma3-clm" },
    { "gpt2", "gpt2-clm" },
    { "gpt_neox", "gpt_neox-clm" },
    { "gptj", "gptj-clm" },
    { "granite", "granite-clm" },
    { "llama", "llama-clm" },
    { "mistral", "llama-clm" },
    { "modernbert", "modernbert-seqcls" },
    { "mpnet", "mpnet-seqcls" },
    { "olmo2", "olmo2-clm" },
    { "opt", "opt-clm" },
    { "phi", "phi-clm" },
    { "phi3", "phi3-clm" },
    { "qwen2", "qwen2-clm" },
    { "qwen3", "qwen3-clm" },
    { "roberta", "roberta-pair" },
    { "smollm3", "smollm3-clm" },
    { "stablelm", "stablelm-clm" },
    { "t5", "t5-seq2seq" },
    { "vit", "vit-imgcls" },
    { "xlm-roberta", "roberta-pair" },
};

typedef struct Tried {
    const Family *family;
    const char *golden;
    char *place, *model, *adapter; /* owned */
    TaskType task; /* of the adapter */
    json_t *out;
} Tried;

static void stop(const char *who, const Err *err)
{
    fprintf(stderr, "%s: %s | %s | %s\n", who, err->what, err->where, err->hint);
    exit(1);
}

static void must(bool ok, const Tried *t, const Err *err)
{
    if (!ok)
        stop(t->family->model_type, err);
}

/* ---- a model and rows for it -------------------------------------------------------------------------- */

static char *copy_config(const Tried *t, const char *folder)
{
    Err err = { 0 };
    char *from = path_join(folder, "config.json"), *to = path_join(t->model, "config.json");
    json_t *config = json_file(from, &err);
    must(config != NULL, t, &err);
    json_object_set_new(config, "model_type", json_string(t->family->model_type));
    json_object_del(config, "architectures");
    must(json_write(to, config, &err), t, &err);
    json_decref(config);
    free(from);
    return to;
}

/* All but config.json, which is there. */
static void link_files(const Tried *t, const char *folder)
{
    Err err = { 0 };
    size_t count;
    char **names = folder_list(folder, &count, &err);
    must(names != NULL, t, &err);
    for (size_t i = 0; i < count; i++) {
        char *from = path_join(folder, names[i]), *to = path_join(t->model, names[i]);
        if (!file_exists(to) && symlink(from, to) != 0)
            stop(to, &(Err){ .what = "no link" });
        free(from);
        free(to);
        free(names[i]);
    }
    free(names);
}

/* t->model: the golden case's, as one of this family. */
static void make_model(Tried *t)
{
    Err err = { 0 };
    char *golden = xprintf("tests/golden/%s/model", t->golden), *folder = path_absolute(golden);
    char *config = path_join(folder, "config.json");
    json_t *own = json_file(config, &err);
    must(own != NULL, t, &err);
    const bool same = strcmp(json_string_value(json_object_get(own, "model_type")), t->family->model_type) == 0;
    json_decref(own);
    free(config);
    t->model = same ? xstrdup(folder) : path_join(t->place, "model");
    if (!same) {
        must(folder_make(t->model, &err), t, &err);
        free(copy_config(t, folder));
        link_files(t, folder);
    }
    free(golden);
    free(folder);
}

/* The family's targets, or those that it hints at. */
static LoraConfig lora_of(const Family *family)
{
    LoraConfig lora = { .r = 2, .alpha = 4, .init = INIT_TRUE };
    StringList *names = &lora.target_modules;
    char *hint = xstrdup(family->target_hint ? family->target_hint : ""), *rest = hint, *name;
    names->items = xcalloc(16, sizeof *names->items);
    for (const char *const *one = family->default_targets; one && *one; one++)
        names->items[names->count++] = xstrdup(*one);
    while (names->count < 16 && rest && (name = strsep(&rest, ", ")))
        if (*name && !family->default_targets)
            names->items[names->count++] = xstrdup(name);
    free(hint);
    return lora;
}

typedef struct TextRows {
    int32_t ids[MOST_TEXT], types[MOST_TEXT], goals[MOST_TEXT];
    int64_t start[ROWS + 1], example[ROWS];
    float goal[2 * ROWS];
    float *pixels; /* owned */
    Batch batch;
} TextRows;

static void fill_text(TextRows *r, const ModelArch *arch, int64_t n, int64_t t)
{
    const Task *task = arch->head.task;
    const bool target = task->two_texts && t >= LENGTH_OF_ROWS / 2;
    r->ids[n] = (int32_t)(5 + (7 * n + 3) % (arch->V - 10));
    r->types[n] = target;
    r->goals[n] = task->speaks ? r->ids[n] : (int32_t)(t % LABELS_OF_HEADS);
    if (task->two_texts && !target)
        r->goals[n] = -100;
}

/* 0: texts. */
static int64_t rows_of_image(const ModelArch *arch)
{
    const int64_t side = arch->image_size > 0 ? arch->image_size / arch->patch : 0;
    return side > 0 ? 1 + side * side : 0;
}

static void fill_rows(TextRows *r, const ModelArch *arch)
{
    const bool text = arch->image_size == 0;
    const int64_t T = text ? LENGTH_OF_ROWS : rows_of_image(arch);
    const int64_t image = arch->channels * arch->image_size * arch->image_size;
    *r = (TextRows){ .goal = { 0, 1, 3, 5 }, .pixels = xcalloc((size_t)(ROWS * image) + 1, sizeof(float)) };
    for (int64_t b = 0; b < ROWS; b++) {
        r->example[b] = b;
        r->start[b + 1] = r->start[b] + T;
        for (int64_t t = 0; text && t < T; t++)
            fill_text(r, arch, r->start[b] + t, t);
    }
    for (int64_t i = 0; i < ROWS * image; i++)
        r->pixels[i] = (float)(i % 17) / 8 - 1;
    const bool tokens = arch->head.rows == READ_LABELLED;
    r->batch = (Batch){ .B = ROWS,
                        .N = r->start[ROWS],
                        .start = r->start,
                        .example = r->example,
                        .ids = text ? r->ids : NULL,
                        .types = arch->head.task->two_texts ? r->types : NULL,
                        .goal = tokens ? NULL : r->goal,
                        .token_goal = tokens ? r->goals : NULL,
                        .pixels = text ? NULL : r->pixels };
}

/* ---- steps ------------------------------------------------------------------------------------------------ */

typedef struct Ready {
    LoraConfig lora;
    Opened base;
    void *data;
    float *values;
} Ready;

static AdaptedOptions options_of(const LoraConfig *lora, const char *model, TaskType task, Precision precision)
{
    static const StringList none;
    const bool classes = !task_get(task)->speaks && !task_get(task)->embeds && !task_get(task)->spans;
    return (AdaptedOptions){ .model = model,
                             .task = task,
                             .labels = &none,
                             .label_count = classes && task != TASK_IMAGE_CLS ? LABELS_OF_HEADS : 0,
                             .problem = classes ? PROBLEM_SINGLE_LABEL : PROBLEM_AUTO,
                             .precision = precision,
                             .lora = lora };
}

/* A layer before the head that files need not hold is trained whole, as PEFT does not know it. */
static void save_new(LoraConfig *lora, const AdaptedOptions *o)
{
    Err err = { 0 };
    ModelArch *arch = arch_open(o->model, NULL, o->task, o->labels, o->label_count, o->problem, &err);
    const Module *pooler = arch ? arch_module(arch, -1, ROLE_POOLER) : NULL;
    if (pooler && pooler->is_new) {
        lora->modules_to_save.items = xcalloc(1, sizeof *lora->modules_to_save.items);
        lora->modules_to_save.items[lora->modules_to_save.count++] = xstrndup(pooler->path, strcspn(pooler->path, "."));
    }
    arch_close(arch);
}

/* values: small random ones, or (trained false) those that a run begins with. */
static bool ready_open(Ready *r, const Family *family, const char *model, TaskType task, Precision precision,
                       bool trained, Err *err)
{
    *r = (Ready){ .lora = lora_of(family) };
    const AdaptedOptions o = options_of(&r->lora, model, task, precision);
    save_new(&r->lora, &o);
    if (!opened_open(&r->base, &o, err))
        return false;
    const SlotTable *table = r->base.adapted.table;
    r->data = xcalloc(1, (size_t)r->base.weights.bytes + 1);
    r->values = xcalloc((size_t)table->size, sizeof *r->values);
    if (!opened_load(&r->base, r->data, 0, 1, err) ||
        !slots_init(r->values, table, r->base.adapted.arch, &r->lora, 1, err))
        return false;
    for (int64_t i = 0; trained && i < table->size; i++)
        r->values[i] += 0.05f * sinf((float)i);
    return true;
}

static void ready_close(Ready *r)
{
    opened_release(&r->base);
    lora_config_release(&r->lora);
    free(r->data);
    free(r->values);
}

static ModelOptions model_options(const ModelArch *arch, const Stage *stage)
{
    const int64_t image = rows_of_image(arch);
    return (ModelOptions){ .most_tokens = MOST_TEXT + ROWS * image,
                           .most_sequences = ROWS,
                           .longest = image > 0 ? image : LENGTH_OF_ROWS,
                           .training = true,
                           .threads = 1,
                           .untyped = !task_passes_types(arch->head.task, false),
                           .seed = 1,
                           .stage = stage };
}

/* Of embeddings the half sum of squares, whose gradient they are. */
static double step_vectors(Model *model, const Batch *batch, const Ready *r, float *grad)
{
    const int64_t n = batch->B * r->base.adapted.arch->C;
    float *e = xcalloc((size_t)n, sizeof *e);
    double loss = 0;
    model_bind(model, r->values);
    model_forward(model, 0, batch, 0, e);
    for (int64_t i = 0; i < n; i++)
        loss += 0.5 * (double)e[i] * (double)e[i];
    model_backward(model, 0, batch, 0, e, grad, NULL);
    free(e);
    return loss;
}

/* The loss of a step; nan where it, or a gradient, is nothing. */
static double step_of(const Ready *r, const Tried *t)
{
    Err err = { 0 };
    const ModelArch *arch = r->base.adapted.arch;
    const SlotTable *table = r->base.adapted.table;
    const ModelOptions o = model_options(arch, NULL);
    Model *model = model_open(arch, table, &r->base.weights, &o, &err);
    must(model != NULL, t, &err);
    TextRows rows;
    fill_rows(&rows, arch);
    float *grad = xcalloc((size_t)table->size, sizeof *grad);
    const double loss = arch->head.task->embeds ? step_vectors(model, &rows.batch, r, grad)
                                                : model_train(model, &rows.batch, r->values, grad, 0).sum;
    double moved = 0;
    for (int64_t i = 0; i < table->size; i++)
        moved += fabs((double)grad[i]);
    free(grad);
    free(rows.pixels);
    model_close(model);
    return loss > 0 && isfinite(loss) && moved > 0 && isfinite(moved) ? loss : NAN;
}

static double loss_with(const Tried *t, Precision precision, int64_t *bytes)
{
    Err err = { 0 };
    Ready r;
    must(ready_open(&r, t->family, t->model, t->task, precision, true, &err), t, &err);
    const double loss = step_of(&r, t);
    *bytes = r.base.weights.bytes;
    ready_close(&r);
    return loss;
}

/* ---- cells ------------------------------------------------------------------------------------------------------ */

static void put(const Tried *t, const char *cell, const char *reason)
{
    json_object_set_new(t->out, cell, reason ? json_string(reason) : json_true());
}

/* A task is trained, or refused with the names of those that are. */
static void try_task(const Tried *t, TaskType task, json_t *tasks)
{
    Err err = { 0 };
    Ready r;
    const bool ok = ready_open(&r, t->family, t->model, task, PRECISION_FP32, true, &err);
    if (t->family->task_class[task]) {
        must(ok, t, &err);
        if (!(step_of(&r, t) > 0))
            stop(t->family->model_type, &(Err){ .what = "a step of a task that is offered gives no number" });
        json_array_append_new(tasks, json_string(config_task_name(task)));
    } else if (ok || !strstr(err.what, "is not supported for model_type") ||
               !strstr(err.hint, "task_type of this model")) {
        stop(t->family->model_type, &err);
    }
    ready_close(&r);
}

static void try_tasks(Tried *t)
{
    json_t *tasks = json_array();
    for (TaskType task = TASK_SEQ_CLS; task < TASK_COUNT; task++)
        try_task(t, task, tasks);
    json_object_set_new(t->out, "tasks", tasks);
}

static void say_apart(const Tried *t, const char *kind, double apart, int64_t bytes, int64_t all)
{
    Err err = { 0 };
    err_set(&err, ERR_INPUT, "%s: the loss is off by %g of it, with %lld bytes of %lld", kind, apart, (long long)bytes,
            (long long)all);
    stop(t->family->model_type, &err);
}

/* A base of fewer bytes whose loss is another, and near. */
static void try_precisions(const Tried *t)
{
    static const struct {
        const char *cell;
        Precision precision;
        double apart;
    } kinds[] = { { "bf16", PRECISION_BF16, 0.02 }, { "int8", PRECISION_INT8, 0.05 }, { "nf4", PRECISION_NF4, 0.3 } };
    int64_t all, bytes;
    const double exact = loss_with(t, PRECISION_FP32, &all);
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        const double loss = loss_with(t, kinds[i].precision, &bytes), apart = fabs(loss - exact) / exact;
        const bool same = kinds[i].precision == PRECISION_BF16; /* files may hold no more */
        if (!((apart > 0 || same) && apart < kinds[i].apart && bytes < all))
            say_apart(t, kinds[i].cell, apart, bytes, all);
        put(t, kinds[i].cell, NULL);
    }
}

/* One of two ranks. */
typedef struct Half {
    Opened base;
    void *data;
    float *values;
    Model *model;
} Half;

static void half_open(Half *h, const Ready *whole, const Tried *t, int index)
{
    Err err = { 0 };
    const AdaptedOptions o = options_of(&whole->lora, t->model, t->task, PRECISION_FP32);
    must(opened_open_stage(&h->base, &o, index, 2, &err), t, &err);
    h->data = xcalloc(1, (size_t)h->base.weights.bytes + 1);
    must(opened_load(&h->base, h->data, 0, 1, &err), t, &err);
    h->values = xcalloc((size_t)h->base.stage.size + 1, sizeof *h->values);
    stage_take(&h->base.stage, h->base.adapted.table, h->values, whole->values);
    const ModelOptions mo = model_options(h->base.adapted.arch, &h->base.stage);
    h->model = model_open(h->base.adapted.arch, h->base.adapted.table, &h->base.weights, &mo, &err);
    must(h->model != NULL, t, &err);
    model_bind(h->model, h->values);
}

static void half_close(Half *h)
{
    model_close(h->model);
    free(h->values);
    free(h->data);
    opened_release(&h->base);
}

static double loss_of_halves(const Ready *whole, const Tried *t)
{
    Half half[2];
    TextRows rows;
    for (int i = 0; i < 2; i++)
        half_open(&half[i], whole, t, i);
    fill_rows(&rows, whole->base.adapted.arch);
    float *on = xcalloc((size_t)(rows.batch.N * model_width_out(half[0].model)) + 1, sizeof *on);
    float *grad = xcalloc((size_t)half[1].base.stage.size + 1, sizeof *grad);
    model_forward(half[0].model, 0, &rows.batch, 0, on);
    rows.batch.rows = on;
    model_forward(half[1].model, 0, &rows.batch, 0, NULL);
    const double loss = model_backward(half[1].model, 0, &rows.batch, 0, NULL, grad, NULL).sum;
    for (int i = 0; i < 2; i++)
        half_close(&half[i]);
    free(rows.pixels);
    free(grad);
    free(on);
    return loss;
}

static void try_pipeline(const Tried *t, const Ready *whole)
{
    Err err = { 0 };
    Config config = { .parallel = { .pipeline = 2 } };
    if (!stages_check_model(&config, whole->base.adapted.arch, whole->base.adapted.table, &err)) {
        put(t, "pipeline", err.what);
        return;
    }
    if (!(loss_of_halves(whole, t) == step_of(whole, t))) /* to the bit */
        stop(t->family->model_type, &(Err){ .what = "two stages give another loss" });
    put(t, "pipeline", NULL);
}

/* What a command says where it refuses; NULL: it does what it is asked to. */
static char *ask(AskedCommand command, const char *const *words, const Tried *t)
{
    Text said = { 0 };
    const int code = asked(command, words, &said);
    char *reason = code == 2 ? asked_reason(&said) : NULL;
    if (!reason && code != 0) {
        fputs(said.data ? said.data : "", stderr);
        stop(t->family->model_type, &(Err){ .what = "a command failed" });
    }
    text_release(&said);
    return reason;
}

static void expect_merged(const Tried *t, const Ready *adapted, const char *merged)
{
    Err err = { 0 };
    Ready r;
    must(ready_open(&r, t->family, merged, t->task, PRECISION_FP32, false, &err), t, &err);
    const double with = step_of(adapted, t), in = step_of(&r, t);
    if (!(fabs(with - in) < 1e-4 * with))
        stop(t->family->model_type, &(Err){ .what = "the merged model is another" });
    ready_close(&r);
}

static void try_commands(const Tried *t, const Ready *adapted)
{
    char *merged = path_join(t->place, "merged"), *onnx = path_join(t->place, "onnx"),
         *gguf = path_join(t->place, "m.gguf"), *run = xprintf("tests/golden/%s/run.yaml", t->golden),
         *model = xprintf("--model=%s", t->model);
    const struct {
        const char *cell;
        AskedCommand command; /* NULL: a server */
        const char *words[6], *makes;
    } all[] = {
        { "merge", cmd_merge, { "merge", t->adapter, merged, model, "--dtype=f32" }, merged },
        { "onnx", cmd_export, { "export", t->adapter, onnx, model, "--format=onnx" }, onnx },
        { "gguf", cmd_export, { "export", t->adapter, gguf, model, "--format=gguf" }, gguf },
        { "plan", cmd_plan, { "plan", run, model, "--memory=1GB" }, NULL },
        { "serve", NULL, { NULL }, NULL },
    };
    for (size_t i = 0; i < LENGTH(all); i++) {
        char *reason = all[i].command ? ask(all[i].command, all[i].words, t)
                                      : asked_server(t->adapter, t->model, adapted->base.adapted.arch);
        if (!reason && all[i].makes && !file_exists(all[i].makes))
            stop(t->family->model_type, &(Err){ .what = "a command made nothing" });
        put(t, all[i].cell, reason);
        free(reason);
    }
    if (file_exists(merged))
        expect_merged(t, adapted, merged);
    free(merged);
    free(onnx);
    free(gguf);
    free(run);
    free(model);
}

/* The task that its models are for first of all. */
static TaskType main_task(const Family *family)
{
    static const TaskType order[] = { TASK_CAUSAL_LM, TASK_SEQ_2_SEQ_LM, TASK_SEQ_CLS, TASK_IMAGE_CLS };
    size_t i = 0;
    while (!family->task_class[order[i]])
        i++;
    return order[i];
}

static void try_family(Tried *t)
{
    Err err = { 0 };
    Ready r;
    t->task = main_task(t->family);
    must(folder_make(t->place, &err), t, &err);
    make_model(t);
    json_object_set_new(t->out, "family", json_string(t->family->model_type));
    json_object_set_new(t->out, "title", json_string(t->family->title));
    try_tasks(t);
    try_precisions(t);
    must(ready_open(&r, t->family, t->model, t->task, PRECISION_FP32, true, &err), t, &err);
    must(folder_make(t->adapter, &err), t, &err);
    const AdapterForm form = { .values = r.values };
    must(slots_write_adapter(t->adapter, &form, r.base.adapted.table, &r.lora, t->model, &err), t, &err);
    try_pipeline(t, &r);
    try_commands(t, &r);
    ready_close(&r);
}

static const char *golden_of(const char *family)
{
    for (size_t i = 0; i < LENGTH(models); i++)
        if (strcmp(models[i].family, family) == 0)
            return models[i].golden;
    stop(family, &(Err){ .what = "there is no model to try: add one to tests/dist/families.c" });
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    const Family *family;
    for (int i = 0; (family = arch_family_at(i)); i++) {
        Tried t = { .family = family, .golden = golden_of(family->model_type), .out = json_object() };
        t.place = path_join(argv[1], family->model_type);
        t.adapter = path_join(t.place, "adapter");
        try_family(&t);
        char *line = json_dumps(t.out, JSON_COMPACT);
        printf("%s\n", line);
        fflush(stdout);
        free(line);
        json_decref(t.out);
        free(t.place);
        free(t.model);
        free(t.adapter);
    }
    return 0;
}
