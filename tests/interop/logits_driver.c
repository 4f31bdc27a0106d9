/* logits_driver - what worker/model makes of token ids, for tests/interop/real_models.py.
 *
 *   logits_driver MODEL [ADAPTER] <LINES      a line: the ids of a sequence; float32 [tokens, V] of all
 *                                             lines goes to stdout, computed as one batch without padding */
#include "common/base/file.h"
#include "common/base/mem.h"
#include "worker/model/model.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct Driver {
    ModelArch *arch;
    LoraConfig lora;
    SlotTable *table;
    float *values; /* of the adapter; NULL: none */
    Weights weights;
    Model *model;
    Text ids, start; /* int32_t, int64_t */
    int64_t B, N, longest;
} Driver;

static bool read_line(Driver *d, char *line, Err *err)
{
    const int64_t before = d->N;
    for (char *at = line, *end;; at = end) {
        const long id = strtol(at, &end, 10);
        if (end == at)
            break;
        if (id < 0 || id >= d->arch->V)
            return err_set(err, ERR_INPUT, "id %ld, the model has %lld words", id, (long long)d->arch->V);
        const int32_t value = (int32_t)id;
        text_add(&d->ids, (const char *)&value, sizeof value);
        d->N++;
    }
    const int64_t length = d->N - before;
    if (length < 1 || length > d->arch->positions)
        return err_set(err, ERR_INPUT, "%lld ids, the model has %lld positions", (long long)length,
                       (long long)d->arch->positions);
    text_add(&d->start, (const char *)&d->N, sizeof d->N);
    if (length > d->longest)
        d->longest = length;
    d->B++;
    return true;
}

static bool read_lines(Driver *d, Err *err)
{
    char *line = NULL;
    size_t room = 0;
    bool ok = true;
    text_add(&d->start, (const char *)&d->N, sizeof d->N);
    while (ok && getline(&line, &room, stdin) > 0)
        ok = read_line(d, line, err);
    free(line);
    return ok && (d->B > 0 || err_set(err, ERR_INPUT, "no line"));
}

static bool open_adapter(Driver *d, const char *adapter, Err *err)
{
    const LoraConfig plain = { .r = 8, .alpha = 16 };
    if ((adapter && !lora_config_read(&d->lora, adapter, err)) ||
        !(d->table = slots_open(d->arch, adapter ? &d->lora : &plain, err)))
        return false;
    if (!adapter)
        return true;
    d->values = xcalloc((size_t)d->table->size, sizeof *d->values);
    return slots_read_adapter(d->values, d->table, adapter, err);
}

static bool open_model(Driver *d, const char *folder, const char *adapter, Err *err)
{
    const StringList none = { 0 };
    SafeTensors *files = NULL;
    bool ok = (d->arch = arch_open(folder, NULL, TASK_CAUSAL_LM, &none, 0, PROBLEM_AUTO, err)) &&
              open_adapter(d, adapter, err) && (files = safetensors_open_model(folder, err)) &&
              weights_plan(&d->weights, d->arch, files, err) &&
              (d->weights.data = mem_alloc((size_t)d->weights.bytes, err)) &&
              weights_load(&d->weights, files, 0, 1, err);
    safetensors_close(files);
    return ok;
}

static bool write_logits(Driver *d, Err *err)
{
    const ModelOptions o = { .most_tokens = d->N, .most_sequences = d->B, .longest = d->longest, .threads = 1 };
    const size_t count = (size_t)(d->N * d->arch->V);
    float *logits = mem_alloc(count * sizeof *logits, err);
    int64_t *example = xcalloc((size_t)d->B, sizeof *example);
    const Batch batch = { .B = d->B,
                          .N = d->N,
                          .start = (const int64_t *)(const void *)d->start.data,
                          .ids = (const int32_t *)(const void *)d->ids.data,
                          .example = example };
    bool ok = logits && (d->model = model_open(d->arch, d->table, &d->weights, &o, err));
    if (ok) {
        model_predict(d->model, &batch, d->values, logits);
        ok = fwrite(logits, sizeof *logits, count, stdout) == count ||
             err_set(err, ERR_IO, "the logits cannot be written");
    }
    free(logits);
    free(example);
    return ok;
}

int main(int argc, char **argv)
{
    Driver d = { 0 };
    Err err = { 0 };
    const bool ok =
        (argc == 2 || argc == 3 || err_set(&err, ERR_INPUT, "usage: logits_driver MODEL [ADAPTER] <LINES")) &&
        open_model(&d, argv[1], argv[2], &err) && read_lines(&d, &err) && write_logits(&d, &err);
    if (!ok)
        err_print(&err, stderr);
    model_close(d.model);
    free(d.weights.data);
    weights_release(&d.weights);
    free(d.values);
    slots_close(d.table);
    lora_config_release(&d.lora);
    arch_close(d.arch);
    text_release(&d.ids);
    text_release(&d.start);
    return ok ? 0 : 2;
}
