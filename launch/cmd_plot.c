#include "launch/cmd_plot.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/plot/picture.h"
#include "launch/command.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_RUNS = (int)LENGTH(picture_colours) };

typedef struct PlotOptions {
    const char *metric;
} PlotOptions;

typedef struct PlottedRun {
    char *name;
    json_t *lines; /* of metrics.jsonl */
} PlottedRun;

static bool read_run(PlottedRun *run, const char *folder, Err *err)
{
    char *path = path_join(folder, "metrics.jsonl"), *whole = path_absolute(folder), *text = NULL;
    run->name = xstrdup(path_name(whole));
    run->lines = json_array();
    if (file_exists(path)) {
        text = file_read(path, NULL, err);
    } else {
        err_set(err, ERR_INPUT, "there is no run in this folder: it has no metrics.jsonl");
        err_at(err, "%s", folder);
    }
    for (char *at = text; at && *at;) {
        const size_t n = strcspn(at, "\n");
        json_t *line = at[n] == '\n' ? json_loadb(at, n, 0, NULL) : NULL; /* half a line is none */
        if (json_is_object(line))
            json_array_append(run->lines, line);
        json_decref(line);
        at += n + (at[n] == '\n');
    }
    free(text);
    free(path);
    free(whole);
    return err->kind == ERR_NONE;
}

static bool has(const PlottedRun *run, const char *key)
{
    for (size_t i = 0; i < json_array_size(run->lines); i++)
        if (json_is_number(json_object_get(json_array_get(run->lines, i), key)))
            return true;
    return false;
}

/* The metric that is asked for, or the first of these that a run has; the caller's. */
static char *choose(const PlottedRun *runs, int count, const char *metric, Err *err)
{
    static const char *const usual[] = { "accuracy", "f1", "pearson", "mse", "bleu", "perplexity" };
    for (size_t m = 0; m < (metric ? 1 : LENGTH(usual)); m++) {
        const char *name = metric ? metric : usual[m];
        char *key = text_starts(name, "eval_") ? xstrdup(name) : xprintf("eval_%s", name);
        for (int i = 0; i < count; i++)
            if (has(&runs[i], key))
                return key;
        free(key);
    }
    if (metric)
        err_set(err, ERR_INPUT, "no evaluation of these runs has '%s'", metric);
    return NULL;
}

static bool draw(Text *svg, const PlottedRun *runs, int count, const char *metric, Err *err)
{
    PictureLine losses[2 * MOST_RUNS], metrics[MOST_RUNS];
    char *labels[3 * MOST_RUNS], *key = choose(runs, count, metric, err);
    for (int i = 0; i < count; i++) {
        labels[3 * i] = xprintf("%s loss", runs[i].name);
        labels[3 * i + 1] = xprintf("%s eval_loss", runs[i].name);
        labels[3 * i + 2] = xprintf("%s %s", runs[i].name, key ? key : "");
        losses[2 * i] = (PictureLine){ runs[i].lines, "loss", labels[3 * i], picture_colours[i], false };
        losses[2 * i + 1] = (PictureLine){ runs[i].lines, "eval_loss", labels[3 * i + 1], picture_colours[i], true };
        metrics[i] = (PictureLine){ runs[i].lines, key ? key : "", labels[3 * i + 2], picture_colours[i], true };
    }
    const PictureField fields[] = { { losses, 2 * count }, { metrics, count } };
    bool ok = err->kind == ERR_NONE;
    if (ok && !picture_draw(svg, fields, key ? 2 : 1))
        ok = err_set(err, ERR_INPUT, "these runs have no figures yet");
    for (int i = 0; i < 3 * count; i++)
        free(labels[i]);
    free(key);
    return ok;
}

static bool run(void *self, const Arguments *given, Err *err)
{
    const PlotOptions *options = self;
    const char *last = given->positionals[given->positional_count - 1];
    const char *out = text_ends(last, ".svg") ? last : NULL;
    const int count = given->positional_count - (out ? 1 : 0);
    PlottedRun runs[MOST_RUNS] = { 0 };
    Text svg = { 0 };
    if (count < 1 || count > MOST_RUNS)
        return err_set(err, ERR_INPUT, "lora plot takes 1 to %d folders of runs, and a file.svg", MOST_RUNS);
    bool ok = true;
    for (int i = 0; ok && i < count; i++)
        ok = read_run(&runs[i], given->positionals[i], err);
    ok = ok && draw(&svg, runs, count, options->metric, err);
    if (ok && out)
        ok = file_write(out, svg.data, svg.size, err);
    else if (ok)
        fputs(svg.data, stdout);
    for (int i = 0; i < count; i++) {
        free(runs[i].name);
        json_decref(runs[i].lines);
    }
    text_release(&svg);
    return ok;
}

int cmd_plot(int argc, char **argv)
{
    PlotOptions options = { 0 };
    bool help = false;
    const Option own[] = {
        { "metric", "NAME", "of the second field (accuracy, f1, perplexity ...); default: the first of the usual ones",
          &options.metric, NULL },
        { "help", NULL, "this text", NULL, &help },
    };
    const OptionTable table = { "lora plot",
                                "RUN_DIR... [OUT.svg]",
                                "loss and metric curves of runs beside each other, as SVG",
                                own,
                                LENGTH(own),
                                false,
                                0 };
    return command_main(&(Command){ &table, &help, 1, MOST_RUNS + 1, run, &options }, argc, argv);
}
