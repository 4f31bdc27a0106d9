/* DESIGN. A change of the run file is tried on a copy of the Config, which lends all that it points to: whatever fits is
 * offered with its figure. */
#include "worker/train/fit.h"

#include "common/base/machine.h"
#include "common/base/mem.h"
#include "common/slots/adapted.h"
#include "common/slots/tree.h"
#include "worker/train/layout.h"
#include "worker/train/needs.h"
#include "worker/train/settings.h"
#include "worker/train/stages.h"

#include <stdlib.h>

/* Of what is free, `auto` leaves this to what no plan knows. */
static const double FILLED = 0.9;

static const int64_t sizes[] = { CONFIG_PIECE_TOKENS, 3072, 2048, 1536, 1024, 768, 512, 384, 256, 192, 128, 64 };

enum { FEWEST = 64 }; /* the last of them */

typedef struct Fit {
    const FitOptions *options;
    Adapted adapted;
    double room;
    int64_t longest; /* tokens of the longest row; 0: the data were not read */
} Fit;

int64_t fit_room(const Config *config, int64_t taken)
{
    const Machine machine = machine_look("");
    if (config->parallel.memory)
        return text_bytes(config->parallel.memory);
    const int64_t available = machine.available + taken;
    return machine.limit > 0 && machine.limit < available ? machine.limit : available;
}

/* Bytes of all ranks here, and of the server. Below 0: *err says why there are none. */
static double bytes_of(const Fit *fit, const Config *config, Err *err)
{
    Config c = *config;
    if (fit->longest > 0 && c.data.block_size < 1)
        c.data.max_length = fit->longest;
    const int64_t stages = stages_of(&c), lanes = fit->options->ranks > stages ? fit->options->ranks / stages : 1;
    const int64_t threads = c.parallel.threads > 0 ? c.parallel.threads : 1;
    const LayoutMachine machine = { .nodes = stages, .lanes = lanes, .cores = lanes * threads, .net = 1, .flops = 1 };
    const LayoutWork work = layout_work(&c, fit->adapted.arch, lanes);
    RunLayout layout;
    if (!layout_of(&layout, &machine, &work, c.train.precision, fit->adapted.arch, fit->adapted.table, (int)stages,
                   err))
        return -1;
    const double slots = 4 * (double)fit->adapted.table->size;
    const double server = slots * (3 + tree_room(work.micro_batches)) + 20e6;
    const double ranks = layout_memory(&layout);
    layout_release(&layout);
    return ranks + (fit->options->server ? server : 0);
}

static bool fits(const Fit *fit, const Config *config, double share)
{
    Err err = { 0 };
    const double bytes = bytes_of(fit, config, &err);
    return bytes >= 0 && bytes <= share * fit->room;
}

/* ---- the data ----------------------------------------------------------------------------------- */

static bool longest_of(int64_t *longest, const Config *c, const ModelArch *arch, const Tokenizer *tokenizer, Err *err)
{
    const StringList *lists[] = { &c->data.train, &c->data.validation };
    for (int i = 0; i < 2; i++) {
        const DatasetOptions o = settings_data(c, lists[i]);
        Dataset data = { 0 };
        if (lists[i]->count == 0)
            continue;
        if (!dataset_open(&data, &o, arch, tokenizer, err))
            return false;
        *longest = data.longest > *longest ? data.longest : *longest;
        dataset_release(&data);
    }
    return true;
}

static bool look_at_data(Fit *fit, const Config *c, Err *err)
{
    const ModelArch *arch = fit->adapted.arch;
    if (arch->image_size > 0 || arch->source_layers > 0 || c->data.block_size > 0) /* known, or of two parts */
        return true;
    Tokenizer *tokenizer = tokenizer_open(arch->folder, err);
    const bool ok = tokenizer && longest_of(&fit->longest, c, arch, tokenizer, err);
    tokenizer_close(tokenizer);
    return ok;
}

/* ---- micro-batches ------------------------------------------------------------------------------- */

/* The most tokens of a piece that fit, and leave something; 0: none do. */
static int64_t size_that_fits(const Fit *fit, const Config *config)
{
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        Config c = *config;
        c.parallel.micro_batch_tokens = sizes[i];
        if (fits(fit, &c, FILLED))
            return sizes[i];
    }
    return 0;
}

static bool open_fit(Fit *fit, const Config *config, const FitOptions *options, Err *err)
{
    const AdaptedOptions o = adapted_of(config);
    *fit = (Fit){ .options = options, .room = (double)fit_room(config, 0) };
    return adapted_open(&fit->adapted, &o, err);
}

bool fit_choose(Config *config, const FitOptions *options, bool *chosen, Err *err)
{
    Fit fit;
    *chosen = config->parallel.micro_batch_tokens < 0;
    if (!*chosen)
        return true;
    bool ok = open_fit(&fit, config, options, err);
    int64_t tokens = ok ? size_that_fits(&fit, config) : 0;
    if (ok && tokens == 0) {
        ok = look_at_data(&fit, config, err);
        tokens = ok ? size_that_fits(&fit, config) : 0;
    }
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)(tokens > 0 ? tokens : FEWEST));
    ok = ok && config_set(config, "parallel.micro_batch_tokens", number, err);
    adapted_release(&fit.adapted);
    return ok;
}

/* ---- what would fit -------------------------------------------------------------------------------- */

static void offer(Text *out, const Fit *fit, const Config *c, const char *what)
{
    Err err = { 0 };
    const double bytes = bytes_of(fit, c, &err);
    if (bytes < 0 || bytes > fit->room || !config_check_training(c, &err))
        return;
    text_addf(out, "%s%s (%.2f GB)", out->size > 0 ? ", or " : "", what, bytes / 1e9);
}

/* One change after the other, each alone; then all of them. */
static void offer_all(Text *out, Fit *fit, const Config *config)
{
    const FitOptions *given = fit->options, alone = { 1, given->server };
    const int64_t most = size_that_fits(fit, config), tokens = most > 0 ? most : FEWEST;
    Config pieces = *config, again = *config, packed = *config;
    pieces.parallel.micro_batch_tokens = tokens;
    again.train.checkpointing = true;
    packed.train.precision = PRECISION_NF4;
    char *what = xprintf("parallel.micro_batch_tokens: %lld, or auto", (long long)tokens);
    offer(out, fit, &pieces, what);
    free(what);
    if (!config->train.checkpointing)
        offer(out, fit, &again, "train.gradient_checkpointing: true");
    if (config->train.precision != PRECISION_NF4)
        offer(out, fit, &packed, "train.precision: nf4");
    fit->options = &alone;
    if (given->ranks > 1 && stages_of(config) == 1)
        offer(out, fit, config, "--ranks=1");
    packed.train.checkpointing = true;
    packed.parallel.micro_batch_tokens = FEWEST;
    if (out->size == 0)
        offer(out, fit, &packed,
              "all of --ranks=1, train.gradient_checkpointing: true, train.precision: nf4, "
              "parallel.micro_batch_tokens: auto");
    fit->options = given;
    if (out->size == 0)
        text_adds(out, "a smaller data.max_length or model, or several machines (parallel.pipeline)");
}

static bool refuse(Fit *fit, const Config *config, double bytes, Err *err)
{
    Text hint = { 0 };
    err_set(err, ERR_INPUT, "the run takes %.2f GB of memory with %lld ranks here, and %s %.2f", bytes / 1e9,
            (long long)fit->options->ranks, config->parallel.memory ? "may take" : "there are", fit->room / 1e9);
    err_at(err, "parallel.memory");
    offer_all(&hint, fit, config);
    err_hint(err, "%s", hint.data);
    text_release(&hint);
    return false;
}

bool fit_check(const Config *config, const FitOptions *options, Err *err)
{
    Fit fit;
    bool ok = open_fit(&fit, config, options, err);
    double bytes = ok ? bytes_of(&fit, config, err) : -1;
    if (bytes > fit.room && look_at_data(&fit, config, err))
        bytes = bytes_of(&fit, config, err);
    ok = err->kind == ERR_NONE && (bytes <= fit.room || refuse(&fit, config, bytes, err));
    adapted_release(&fit.adapted);
    return ok;
}
