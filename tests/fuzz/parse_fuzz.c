/* parse_fuzz WHAT SECONDS SEED [FILE...] - mutated bytes into what reads bytes from outside.
 *
 * WHAT: header (of a wire message), core (the server's state machine behind it), safetensors,
 * tokenizer, model (config.json), config (the run file), rows (data files of every kind). The files are what is mutated; header and
 * core make their own. Whatever is refused must be refused with a sentence; the sanitizers see the
 * rest. Prints how many there were; the seed and the number repeat a run. */
#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/config/config.h"
#include "common/model/arch.h"
#include "common/tensor/safetensors.h"
#include "ps/core.h"
#include "tests/fuzz/mutate.h"
#include "worker/data/records.h"
#include "worker/tokenizer/tokenizer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RUN = 77, PLAN = 44, SLOTS = 5, CHUNKS = 6, MEMBERS = 4, STEPS = 40, EVERY = 7, MOST_FILES = 64 };

typedef struct World {
    int64_t version, evaluated;
    float values[SLOTS];
} World;

typedef struct Fuzz {
    Chance chance;
    unsigned char *seeds[MOST_FILES]; /* [sizes], owned */
    size_t sizes[MOST_FILES];
    int seed_count;
    char folder[64];
    char *path; /* of the mutated file; owned */
    unsigned char *bytes; /* [room], the mutated bytes; owned */
    size_t size, room;
    PsCore *core;
    World world;
    double now;
    long long taken, refused;
} Fuzz;

static void judge(Fuzz *fuzz, bool ok, const Err *err)
{
    REQUIRE(ok || (err->kind != ERR_NONE && err->what[0] != '\0'));
    fuzz->taken += ok;
    fuzz->refused += !ok;
}

/* ---- wire header ------------------------------------------------------------------------------- */

static const int64_t odd[] = { 0, 1, 2, 3, 4, 5, 7, 8, 39, 40, 255, 1 << 20, 1LL << 48, INT64_MAX, -1, INT64_MIN };

static int64_t number(Fuzz *fuzz)
{
    return odd[chance_below(&fuzz->chance, chance_below(&fuzz->chance, 4) ? 9 : sizeof odd / sizeof *odd)];
}

/* A message of one of a few clients, near to what the run expects. */
static Msg near_message(Fuzz *fuzz, double *data)
{
    Chance *chance = &fuzz->chance;
    Msg msg = { .type = (MsgType)chance_below(chance, MSG_TYPES),
                .run = RUN,
                .plan = chance_below(chance, 16) ? PLAN : chance_bits(chance),
                .client = 1 + chance_below(chance, MEMBERS),
                .step = chance_below(chance, 3) ? fuzz->world.version : number(fuzz),
                .kind = (LeaseKind)chance_below(chance, 3),
                .weight = (double)number(fuzz),
                .tokens = number(fuzz),
                .loss = (double)number(fuzz),
                .seconds = (double)number(fuzz),
                .range_count = 1 };
    const int64_t begin = number(fuzz);
    msg.range[0] = (Range){ begin, chance_below(chance, 3) && begin < STEPS ? begin + 1 : number(fuzz) };
    if (msg.type == MSG_HELLO)
        msg.facts = (HelloFacts){ .slot_size = SLOTS,
                                  .base_digest = chance_below(chance, 8) > 0,
                                  .examples = 100,
                                  .longest = 9,
                                  .eval_chunks = CHUNKS,
                                  .eval_width = 4,
                                  .ranks = 1,
                                  .job_ranks = 1 + (int64_t)chance_below(chance, 3),
                                  .job = 5 };
    if (msg.type == MSG_LEASE || msg.type == MSG_PUSH || msg.type == MSG_EVAL) {
        const size_t usual = msg.type == MSG_EVAL ? sizeof(double) : SLOTS * sizeof(float);
        msg.size = chance_below(chance, 4) ? usual : 8 * chance_below(chance, 6);
        msg.data = data;
    }
    return msg;
}

/* Encodes a message, changes it (sometimes), decodes it; false: it was refused. */
static bool pass_header(Fuzz *fuzz, Msg *out, bool always)
{
    static double data[8];
    const Msg msg = near_message(fuzz, data);
    char *header;
    size_t size, tensor = 0;
    uint64_t sum;
    Err err = { 0 };
    REQUIRE(msg_encode_header(&msg, &header, &size, &err));
    unsigned char *bytes = xmalloc(4 * size);
    memcpy(bytes, header, size);
    free(header);
    if (always || chance_below(&fuzz->chance, 8) == 0)
        size = mutate(&fuzz->chance, bytes, size, 4 * size);
    char *exact = xmalloc(size + 1); /* so that a byte too far is seen */
    memcpy(exact, bytes, size);
    exact = xrealloc(exact, size > 0 ? size : 1);
    const bool ok = msg_decode_header(out, exact, size, sizeof data, &tensor, &sum, &err);
    judge(fuzz, ok, &err);
    free(exact);
    free(bytes);
    if (ok && tensor > 0) {
        out->data = xcalloc(1, tensor);
        out->size = tensor;
    }
    return ok;
}

static void fuzz_header(Fuzz *fuzz)
{
    Msg msg;
    if (pass_header(fuzz, &msg, true))
        msg_release(&msg);
}

/* ---- core ---------------------------------------------------------------------------------------- */

static int64_t world_begin(void *self, const HelloFacts *facts, int64_t replicas, uint64_t *plan)
{
    (void)self, (void)facts, (void)replicas;
    *plan = PLAN;
    return 8;
}
static const char *world_arithmetic(void *self, bool *begun)
{
    (void)self;
    *begun = false;
    return NULL;
}
static char *world_differs(void *self, const Msg *hello, const HelloFacts *first)
{
    const HelloFacts *facts = &hello->facts;
    (void)self, (void)first;
    const bool fits =
        facts->base_digest == 1 && facts->slot_size == SLOTS && facts->eval_chunks == CHUNKS && facts->eval_width == 4;
    return fits ? NULL : xstrdup("another model");
}
static const char *world_text(void *self)
{
    (void)self;
    return "lora: {r: 8}\n";
}
static bool world_apply(void *self, const StepSums *sums, int *code, const char **text)
{
    World *world = self;
    (void)code, (void)text;
    REQUIRE(sums->step == world->version);
    for (int i = 0; i < SLOTS; i++)
        world->values[i] += sums->gradient[i];
    world->version++;
    return true;
}
static LeaseKind world_next(void *self, int64_t version, int *code, const char **text)
{
    const World *world = self;
    (void)text;
    *code = 0;
    REQUIRE(version == world->version);
    if (version % EVERY == EVERY - 1 && world->evaluated != version)
        return LEASE_EVAL;
    return version == STEPS ? LEASE_STOP : LEASE_TRAIN;
}
static void world_evaluated(void *self, int64_t version, const double *const *sums, const int64_t *sizes,
                            int64_t chunks)
{
    World *world = self;
    REQUIRE(chunks == CHUNKS);
    for (int64_t i = 0; i < chunks; i++)
        for (int64_t k = 0; k < sizes[i]; k++)
            world->values[0] += (float)sums[i][k];
    world->evaluated = version;
}
static const float *world_values(void *self)
{
    return ((World *)self)->values;
}

static void fuzz_core(Fuzz *fuzz)
{
    const CoreWorld world = { &fuzz->world, world_begin, world_arithmetic, world_differs, world_text, world_apply,
                              world_next,   NULL,        world_evaluated,  world_values,  NULL };
    if (fuzz->core && core_is_over(fuzz->core)) {
        core_free(fuzz->core);
        fuzz->core = NULL;
    }
    if (!fuzz->core) {
        fuzz->world = (World){ .evaluated = -1 };
        fuzz->core = core_new(&(CoreOptions){ .run = RUN, .lease_timeout = 5 }, &world);
    }
    Msg msg, reply;
    if (pass_header(fuzz, &msg, false)) {
        core_message(fuzz->core, &msg, fuzz->now);
        msg_release(&msg);
    }
    fuzz->now += chance_below(&fuzz->chance, 50) ? 0.01 : 3;
    if (chance_below(&fuzz->chance, 10) == 0)
        core_tick(fuzz->core, fuzz->now);
    while (core_reply(fuzz->core, &reply)) {
        char *header;
        size_t size;
        Err err = { 0 };
        REQUIRE(msg_encode_header(&reply, &header, &size, &err)); /* what is answered can travel */
        free(header);
    }
}

/* ---- files ----------------------------------------------------------------------------------------- */

/* One of the seeds, changed: anywhere, or near its beginning, where a binary file has its header. */
static void next_bytes(Fuzz *fuzz)
{
    const size_t i = chance_below(&fuzz->chance, (size_t)fuzz->seed_count);
    const size_t whole = fuzz->sizes[i];
    memcpy(fuzz->bytes, fuzz->seeds[i], whole);
    fuzz->size = mutate(&fuzz->chance, fuzz->bytes, whole, fuzz->room);
}

static void write_bytes(const Fuzz *fuzz)
{
    const int fd = open(fuzz->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0 && write(fd, fuzz->bytes, fuzz->size) == (ssize_t)fuzz->size);
    close(fd);
}

/* Half of the changes in the header: most of the file is numbers, and each is as good as another. */
static void fuzz_safetensors(Fuzz *fuzz)
{
    const size_t i = chance_below(&fuzz->chance, (size_t)fuzz->seed_count), whole = fuzz->sizes[i];
    uint64_t header = 0;
    memcpy(&header, fuzz->seeds[i], whole < 8 ? whole : 8);
    const size_t part = header + 8 < whole ? (size_t)header + 8 : whole;
    next_bytes(fuzz);
    if (chance_below(&fuzz->chance, 2)) {
        memcpy(fuzz->bytes, fuzz->seeds[i], part);
        const size_t size = mutate(&fuzz->chance, fuzz->bytes, part, fuzz->room - whole);
        memcpy(fuzz->bytes + size, fuzz->seeds[i] + part, whole - part);
        fuzz->size = size + whole - part;
        header += size - part; /* the length fits again: the fault lies behind it */
        if (chance_below(&fuzz->chance, 4))
            memcpy(fuzz->bytes, &header, size < 8 ? size : 8);
    }
    write_bytes(fuzz);
    Err err = { 0 };
    SafeTensors *st = safetensors_open(fuzz->path, &err);
    judge(fuzz, st != NULL, &err);
    volatile float sum = 0;
    for (int64_t k = 0; st && k < safetensors_count(st); k++) {
        const TensorView *view = safetensors_at(st, k);
        float *values = xmalloc((size_t)view->count * sizeof *values + 1);
        if (tensor_to_f32(values, view, 0, view->count, &err))
            for (int64_t n = 0; n < view->count; n++)
                sum += values[n];
        free(values);
    }
    safetensors_close(st);
}

static void fuzz_tokenizer(Fuzz *fuzz)
{
    static const char text[] =
        "The na\xc3\xafve caf\xc3\xa9, don't  [MASK] \xe6\x99\xae\xe9\x80\x9a 12.5%\n\xf0\x9f\x91\x8d";
    next_bytes(fuzz);
    write_bytes(fuzz);
    Err err = { 0 };
    Tokenizer *tokenizer = tokenizer_open(fuzz->folder, &err);
    judge(fuzz, tokenizer != NULL, &err);
    Encoding out = { 0 };
    if (tokenizer && !tokenizer_encode(tokenizer, text, strlen(text), "pair", 4, 12, &out, &err))
        REQUIRE(err.what[0] != '\0');
    encoding_release(&out);
    tokenizer_close(tokenizer);
}

static void fuzz_model(Fuzz *fuzz)
{
    next_bytes(fuzz);
    write_bytes(fuzz);
    Err err = { 0 };
    ModelArch *arch = arch_open(fuzz->folder, NULL, TASK_SEQ_CLS, &(StringList){ 0 }, 3, PROBLEM_AUTO, &err);
    judge(fuzz, arch != NULL, &err);
    arch_close(arch);
}

static void fuzz_config(Fuzz *fuzz)
{
    next_bytes(fuzz);
    char *text = xstrndup((char *)fuzz->bytes, fuzz->size); /* ends at a zero, as what travels does */
    Err err = { 0 };
    Config config = { 0 };
    const bool ok = config_load(&config, &(ConfigSources){ .file = "fuzz.yaml", .text = text }, &err);
    judge(fuzz, ok, &err);
    if (ok) {
        Text printed = { 0 };
        Config again = { 0 };
        config_print(&config, &printed);
        REQUIRE(config_load(&again, &(ConfigSources){ .file = "printed", .text = printed.data }, &err));
        config_release(&again);
        text_release(&printed);
    }
    config_release(&config);
    free(text);
}

/* ---- rows --------------------------------------------------------------------------------------- */

static bool see_row(void *self, const Record *r, Err *bad, Err *err)
{
    Fuzz *fuzz = self;
    (void)err;
    judge(fuzz, bad->kind == ERR_NONE, bad);
    if (bad->kind != ERR_NONE)
        return true;
    size_t sum = digest_fast(r->text, r->text_size) + (r->pair ? digest_fast(r->pair, r->pair_size) : 0);
    sum += r->label ? strlen(r->label) : 0;
    for (int64_t i = 0; i < r->words.count; i++)
        sum += digest_fast(r->words.text[i], r->words.size[i]) + (r->tags ? strlen(r->tags[i]) : 0);
    REQUIRE(!r->label || strlen(r->label) == r->label_size);
    fuzz->world.version += (int64_t)(sum & 1); /* so that it is read */
    return true;
}

static void fuzz_rows(Fuzz *fuzz)
{
    static const struct {
        const char *name;
        RecordColumns columns;
    } files[] = {
        { "a.csv", { .kind = ROWS_LABELLED, .text = "text", .label = "label" } },
        { "a.tsv", { .kind = ROWS_LABELLED, .text = "text", .label = "label" } },
        { "a.jsonl", { .kind = ROWS_COMPLETIONS, .text = "prompt", .pair = "completion" } },
        { "a.json", { .kind = ROWS_LABELLED, .text = "text", .label = "label" } },
        { "b.jsonl", { .kind = ROWS_TEXTS, .form = "{prompt}{?text} {text}{/}" } },
        { "b.json", { .kind = ROWS_WORDS, .tokens = "tokens", .tags = "tags", .labelled = true } },
        { "a.conll", { .kind = ROWS_WORDS, .labelled = true } },
        { "a.txt", { .kind = ROWS_BLOCKS } },
        { "a.csv.gz", { .kind = ROWS_LABELLED, .text = "text", .label = "label" } },
        { "a.jsonl.zst", { .kind = ROWS_LABELLED, .text = "text", .label = "label" } },
    };
    const size_t i = chance_below(&fuzz->chance, sizeof files / sizeof *files);
    Err err = { 0 };
    free(fuzz->path);
    fuzz->path = path_join(fuzz->folder, files[i].name);
    next_bytes(fuzz);
    write_bytes(fuzz);
    judge(fuzz, records_read(fuzz->path, &files[i].columns, see_row, fuzz, &err), &err);
}

/* ---- */

static void read_seeds(Fuzz *fuzz, int count, char **paths)
{
    Err err = { 0 };
    size_t largest = 0;
    for (int i = 0; i < count && i < MOST_FILES; i++) {
        fuzz->seeds[i] = (unsigned char *)file_read(paths[i], &fuzz->sizes[i], &err);
        if (!fuzz->seeds[i]) {
            err_print(&err, stderr);
            exit(2);
        }
        largest = fuzz->sizes[i] > largest ? fuzz->sizes[i] : largest;
        fuzz->seed_count++;
    }
    fuzz->room = 3 * largest + 4096;
    fuzz->bytes = xmalloc(fuzz->room);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *what, *file;
        void (*run)(Fuzz *fuzz);
    } kinds[] = { { "header", NULL, fuzz_header },
                  { "core", NULL, fuzz_core },
                  { "safetensors", "model.safetensors", fuzz_safetensors },
                  { "tokenizer", "tokenizer.json", fuzz_tokenizer },
                  { "model", "config.json", fuzz_model },
                  { "config", NULL, fuzz_config },
                  { "rows", NULL, fuzz_rows } };
    const size_t count = sizeof kinds / sizeof *kinds;
    size_t kind = 0;
    while (argc >= 4 && kind < count && strcmp(kinds[kind].what, argv[1]) != 0)
        kind++;
    if (argc < 4 || kind == count) {
        fprintf(stderr,
                "usage: parse_fuzz header|core|safetensors|tokenizer|model|config|rows SECONDS SEED [FILE...]\n");
        return 2;
    }
    Fuzz fuzz = { .chance = { strtoull(argv[3], NULL, 10) * 2 + 1 }, .folder = "/tmp/parse_fuzz.XXXXXX" };
    log_setup("fuzz", LOG_ERROR);
    REQUIRE(mkdtemp(fuzz.folder));
    if (kinds[kind].file)
        fuzz.path = path_join(fuzz.folder, kinds[kind].file);
    read_seeds(&fuzz, argc - 4, argv + 4);
    const double until = clock_now() + atof(argv[2]);
    while (clock_now() < until)
        kinds[kind].run(&fuzz);
    printf("  %s: %lld taken, %lld refused\n", argv[1], fuzz.taken, fuzz.refused);
    core_free(fuzz.core);
    for (int i = 0; i < fuzz.seed_count; i++)
        free(fuzz.seeds[i]);
    free(fuzz.bytes);
    free(fuzz.path);
    Err err = { 0 };
    return folder_remove(fuzz.folder, &err) && fuzz.taken > 0 && fuzz.refused > 0 ? 0 : 1;
}
