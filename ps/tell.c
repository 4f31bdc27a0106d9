#include "ps/tell.h"

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/process.h"
#include "ps/history.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers and words ----------------------------------------------------------------------- */

/* "999 bytes", "1.2 kB", "34 MB": three digits at the most. */
static void add_bytes(Text *out, double bytes)
{
    static const char *const units[] = { "kB", "MB", "GB", "TB", "PB" };
    if (bytes < 999.5) {
        text_addf(out, "%.0f bytes", bytes);
        return;
    }
    size_t unit = 0;
    for (bytes /= 1000; bytes >= 999.5 && unit < 4; unit++)
        bytes /= 1000;
    text_addf(out, bytes < 9.95 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

/* "12 s", "3 min 20 s", "2 h 5 min". */
static void add_time(Text *out, double seconds)
{
    const long long whole = llround(seconds);
    if (seconds < 9.95)
        text_addf(out, "%.1f s", seconds);
    else if (whole < 60)
        text_addf(out, "%lld s", whole);
    else if (whole < 3600)
        text_addf(out, "%lld min %lld s", whole / 60, whole % 60);
    else
        text_addf(out, "%lld h %lld min", whole / 3600, whole / 60 % 60);
}

/* A word of a shell's command line, in quotes where it needs them. */
static void add_word(Text *out, const char *word)
{
    bool plain = *word != '\0';
    for (const char *at = word; *at; at++)
        plain = plain && (isalnum((unsigned char)*at) || strchr("/._-+,:=@%", *at) || (unsigned char)*at >= 128);
    if (plain) {
        text_adds(out, word);
        return;
    }
    text_adds(out, "'");
    for (const char *at = word; *at; at++)
        text_addf(out, *at == '\'' ? "'\\''" : "%c", *at);
    text_adds(out, "'");
}

/* A path as it is typed here: relative where it lies below the working directory. */
static void add_path(Text *out, const char *path)
{
    char *here = path_absolute(".");
    const size_t n = strlen(here);
    const bool below = strcmp(here, "/") != 0 && text_starts(path, here) && path[n] == '/' && path[n + 1];
    add_word(out, below ? path + n + 1 : path);
    free(here);
}

/* The `lora` beside this program, as it is typed here: its name alone when it is in PATH. */
static void add_lora(Text *out)
{
    char *lora = process_sibling("lora"), *folder = path_folder(lora);
    const char *list = getenv("PATH");
    char *padded = xprintf(":%s:", list ? list : ""), *wanted = xprintf(":%s:", folder);
    if (strstr(padded, wanted))
        text_adds(out, "lora");
    else
        add_path(out, lora);
    free(lora);
    free(folder);
    free(padded);
    free(wanted);
}

/* ---- an evaluation ---------------------------------------------------------------------------- */

/* Figures that say more of what others say, unless they choose the best model. */
static bool is_detail(const Run *run, const char *name)
{
    static const char *const details[] = { "precision", "recall", "matthews", "spearman" };
    const char *metric = run->config.train.metric_for_best_model;
    if (text_ends(metric, name))
        return false;
    for (size_t i = 0; i < sizeof details / sizeof *details; i++)
        if (strcmp(name, details[i]) == 0)
            return true;
    return false;
}

void tell_evaluation(const Run *run, const Figure *figures, int count)
{
    Text line = { 0 };
    text_addf(&line, "step=%lld", (long long)run->state.version);
    for (int i = 0; i < count; i++)
        if (!is_detail(run, figures[i].name))
            text_addf(&line, " %s=%.4f", figures[i].name, figures[i].value);
    log_info("eval", "%s", line.data);
    text_release(&line);
}

/* ---- the end ------------------------------------------------------------------------------------ */

/* The evaluation of the adapter that is kept: the best one's, or the newest. */
static const json_t *kept_evaluation(const Run *run)
{
    const RunState *s = &run->state;
    const bool best = run->config.train.load_best_model_at_end && s->best_step >= 0;
    for (size_t i = json_array_size(s->history); i-- > 0;) {
        const json_t *entry = json_array_get(s->history, i);
        if (json_object_get(entry, "eval_loss") &&
            (!best || json_integer_value(json_object_get(entry, "step")) == s->best_step))
            return entry;
    }
    return NULL;
}

static void add_metrics(const Run *run, Text *out)
{
    const RunState *s = &run->state;
    text_addf(out, "trained %lld steps (%.3g epochs): loss %.4f", (long long)s->version, history_epoch(run),
              history_mean_loss(run));
    const json_t *entry = kept_evaluation(run), *value;
    const char *key;
    if (entry)
        text_addf(out, "; evaluation at step %lld:", (long long)json_integer_value(json_object_get(entry, "step")));
    const char *between = " ";
    json_object_foreach((json_t *)(uintptr_t)entry, key, value)
    {
        const char *name = key + strlen("eval_");
        if (!text_starts(key, "eval_") || text_ends(key, "_runtime") || text_ends(key, "_per_second") ||
            is_detail(run, name) || !json_is_number(value))
            continue;
        text_addf(out, "%s%s %.4f", between, name, json_number_value(value));
        between = ", ";
    }
    if (s->stop_early)
        text_adds(out, "; stopped early");
}

/* AdaLoRA: how many modules have how many triplets left. */
static void add_ranks(const Run *run, Text *out)
{
    const Allocator *a = &run->store.allocator;
    if (!a->table)
        return;
    text_addf(out, "%lld of %lld triplets are kept", (long long)allocator_count(a), (long long)a->table->triplets);
    const char *between = ": ";
    for (int64_t r = 0; r <= a->ada.init_r; r++) {
        int modules = 0;
        for (int m = 0; m < a->table->arch->module_count; m++)
            modules += a->table->modules[m].e >= 0 && allocator_rank(a, m) == r;
        if (modules == 0)
            continue;
        text_addf(out, "%s%lld in %d module%s", between, (long long)r, modules, modules == 1 ? "" : "s");
        between = ", ";
    }
}

static void add_cost(const Run *run, Text *out)
{
    const RunState *s = &run->state;
    const Costs *costs = &run->costs;
    add_time(out, s->seconds);
    text_addf(out, ", %.0f tokens/s; ", s->seconds > 0 ? (double)s->tokens / s->seconds : 0);
    add_bytes(out, (double)costs_up(costs));
    text_adds(out, " of gradients up, ");
    add_bytes(out, (double)costs_down(costs));
    text_adds(out, costs->placed_up > 0 ? " down, in shared memory; memory " : " down; memory ");
    add_bytes(out, (double)costs->worker_bytes);
    text_addf(out, " (%lld ranks) and ", (long long)costs->ranks);
    add_bytes(out, (double)costs->server_bytes);
    text_adds(out, " (server)");
}

/* A file whose rows `lora predict` answers: what was held back, or else was trained on. */
static const char *rows_file(const DataConfig *d)
{
    static const char *const endings[] = { ".csv", ".tsv", ".jsonl", ".json" };
    const StringList *const lists[] = { &d->test, &d->validation, &d->train };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (size_t k = 0; lists[i]->count > 0 && k < sizeof endings / sizeof *endings; k++)
            if (text_ends(lists[i]->items[0], endings[k]))
                return lists[i]->items[0];
    return NULL;
}

static void add_place(const Run *run, Text *out)
{
    const char *rows = rows_file(&run->config.data);
    const DataTasks *tasks = &run->config.tasks;
    text_addf(out, "the %s is in ", run->adapted.table->whole ? "model" : "adapter");
    add_path(out, run->folder);
    text_adds(out, "; next: ");
    add_lora(out);
    text_adds(out, run->adapted.arch->head.task->embeds ? " embed --adapter=" : " predict --adapter=");
    char *first = tasks->count > 0 ? xprintf("%s/tasks/%s", run->folder, tasks->items[0].name) : xstrdup(run->folder);
    add_path(out, first);
    free(first);
    text_adds(out, " ");
    if (rows)
        add_path(out, rows);
    else
        text_adds(out, "FILE");
}

void tell_end(const Run *run)
{
    Text line = { 0 };
    void (*const add[])(const Run *, Text *) = { add_metrics, add_ranks, add_cost, add_place };
    for (size_t i = 0; i < sizeof add / sizeof *add; i++) {
        text_clear(&line);
        add[i](run, &line);
        if (line.size > 0)
            log_plain("%s", line.data);
    }
    text_release(&line);
}
