#include "launch/cmd_plot.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/plot/picture.h"
#include "launch/command.h"
#include "launch/trials/figures.h"

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
    char *whole = path_absolute(folder);
    run->name = xstrdup(path_name(whole));
    free(whole);
    return figures_lines(&run->lines, folder, err);
}

static bool draw(Text *svg, const PlottedRun *runs, int count, const char *metric, Err *err)
{
    PictureLine losses[2 * MOST_RUNS], metrics[MOST_RUNS];
    json_t *lists[MOST_RUNS];
    for (int i = 0; i < count; i++)
        lists[i] = runs[i].lines;
    char *labels[3 * MOST_RUNS], *key = figures_metric(lists, count, metric, err);
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
