#include "launch/trials/standings.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/config/config.h"
#include "common/plot/chart.h"
#include "launch/trials/figures.h"
#include "launch/trials/sheet.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_TICKS = 12, STATE = 64 };

typedef struct Entry {
    BestFigure best;
    bool done; /* the run is complete */
    char state[STATE];
} Entry;

typedef struct Ledger {
    const StandingsOptions *o;
    Entry *entries; /* [trials] */
    char *key; /* "eval_accuracy" */
    bool less; /* is better */
    int best; /* -1: none */
} Ledger;

/* ---- reading ------------------------------------------------------------------------------------- */

static void set_state(Entry *entry, const Trial *trial, int64_t looked)
{
    if (trial->state == TRIAL_FAILED && !(looked > 0 && entry->best.evaluations >= looked))
        snprintf(entry->state, STATE, trial->code == 5 ? "not finite" : "failed with code %d", trial->code);
    else if (looked > 0)
        snprintf(entry->state, STATE, "ended behind evaluation %lld", (long long)entry->best.evaluations);
    else
        snprintf(entry->state, STATE, "%s", entry->done ? "done" : "not done");
}

static void find_best(Ledger *l)
{
    l->best = -1;
    for (int i = 0; i < l->o->trials->count; i++) {
        const Entry *e = &l->entries[i], *than = l->best >= 0 ? &l->entries[l->best] : NULL;
        if (l->o->looked[i] > 0 || !e->done || !e->best.there)
            continue;
        if (!than || (l->less ? e->best.value < than->best.value : e->best.value > than->best.value))
            l->best = i;
    }
}

static bool open_ledger(Ledger *l, const StandingsOptions *o, Err *err)
{
    const int count = o->trials->count;
    json_t **lines = xcalloc((size_t)count, sizeof *lines);
    bool any = false;
    *l = (Ledger){ .o = o, .entries = xcalloc((size_t)count, sizeof *l->entries) };
    for (int i = 0; i < count; i++) {
        Err none = { 0 };
        if (figures_lines(&lines[i], o->trials->items[i].folder, &none))
            any |= figures_evaluations(lines[i]) > 0;
    }
    if (!any)
        err_set(err, ERR_INPUT, "no trial has been evaluated yet");
    l->key = any ? figures_metric(lines, count, o->metric, err) : NULL;
    if (any && !l->key && err->kind == ERR_NONE)
        l->key = xstrdup("eval_loss");
    for (int i = 0; l->key && i < count; i++) {
        json_t *summary = figures_summary(o->trials->items[i].folder);
        l->entries[i].best = figures_best(lines[i], l->key, o->looked[i]);
        l->entries[i].done = summary != NULL;
        set_state(&l->entries[i], &o->trials->items[i], o->looked[i]);
        json_decref(summary);
    }
    for (int i = 0; i < count; i++)
        json_decref(lines[i]);
    free(lines);
    l->less = l->key && config_less_is_better(l->key);
    find_best(l);
    return err->kind == ERR_NONE;
}

static void close_ledger(Ledger *l)
{
    free(l->entries);
    free(l->key);
}

static const char *metric_name(const Ledger *l)
{
    return l->key + strlen("eval_");
}

/* Of axis `a`, as the trial has it. */
static const char *value_of(const Trial *trial, const Axes *axes, int a)
{
    return trial->changes.items[a] + strlen(axes->items[a].key) + 1;
}

/* ---- as a table ------------------------------------------------------------------------------------- */

static void fill_sheet(Sheet *sheet, const Ledger *l)
{
    const Axes *axes = l->o->axes;
    const char *titles[AXES_MOST + 5] = { "" };
    int n = 1;
    for (int a = 0; a < axes->count; a++)
        titles[n++] = axes->items[a].key;
    titles[n++] = metric_name(l);
    titles[n++] = "step";
    titles[n++] = "state";
    titles[n] = NULL;
    sheet_init(sheet, titles);
    for (int i = 0; i < l->o->trials->count; i++) {
        const Entry *e = &l->entries[i];
        sheet_put(sheet, "%s", i == l->best ? "*" : "");
        for (int a = 0; a < axes->count; a++)
            sheet_put(sheet, "%s", value_of(&l->o->trials->items[i], axes, a));
        sheet_put(sheet, e->best.there ? "%.4f" : "-", e->best.value);
        sheet_put(sheet, e->best.there ? "%lld" : "-", (long long)e->best.step);
        sheet_put(sheet, "%s", e->state);
    }
}

/* ---- as JSON ------------------------------------------------------------------------------------------- */

static json_t *ledger_json(const Ledger *l)
{
    json_t *to = json_object(), *rows = json_array();
    const TrialList *trials = l->o->trials;
    for (int i = 0; i < trials->count; i++) {
        const Entry *e = &l->entries[i];
        json_t *row = json_object(), *settings = json_object();
        for (int a = 0; a < l->o->axes->count; a++)
            json_object_set_new(settings, l->o->axes->items[a].key,
                                json_string(value_of(&trials->items[i], l->o->axes, a)));
        json_object_set_new(row, "name", json_string(trials->items[i].name));
        json_object_set_new(row, "settings", settings);
        json_object_set_new(row, metric_name(l), e->best.there ? json_real(e->best.value) : json_null());
        json_object_set_new(row, "step", e->best.there ? json_integer(e->best.step) : json_null());
        json_object_set_new(row, "state", json_string(e->state));
        json_array_append_new(rows, row);
    }
    json_object_set_new(to, "metric", json_string(metric_name(l)));
    json_object_set_new(to, "best", l->best >= 0 ? json_string(trials->items[l->best].name) : json_null());
    json_object_set_new(to, "trials", rows);
    return to;
}

/* ---- as a picture ---------------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    const double x = strtod(*(const char *const *)a, NULL), y = strtod(*(const char *const *)b, NULL);
    return (x > y) - (x < y);
}

/* The values of an axis from left to right: as they were given, or drawn ones by their size. */
static int values_of(const Ledger *l, int a, const char **values)
{
    const Axis *axis = &l->o->axes->items[a];
    int n = 0;
    for (int i = 0; i < axis->values.count; i++)
        values[n++] = axis->values.items[i];
    for (int i = 0; axis->range && i < l->o->trials->count; i++)
        values[n++] = value_of(&l->o->trials->items[i], l->o->axes, a);
    if (!axis->range)
        return n;
    qsort(values, (size_t)n, sizeof *values, by_number);
    int kept = 0;
    for (int i = 0; i < n; i++)
        if (kept == 0 || strcmp(values[kept - 1], values[i]) != 0)
            values[kept++] = values[i];
    return kept;
}

static int place_of(const char *value, const char *const *values, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(values[i], value) == 0)
            return i;
    return 0;
}

static void draw(const Ledger *l, Text *svg)
{
    const int count = l->o->trials->count, axes = l->o->axes->count;
    ChartField fields[AXES_MOST];
    const char **values[AXES_MOST];
    ChartPoint *points[AXES_MOST];
    for (int a = 0; a < axes; a++) {
        const Axis *axis = &l->o->axes->items[a];
        values[a] = xcalloc((size_t)(count + axis->values.count), sizeof **values);
        points[a] = xcalloc((size_t)count, sizeof **points);
        const int n = values_of(l, a, values[a]);
        int shown = 0;
        for (int i = 0; i < count; i++) {
            const BestFigure *b = &l->entries[i].best;
            const int at = place_of(value_of(&l->o->trials->items[i], l->o->axes, a), values[a], n);
            if (b->there)
                points[a][shown++] = (ChartPoint){ at, b->value, b->value, b->value, i == l->best };
        }
        for (int i = 0; i < n; i++) /* names that would lie on each other */
            if (n > MOST_TICKS && i % ((n + MOST_TICKS - 1) / MOST_TICKS) != 0)
                values[a][i] = "";
        fields[a] = (ChartField){ axis->key, metric_name(l), values[a], n, points[a], shown, true, l->less };
    }
    (void)chart_draw(svg, fields, axes);
    for (int a = 0; a < axes; a++) {
        free(values[a]);
        free(points[a]);
    }
}

/* ---- all --------------------------------------------------------------------------------------------- */

static bool write_all(const Ledger *l, const char *folder, Text *out, Err *err)
{
    Sheet sheet;
    Text marked = { 0 }, svg = { 0 };
    fill_sheet(&sheet, l);
    sheet_print(&sheet, out);
    sheet_markdown(&sheet, &marked);
    text_adds(&marked, "\n![over each setting](sweep.svg)\n");
    if (l->best >= 0)
        text_addf(out, "best: %s\n", l->o->trials->items[l->best].folder);
    draw(l, &svg);
    json_t *json = ledger_json(l);
    char *paths[] = { path_join(folder, "sweep.json"), path_join(folder, "sweep.md"), path_join(folder, "sweep.svg") };
    const bool ok = json_write(paths[0], json, err) && file_write(paths[1], marked.data, marked.size, err) &&
                    (svg.size == 0 || file_write(paths[2], svg.data, svg.size, err));
    for (size_t i = 0; i < LENGTH(paths); i++)
        free(paths[i]);
    json_decref(json);
    text_release(&marked);
    text_release(&svg);
    sheet_release(&sheet);
    return ok;
}

bool standings_write(const StandingsOptions *options, const char *folder, Text *out, Err *err)
{
    Ledger ledger;
    const bool ok = open_ledger(&ledger, options, err) && write_all(&ledger, folder, out, err);
    close_ledger(&ledger);
    return ok;
}
