/* logits_driver - what a language model says at every position, for tests/interop/real_models.py.
 *
 *   logits_driver MODEL_FOLDER <IDS      for each line of token ids: float32 [tokens, V], dropout off */
#include "common/base/mem.h"
#include "worker/model/model.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 4096 };

typedef struct Driver {
    ModelArch *arch;
    SlotTable *table;
    SafeTensors *files;
    Weights weights;
    Model *model;
    float *logits; /* [MOST_TOKENS, V] */
} Driver;

static bool open_driver(Driver *d, const char *folder, Err *err)
{
    const StringList none = { 0 };
    const LoraConfig lora = { .r = 1, .alpha = 1 };
    if (!(d->arch = arch_open(folder, NULL, TASK_CAUSAL_LM, &none, 0, PROBLEM_AUTO, err)) ||
        !(d->table = slots_open(d->arch, &lora, err)) || !(d->files = safetensors_open_model(folder, err)) ||
        !weights_plan(&d->weights, d->arch, d->files, err) ||
        !(d->weights.data = mem_alloc((size_t)d->weights.size * sizeof(float), err)) ||
        !weights_load(&d->weights, d->files, 0, 1, err))
        return false;
    const int64_t longest = d->arch->positions < MOST_TOKENS ? d->arch->positions : MOST_TOKENS;
    const ModelOptions o = { longest, 1, longest, false, 1, 0, 0, false };
    d->logits = xmalloc((size_t)(longest * d->arch->V) * sizeof *d->logits);
    return (d->model = model_open(d->arch, d->table, &d->weights, &o, err)) != NULL;
}

static void close_driver(Driver *d)
{
    model_close(d->model);
    free(d->logits);
    free(d->weights.data);
    weights_release(&d->weights);
    safetensors_close(d->files);
    slots_close(d->table);
    arch_close(d->arch);
}

static int64_t read_ids(char *line, int32_t *ids)
{
    int64_t n = 0;
    for (char *word = strtok(line, " \n"); word && n < MOST_TOKENS; word = strtok(NULL, " \n"))
        ids[n++] = (int32_t)atoi(word);
    return n;
}

int main(int argc, char **argv)
{
    Driver d = { 0 };
    Err err = { 0 };
    if (argc != 2)
        return fprintf(stderr, "logits_driver MODEL_FOLDER <IDS\n"), 2;
    bool ok = open_driver(&d, argv[1], &err);
    static int32_t ids[MOST_TOKENS];
    const int64_t example = 0;
    char *line = NULL;
    size_t room = 0;
    while (ok && getline(&line, &room, stdin) > 0) {
        const int64_t start[] = { 0, read_ids(line, ids) };
        const Batch batch = { .B = 1, .N = start[1], .start = start, .ids = ids, .example = &example };
        model_predict(d.model, &batch, NULL, d.logits);
        fwrite(d.logits, sizeof *d.logits, (size_t)(start[1] * d.arch->V), stdout);
    }
    if (!ok)
        err_print(&err, stderr);
    free(line);
    close_driver(&d);
    return ok ? 0 : err_exit_code(&err);
}
