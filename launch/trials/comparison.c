#include "launch/trials/comparison.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/config/config.h"
#include "common/plot/chart.h"
#include "common/plot/picture.h"
#include "launch/trials/figures.h"
#include "launch/trials/sheet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Figures of summary.json, in the order of the table. */
static const char *const measured[] = {
    "train_runtime",   "tokens_per_second", "peak_rss_worker",      "peak_rss_ps",    "wire_bytes_up",
    "wire_bytes_down", "disk_bytes",        "trainable_parameters", "all_parameters", "wire_share",
    "steps",           "shared_bytes_up",   "shared_bytes_down"
};
enum { MEASURED = (int)LENGTH(measured) };
typedef enum {
    TIME,
    SPEED,
    WORKERS,
    SERVER,
    UP,
    DOWN,
    DISK,
    TRAINABLE,
    ALL,
    WIRE,
    STEPS,
    SHARED_UP,
    SHARED_DOWN
} Measured;

typedef struct Row {
    const char *name;
    int runs; /* that are done */
    double mean, deviation; /* of the metric; deviation: of the runs, NAN of one */
    double rate;
    double figures[MEASURED]; /* means */
    json_t *lines; /* of its first run, borrowed */
} Row;

typedef struct Book {
    const Comparison *c;
    json_t **lines; /* [trials]; owned */
    json_t **summaries; /* [trials]; NULL: not done; owned */
    Row *rows; /* [methods] */
    char *key; /* "eval_accuracy" */
} Book;

/* ---- reading -------------------------------------------------------------------------------------- */

static void read_runs(Book *b)
{
    const TrialList *trials = b->c->trials;
    b->lines = xcalloc((size_t)trials->count + 1, sizeof *b->lines);
    b->summaries = xcalloc((size_t)trials->count + 1, sizeof *b->summaries);
    for (int i = 0; i < trials->count; i++) {
        Err none = { 0 };
        if (!figures_lines(&b->lines[i], trials->items[i].folder, &none))
            continue;
        b->summaries[i] = figures_summary(trials->items[i].folder);
        if (b->summaries[i])
            json_object_set_new(b->summaries[i], "disk_bytes", json_integer(figures_disk(trials->items[i].folder)));
    }
}

static double figure_of(const json_t *summary, const char *key)
{
    const json_t *value = json_object_get(summary, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* The highest rate of a run's lines: its peak. */
static double rate_of(const json_t *lines)
{
    double most = 0;
    for (size_t i = 0; i < json_array_size(lines); i++)
        most = fmax(most, json_number_value(json_object_get(json_array_get(lines, i), "learning_rate")));
    return most;
}

static void fill_row(Book *b, int m)
{
    Row *row = &b->rows[m];
    double sum = 0, squares = 0;
    row->name = b->c->methods[m];
    for (int s = 0; s < b->c->seeds; s++) {
        const int i = m * b->c->seeds + s;
        const BestFigure best = figures_best(b->lines[i], b->key, 0);
        if (!b->summaries[i] || !best.there)
            continue;
        row->lines = row->runs++ == 0 ? b->lines[i] : row->lines;
        row->rate = rate_of(b->lines[i]);
        sum += best.value;
        squares += best.value * best.value;
        for (int k = 0; k < MEASURED; k++)
            row->figures[k] += figure_of(b->summaries[i], measured[k]);
    }
    const int n = row->runs;
    for (int k = 0; k < MEASURED; k++)
        row->figures[k] = n > 0 ? row->figures[k] / n : NAN;
    row->mean = n > 0 ? sum / n : NAN;
    row->deviation = n > 1 ? sqrt(fmax(0, squares - n * row->mean * row->mean) / (n - 1)) : NAN;
}

static bool open_book(Book *b, const Comparison *c, Err *err)
{
    *b = (Book){ .c = c };
    read_runs(b);
    b->key = figures_metric(b->lines, c->trials->count, c->metric, err);
    if (!b->key && err->kind == ERR_NONE)
        b->key = xstrdup("eval_loss");
    b->rows = xcalloc((size_t)c->method_count, sizeof *b->rows);
    int done = 0;
    for (int m = 0; b->key && m < c->method_count; m++) {
        fill_row(b, m);
        done += b->rows[m].runs;
    }
    if (b->key && done == 0)
        err_set(err, ERR_INPUT, "none of these runs is done");
    return err->kind == ERR_NONE;
}

static void close_book(Book *b)
{
    for (int i = 0; i < b->c->trials->count; i++) {
        json_decref(b->lines[i]);
        json_decref(b->summaries[i]);
    }
    free(b->lines);
    free(b->summaries);
    free(b->rows);
    free(b->key);
}

/* ---- as a table -------------------------------------------------------------------------------------- */

static const char *metric_name(const Book *b)
{
    return b->key + strlen("eval_");
}

/* Bytes to the server and from it: on the wire, or in its memory, where a run of every weight has them on one machine. */
static double moved(const double *f)
{
    return f[UP] + f[DOWN] + fmax(0, f[SHARED_UP]) + fmax(0, f[SHARED_DOWN]); /* runs of before have none */
}

static void put_row(Sheet *sheet, const Row *row)
{
    const double *f = row->figures;
    sheet_put(sheet, "%s", row->name);
    if (row->runs == 0)
        return;
    if (isnan(row->deviation))
        sheet_put(sheet, "%.4f", row->mean);
    else
        sheet_put(sheet, "%.4f ± %.4f", row->mean, row->deviation);
    sheet_put(sheet, "%.3g", row->rate);
    sheet_put(sheet, "%.0f", f[TRAINABLE]);
    sheet_put(sheet, "%.2f%%", 100 * f[TRAINABLE] / f[ALL]);
    sheet_put(sheet, "%.1f s", f[TIME]);
    sheet_put(sheet, "%.0f", f[SPEED]);
    sheet_put(sheet, "%.1f MB", (f[WORKERS] + f[SERVER]) / 1e6);
    sheet_put(sheet, "%.2f MB", moved(f) / 1e6);
    sheet_put(sheet, "%.2f%%", 100 * f[WIRE]);
    sheet_put(sheet, "%.3f MB", f[DISK] / 1e6);
}

static void fill_sheet(Sheet *sheet, const Book *b)
{
    const char *titles[] = { "method",   metric_name(b), "rate", "trainable", "share", "time",
                             "tokens/s", "memory",       "wire", "of full",   "disk",  NULL };
    sheet_init(sheet, titles);
    for (int m = 0; m < b->c->method_count; m++) {
        put_row(sheet, &b->rows[m]);
        while (sheet->used < sheet->columns)
            sheet_put(sheet, "-");
    }
}

static const Row *row_of(const Book *b, const char *name)
{
    for (int m = 0; m < b->c->method_count; m++)
        if (strcmp(b->rows[m].name, name) == 0 && b->rows[m].runs > 0)
            return &b->rows[m];
    return NULL;
}

/* The claim, in a sentence for each way beside every weight. */
static void add_ratios(const Book *b, Text *out)
{
    const Row *full = row_of(b, "full");
    for (int m = 0; full && m < b->c->method_count; m++) {
        const Row *row = &b->rows[m];
        const double *f = row->figures, *g = full->figures;
        if (row == full || row->runs == 0)
            continue;
        text_addf(out,
                  "%s beside full: %s %+.4f, %.2f%% of the parameters, %.2f of the time, %.2f of the memory, %.2f%% of "
                  "the bytes that moved, %.2f%% of the disk\n",
                  row->name, metric_name(b), row->mean - full->mean, 100 * f[TRAINABLE] / g[TRAINABLE],
                  f[TIME] / g[TIME], (f[WORKERS] + f[SERVER]) / (g[WORKERS] + g[SERVER]), 100 * moved(f) / moved(g),
                  100 * f[DISK] / g[DISK]);
    }
}

/* ---- as JSON ------------------------------------------------------------------------------------------- */

static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *run_json(const Book *b, int i, int64_t seed)
{
    const Trial *trial = &b->c->trials->items[i];
    const BestFigure best = figures_best(b->lines[i], b->key, 0);
    json_t *to = json_object(), *changes = json_array();
    for (int k = 0; k < trial->changes.count; k++)
        json_array_append_new(changes, json_string(trial->changes.items[k]));
    json_object_set_new(to, "folder", json_string(trial->folder));
    json_object_set_new(to, "seed", json_integer(seed));
    json_object_set_new(to, "changes", changes);
    json_object_set_new(to, metric_name(b), best.there ? real(best.value) : json_null());
    json_object_set_new(to, "step", best.there ? json_integer(best.step) : json_null());
    json_object_set_new(to, "done", json_boolean(b->summaries[i]));
    json_object_set_new(to, "code", json_integer(trial->code));
    for (int k = 0; b->summaries[i] && k < MEASURED; k++)
        json_object_set_new(to, measured[k], real(figure_of(b->summaries[i], measured[k])));
    return to;
}

static json_t *book_json(const Book *b)
{
    json_t *to = json_object(), *rows = json_array();
    for (int m = 0; m < b->c->method_count; m++) {
        json_t *row = json_object(), *runs = json_array();
        for (int s = 0; s < b->c->seeds; s++)
            json_array_append_new(runs, run_json(b, m * b->c->seeds + s, b->c->seed_numbers[s]));
        json_object_set_new(row, "method", json_string(b->rows[m].name));
        json_object_set_new(row, "mean", real(b->rows[m].mean));
        json_object_set_new(row, "deviation", real(b->rows[m].deviation));
        json_object_set_new(row, "learning_rate", real(b->rows[m].rate));
        for (int k = 0; k < MEASURED; k++)
            json_object_set_new(row, measured[k], real(b->rows[m].figures[k]));
        json_object_set_new(row, "runs", runs);
        json_array_append_new(rows, row);
    }
    json_object_set_new(to, "metric", json_string(metric_name(b)));
    json_object_set_new(to, "rows", rows);
    return to;
}

/* ---- as a picture ---------------------------------------------------------------------------------------- */

static void draw_ways(Text *svg, const Book *b)
{
    ChartPoint *points = xcalloc((size_t)b->c->method_count, sizeof *points);
    int count = 0;
    for (int m = 0; m < b->c->method_count; m++) {
        const Row *row = &b->rows[m];
        const double spread = isnan(row->deviation) ? 0 : row->deviation;
        if (row->runs > 0)
            points[count++] = (ChartPoint){ m, row->mean, row->mean - spread, row->mean + spread, false };
    }
    const ChartField field = { "method (mean, and the deviation over seeds)",
                               metric_name(b),
                               b->c->methods,
                               b->c->method_count,
                               points,
                               count,
                               false,
                               false };
    (void)chart_draw(svg, &field, 1);
    free(points);
}

static void draw_curves(Text *svg, const Book *b)
{
    enum { MOST = (int)LENGTH(picture_colours) };
    PictureLine losses[MOST], metrics[MOST];
    int count = 0;
    for (int m = 0; m < b->c->method_count && count < MOST; m++) {
        if (!b->rows[m].lines)
            continue;
        const char *name = b->rows[m].name, *colour = picture_colours[count];
        losses[count] = (PictureLine){ b->rows[m].lines, "loss", name, colour, false };
        metrics[count++] = (PictureLine){ b->rows[m].lines, b->key, name, colour, true };
    }
    const PictureField fields[] = { { losses, count }, { metrics, count } };
    (void)picture_draw(svg, fields, 2);
}

/* ---- all ---------------------------------------------------------------------------------------------- */

static bool write_text(const char *folder, const char *name, const Text *text, Err *err)
{
    char *path = path_join(folder, name);
    const bool ok = text->size == 0 || file_write(path, text->data, text->size, err);
    free(path);
    return ok;
}

static bool write_all(const Book *b, const char *folder, Text *out, Err *err)
{
    Sheet sheet;
    Text marked = { 0 }, ways = { 0 }, curves = { 0 }, ratios = { 0 };
    fill_sheet(&sheet, b);
    add_ratios(b, &ratios);
    sheet_print(&sheet, out);
    sheet_markdown(&sheet, &marked);
    if (ratios.size > 0) {
        text_adds(out, ratios.data);
        text_addf(&marked, "\n%s", ratios.data);
    }
    text_adds(&marked, "\n![metric](compare.svg)\n\n![curves](curves.svg)\n");
    draw_ways(&ways, b);
    draw_curves(&curves, b);
    json_t *json = book_json(b);
    char *path = path_join(folder, "compare.json");
    const bool ok = json_write(path, json, err) && write_text(folder, "compare.md", &marked, err) &&
                    write_text(folder, "compare.svg", &ways, err) && write_text(folder, "curves.svg", &curves, err);
    free(path);
    json_decref(json);
    text_release(&marked);
    text_release(&ways);
    text_release(&curves);
    text_release(&ratios);
    sheet_release(&sheet);
    return ok;
}

bool comparison_write(const Comparison *c, const char *folder, Text *out, Err *err)
{
    Book book;
    const bool ok = open_book(&book, c, err) && write_all(&book, folder, out, err);
    close_book(&book);
    return ok;
}
