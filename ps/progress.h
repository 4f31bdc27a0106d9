/* progress - what a person sees of a run's steps on stderr: a bar as wide as the terminal allows, lines
 * elsewhere.
 *
 * Threads: one. */
#ifndef PS_PROGRESS_H
#define PS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Progress {
    int64_t total;
    int64_t first; /* step that this process began at */
    double start;
    double drawn; /* when the bar was last drawn */
} Progress;

void progress_init(Progress *progress, int64_t first, int64_t total);

/* After each step. logged: this step has a log line. */
void progress_step(Progress *progress, int64_t step, double loss, double tokens_per_second, bool logged);
/* The bar stays where it is. */
void progress_end(void);

typedef struct ProgressFigures {
    int64_t step, total;
    double loss, tokens_per_second, left; /* left: seconds */
} ProgressFigures;

/* The bar for a terminal of so many columns, which has room for the "^C" behind it: what is least needed goes first. */
void progress_draw(char *out, size_t size, int columns, const ProgressFigures *figures);

#endif
