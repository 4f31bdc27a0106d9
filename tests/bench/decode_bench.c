/* decode_bench - tokens a second of texts written by a model of GPT-2 small's shape, beside what memory allows of
 * one text: each token reads every weight once.
 *
 *   decode_bench MODEL_FOLDER [--threads=N] [--tokens=N] [--lanes=N] [--adapters=N] */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "worker/kernels/gemm.h"
#include "worker/model/decode.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_LANES = 64 };

static void stop(const Err *err)
{
    err_print(err, stderr);
    exit(err_exit_code(err));
}

/* Bytes a second that `threads` cores read of a block that no cache holds; the best of five. */
static double read_speed(const float *data, int64_t n)
{
    double best = 0, sum = 0;
    for (int turn = 0; turn < 5; turn++) {
        const double begin = clock_now();
        double total = 0;
#pragma omp parallel for simd reduction(+ : total)
        for (int64_t i = 0; i < n; i++)
            total += (double)data[i];
        const double speed = (double)n * sizeof *data / (clock_now() - begin);
        best = speed > best ? speed : best;
        sum += total;
    }
    return sum == 0.5 ? 0 : best; /* the sum is used, so that it is computed */
}

int main(int argc, char **argv)
{
    int threads = 1;
    int64_t tokens = 64, lanes = 1, adapters = 1;
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], "--threads=", 10) == 0)
            threads = atoi(argv[i] + 10);
        else if (strncmp(argv[i], "--tokens=", 9) == 0)
            tokens = atoll(argv[i] + 9);
        else if (strncmp(argv[i], "--lanes=", 8) == 0)
            lanes = atoll(argv[i] + 8);
        else if (strncmp(argv[i], "--adapters=", 11) == 0)
            adapters = atoll(argv[i] + 11);
    }
    if (argc < 2 || threads < 1 || tokens < 1 || lanes < 1 || lanes > MOST_LANES || adapters < 1 || adapters > lanes)
        return fprintf(stderr,
                       "decode_bench MODEL_FOLDER [--threads=N] [--tokens=N] [--lanes=N, %d at the most] "
                       "[--adapters=N]\n",
                       MOST_LANES),
               2;
    Err err = { 0 };
    const StringList none = { 0 };
    ModelArch *arch = arch_open(argv[1], NULL, TASK_CAUSAL_LM, &none, 0, PROBLEM_AUTO, &err);
    SafeTensors *files = arch ? safetensors_open_model(argv[1], &err) : NULL;
    const LoraConfig lora = { .r = 8, .alpha = 16 };
    SlotTable *table = files ? slots_open(arch, &lora, &err) : NULL;
    Weights weights = { 0 };
    if (!table || !weights_plan(&weights, arch, files, &err) ||
        !(weights.data = mem_alloc((size_t)weights.bytes, &err)) || !weights_load(&weights, files, 0, 1, &err))
        stop(&err);
    gemm_set_threads(threads);
    const ModelOptions room = {
        .most_tokens = lanes, .most_sequences = lanes, .longest = tokens + 1, .threads = threads
    };
    const DecodeOptions o = { .lanes = lanes, .longest = tokens + 1 };
    Model *model = model_open(arch, table, &weights, &room, &err);
    Decoder *decoder = model ? decode_open(model, &o, &err) : NULL;
    if (!decoder)
        stop(&err);
    float *values = xcalloc((size_t)table->size, sizeof *values);
    float *logits = xcalloc((size_t)(lanes * arch->V), sizeof *logits);
    Adapter *adapter[MOST_LANES];
    int64_t lane[MOST_LANES], start[MOST_LANES + 1] = { 0 };
    int32_t ids[MOST_LANES];
    for (int64_t i = 0; i < adapters; i++)
        if (!(adapter[i] = adapter_open(model, &(AdapterOptions){ .values = values }, &err)))
            stop(&err);
    for (int64_t i = 0; i < lanes; i++) {
        lane[i] = decode_join(decoder, adapter[i % adapters], tokens + 1);
        start[i + 1] = i + 1;
    }
    double begin = 0;
    for (int64_t t = 0; t <= tokens; t++) {
        if (t == 1)
            begin = clock_now();
        for (int64_t i = 0; i < lanes; i++)
            ids[i] = (int32_t)((t + i) * 7919 % arch->V);
        decode_feed(decoder, &(DecodeFeed){ .count = lanes, .lane = lane, .start = start, .ids = ids }, logits);
    }
    const double speed = (double)(tokens * lanes) / (clock_now() - begin);
    /* the position table is looked up in, not read; a tied head is the word table */
    const double read = read_speed(weights.data, weights.bytes / (int64_t)sizeof(float)), bytes = (double)weights.bytes;
    printf("decode: %.1f tokens/s, %d threads, %lld texts of %lld adapters; memory reads %.1f GB/s, which is %.1f "
           "tokens/s of one: %.0f%%\n",
           speed, threads, (long long)lanes, (long long)adapters, read * 1e-9, read / bytes,
           100 * speed * bytes / read);
    for (int64_t i = 0; i < adapters; i++)
        adapter_close(adapter[i]);
    decode_close(decoder);
    model_close(model);
    free(values);
    free(logits);
    free(weights.data);
    weights_release(&weights);
    slots_close(table);
    safetensors_close(files);
    arch_close(arch);
    return 0;
}
