#include "launch/trials/few_shot.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/plot/chart.h"
#include "launch/trials/figures.h"
#include "launch/trials/sheet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of the seeds of a way with so many rows of each class. */
typedef struct Cell {
    int runs; /* that are done */
    double mean, deviation; /* NAN of one run */
} Cell;

typedef struct Curves {
    const FewShot *f;
    json_t **lines; /* [trials] of metrics.jsonl; owned */
    bool *done; /* [trials] owned */
    Cell *cells; /* [ways, columns] owned */
    char *key; /* "eval_accuracy" */
} Curves;

/* ---- what is run --------------------------------------------------------------------------------------- */

int few_shot_read(int64_t shots[FEW_SHOT_COLUMNS], const char *list, Err *err)
{
    char *copy = xstrdup(list), *rest = copy, *word;
    int count = 0;
    bool ok = true;
    while (ok && (word = strsep(&rest, ","))) {
        char *end;
        const long long n = strtoll(word, &end, 10);
        ok = *word && *end == '\0' && n >= 0 && n <= 1000000 && count < FEW_SHOT_COLUMNS &&
             (count == 0 || n > shots[count - 1]);
        if (ok)
            shots[count++] = n;
    }
    free(copy);
    if (ok)
        return count;
    err_set(err, ERR_INPUT, "'%.80s' is no list of at most %d rising numbers of rows of a class", list,
            FEW_SHOT_COLUMNS);
    err_hint(err, "--few_shot=0,4,16,64");
    err_at(err, "--few_shot");
    return 0;
}

/* None: a step at a rate of 0 on a row of each class changes nothing. */
void few_shot_changes(const Config *c, int64_t shots, CommandWords *changes)
{
    const long long steps = shots > 0 ? c->train.max_steps : 1;
    command_words_add(changes, xprintf("data.shots=%lld", (long long)(shots > 0 ? shots : 1)));
    command_words_add(changes, xprintf("train.max_steps=%lld", steps));
    command_words_add(changes, xstrdup("train.eval_strategy=steps"));
    command_words_add(changes, xprintf("train.eval_steps=%lld", steps));
    command_words_add(changes, xstrdup("train.save_strategy=no"));
    command_words_add(changes, xstrdup("train.load_best_model_at_end=false"));
    command_words_add(changes, xstrdup("train.early_stopping_patience=null"));
    if (shots > 0)
        return;
    command_words_add(changes, xstrdup("train.learning_rate=0"));
    command_words_add(changes, xstrdup("train.loraplus_lr_ratio=null"));
    command_words_add(changes, xstrdup("train.loraplus_weight_decay=0"));
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static void read_runs(Curves *b)
{
    const TrialList *trials = b->f->trials;
    b->lines = xcalloc((size_t)trials->count + 1, sizeof *b->lines);
    b->done = xcalloc((size_t)trials->count + 1, sizeof *b->done);
    for (int i = 0; i < trials->count; i++) {
        Err none = { 0 };
        json_t *summary = figures_lines(&b->lines[i], trials->items[i].folder, &none)
                              ? figures_summary(trials->items[i].folder)
                              : NULL;
        b->done[i] = summary != NULL;
        json_decref(summary);
    }
}

static Cell cell_of(const Curves *b, int first)
{
    Cell cell = { 0 };
    double sum = 0, squares = 0;
    for (int i = first; i < first + b->f->seeds; i++) {
        const BestFigure figure = figures_best(b->lines[i], b->key, 0);
        if (!b->done[i] || !figure.there)
            continue;
        cell.runs++;
        sum += figure.value;
        squares += figure.value * figure.value;
    }
    const int n = cell.runs;
    cell.mean = n > 0 ? sum / n : NAN;
    cell.deviation = n > 1 ? sqrt(fmax(0, squares - n * cell.mean * cell.mean) / (n - 1)) : NAN;
    return cell;
}

static bool open_curves(Curves *b, const FewShot *f, Err *err)
{
    *b = (Curves){ .f = f };
    read_runs(b);
    b->key = figures_metric(b->lines, f->trials->count, f->metric, err);
    if (!b->key && err->kind == ERR_NONE)
        b->key = xstrdup("eval_loss");
    const int cells = f->way_count * f->columns;
    b->cells = xcalloc((size_t)cells, sizeof *b->cells);
    int runs = 0;
    for (int c = 0; b->key && c < cells; c++) {
        b->cells[c] = cell_of(b, c * f->seeds);
        runs += b->cells[c].runs;
    }
    if (b->key && runs == 0)
        err_set(err, ERR_INPUT, "none of these runs is done");
    return err->kind == ERR_NONE;
}

static void close_curves(Curves *b)
{
    for (int i = 0; i < b->f->trials->count; i++)
        json_decref(b->lines[i]);
    free(b->lines);
    free(b->done);
    free(b->cells);
    free(b->key);
}

/* ---- as a table, as JSON, as a picture --------------------------------------------------------------------- */

static const char *metric_name(const Curves *b)
{
    return b->key + strlen("eval_");
}

static void fill_sheet(Sheet *sheet, const Curves *b, char (*titles)[24])
{
    const char *names[FEW_SHOT_COLUMNS + 2] = { metric_name(b) };
    for (int c = 0; c < b->f->columns; c++) {
        snprintf(titles[c], sizeof titles[c], "%lld a class", (long long)b->f->shots[c]);
        names[c + 1] = titles[c];
    }
    sheet_init(sheet, names);
    for (int w = 0; w < b->f->way_count; w++) {
        sheet_put(sheet, "%s", b->f->ways[w]);
        for (int c = 0; c < b->f->columns; c++) {
            const Cell *cell = &b->cells[w * b->f->columns + c];
            if (cell->runs == 0)
                sheet_put(sheet, "-");
            else if (isnan(cell->deviation))
                sheet_put(sheet, "%.4f", cell->mean);
            else
                sheet_put(sheet, "%.4f ± %.4f", cell->mean, cell->deviation);
        }
    }
}

static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *cell_json(const Curves *b, int c)
{
    const FewShot *f = b->f;
    json_t *to = json_object(), *values = json_array();
    for (int i = c * f->seeds; i < (c + 1) * f->seeds; i++) {
        const BestFigure figure = figures_best(b->lines[i], b->key, 0);
        json_array_append_new(values, b->done[i] && figure.there ? real(figure.value) : json_null());
    }
    json_object_set_new(to, "shots", json_integer(f->shots[c % f->columns]));
    json_object_set_new(to, "mean", real(b->cells[c].mean));
    json_object_set_new(to, "deviation", real(b->cells[c].deviation));
    json_object_set_new(to, "values", values);
    return to;
}

static json_t *curves_json(const Curves *b)
{
    const FewShot *f = b->f;
    json_t *to = json_object(), *rows = json_array();
    for (int w = 0; w < f->way_count; w++) {
        json_t *row = json_object(), *cells = json_array();
        for (int c = 0; c < f->columns; c++)
            json_array_append_new(cells, cell_json(b, w * f->columns + c));
        json_object_set_new(row, "method", json_string(f->ways[w]));
        json_object_set_new(row, "cells", cells);
        json_array_append_new(rows, row);
    }
    json_object_set_new(to, "metric", json_string(metric_name(b)));
    json_object_set_new(to, "rows", rows);
    return to;
}

/* A field a way. */
static void draw(Text *svg, const Curves *b)
{
    const FewShot *f = b->f;
    char numbers[FEW_SHOT_COLUMNS][24];
    const char *values[FEW_SHOT_COLUMNS];
    ChartField *fields = xcalloc((size_t)f->way_count, sizeof *fields);
    ChartPoint *points = xcalloc((size_t)(f->way_count * f->columns), sizeof *points);
    char **names = xcalloc((size_t)f->way_count, sizeof *names);
    for (int c = 0; c < f->columns; c++) {
        snprintf(numbers[c], sizeof numbers[c], "%lld", (long long)f->shots[c]);
        values[c] = numbers[c];
    }
    for (int w = 0; w < f->way_count; w++) {
        ChartPoint *own = points + w * f->columns;
        int count = 0;
        for (int c = 0; c < f->columns; c++) {
            const Cell *cell = &b->cells[w * f->columns + c];
            const double spread = isnan(cell->deviation) ? 0 : cell->deviation;
            if (cell->runs > 0)
                own[count++] = (ChartPoint){ c, cell->mean, cell->mean - spread, cell->mean + spread, false };
        }
        names[w] = xprintf("%s, %s", f->ways[w], metric_name(b));
        fields[w] = (ChartField){ "rows a class (mean, and the deviation over seeds)",
                                  names[w],
                                  values,
                                  f->columns,
                                  own,
                                  count,
                                  true,
                                  config_less_is_better(b->key) };
    }
    (void)chart_draw(svg, fields, f->way_count);
    for (int w = 0; w < f->way_count; w++)
        free(names[w]);
    free(names);
    free(points);
    free(fields);
}

static bool write_text(const char *folder, const char *name, const Text *text, Err *err)
{
    char *path = path_join(folder, name);
    const bool ok = text->size == 0 || file_write(path, text->data, text->size, err);
    free(path);
    return ok;
}

static bool write_all(const Curves *b, const char *folder, Text *out, Err *err)
{
    char titles[FEW_SHOT_COLUMNS][24];
    Sheet sheet;
    Text marked = { 0 }, svg = { 0 };
    fill_sheet(&sheet, b, titles);
    sheet_print(&sheet, out);
    sheet_markdown(&sheet, &marked);
    text_adds(&marked, "\n![few-shot curves](few_shot.svg)\n");
    draw(&svg, b);
    json_t *json = curves_json(b);
    char *path = path_join(folder, "few_shot.json");
    const bool ok = json_write(path, json, err) && write_text(folder, "few_shot.md", &marked, err) &&
                    write_text(folder, "few_shot.svg", &svg, err);
    free(path);
    json_decref(json);
    text_release(&marked);
    text_release(&svg);
    sheet_release(&sheet);
    return ok;
}

bool few_shot_write(const FewShot *f, const char *folder, Text *out, Err *err)
{
    Curves curves;
    const bool ok = open_curves(&curves, f, err) && write_all(&curves, folder, out, err);
    close_curves(&curves);
    return ok;
}
