/* progress - what a person sees of a run's steps on stderr: a bar as wide as the terminal allows, lines
 * elsewhere.
 *
 * Threads: one. */
#ifndef PS_PROGRESS_H
#define PS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ProgressFigures {
    int64_t step, total;
    double loss, tokens_per_second, left; /* left: seconds */
    int64_t evaluated, pieces; /* of the evaluation that goes on; pieces 0: of none */
} ProgressFigures;

typedef struct Progress {
    int64_t total;
    int64_t first; /* step that this process began at */
    double start;
    double drawn; /* when the bar was last drawn */
    ProgressFigures last; /* of a step; total 0: none yet */
    bool evaluating; /* so says the bar */
} Progress;

void progress_init(Progress *progress, int64_t first, int64_t total);

/* After each step. logged: this step has a log line. */
void progress_step(Progress *progress, int64_t step, double loss, double tokens_per_second, bool logged);
/* Done of the pieces of the evaluation behind `step` are in; pieces 0: none goes on. On a terminal only: elsewhere
 * its figures are said when it is over. */
void progress_evaluation(Progress *progress, int64_t step, int64_t done, int64_t pieces);
/* The bar stays where it is. */
void progress_end(Progress *progress);

/* The bar for a terminal of so many columns, which has room for the "^C" behind it: what is least needed goes first. */
void progress_draw(char *out, size_t size, int columns, const ProgressFigures *figures);

#endif
