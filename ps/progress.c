#include "ps/progress.h"

#include "common/base/clock.h"
#include "common/base/log.h"

#include <stdio.h>
#include <string.h>

enum { LEAST_BAR = 3, MOST_BAR = 40, WORDS = 160 };
enum { CTRL_C = 3 }; /* columns that stay free: for "^C", so that a terminal does not break the line, and the last */
static const double pause = 0.1; /* seconds between two drawings */

void progress_init(Progress *progress, int64_t first, int64_t total)
{
    *progress = (Progress){ .total = total, .first = first, .start = clock_now() };
}

/* What stands behind the bar: the step, and as many of loss, time left and speed as `parts` says. */
static int write_words(char words[WORDS], const ProgressFigures *f, int parts)
{
    const long seconds = f->left > 0 ? (long)f->left : 0;
    char rate[32] = "";
    if (parts > 2)
        snprintf(rate, sizeof rate, " %.0f tokens/s", f->tokens_per_second);
    int n = snprintf(words, WORDS, "%lld/%lld", (long long)f->step, (long long)f->total);
    if (f->pieces > 0)
        return n + (parts > 0 ? snprintf(words + n, WORDS - (size_t)n, " evaluating %lld/%lld", (long long)f->evaluated,
                                         (long long)f->pieces)
                              : 0);
    if (parts > 0)
        n += snprintf(words + n, WORDS - (size_t)n, " loss %.4f%s", f->loss, rate);
    if (parts > 1)
        n += snprintf(words + n, WORDS - (size_t)n, " %ld:%02ld:%02ld left", seconds / 3600, seconds / 60 % 60,
                      seconds % 60);
    return n;
}

void progress_draw(char *out, size_t size, int columns, const ProgressFigures *f)
{
    char words[WORDS], bar[MOST_BAR + 1];
    int parts = 3, room = columns > CTRL_C ? columns - CTRL_C : 0, width = 0;
    if ((size_t)room >= size)
        room = (int)size - 1;
    for (; parts >= 0; parts--) {
        const int n = write_words(words, f, parts);
        width = room - n - (int)strlen("[] ");
        if (width >= LEAST_BAR || (n <= room && parts < 3))
            break;
    }
    if (width < LEAST_BAR) {
        snprintf(out, room > 0 ? (size_t)room + 1 : 1, "%s", words);
        return;
    }
    width = width < MOST_BAR ? width : MOST_BAR;
    for (int i = 0; i < width; i++)
        bar[i] = i * f->total < width * f->step ? '#' : '.';
    bar[width] = '\0';
    snprintf(out, size, "[%s] %s", bar, words);
}

static void draw(Progress *progress, const ProgressFigures *figures, int columns)
{
    char line[256];
    progress->drawn = clock_now();
    progress_draw(line, sizeof line, columns, figures);
    log_bar(line);
    progress->evaluating = figures->pieces > 0;
}

void progress_step(Progress *progress, int64_t step, double loss, double tokens_per_second, bool logged)
{
    const double done = (double)(step - progress->first);
    const ProgressFigures f = {
        .step = step,
        .total = progress->total,
        .loss = loss,
        .tokens_per_second = tokens_per_second,
        .left = done > 0 ? (clock_now() - progress->start) / done * (double)(progress->total - step) : 0,
    };
    const int columns = log_columns();
    progress->last = f;
    if (columns > 0 && (step >= progress->total || clock_now() >= progress->drawn + pause))
        draw(progress, &f, columns);
    else if (columns == 0 && logged)
        log_info("train", "step=%lld/%lld loss=%.4f tokens_per_second=%.0f left=%.0fs", (long long)step,
                 (long long)progress->total, loss, tokens_per_second, f.left);
}

void progress_evaluation(Progress *progress, int64_t step, int64_t done, int64_t pieces)
{
    const ProgressFigures f = { .step = step, .total = progress->total, .evaluated = done, .pieces = pieces };
    const int columns = log_columns();
    if (columns > 0 && pieces > 0)
        draw(progress, &f, columns);
    else if (columns > 0 && progress->evaluating && progress->last.total > 0)
        draw(progress, &progress->last, columns);
}

void progress_end(Progress *progress)
{
    progress_evaluation(progress, 0, 0, 0);
    log_bar_end();
}
