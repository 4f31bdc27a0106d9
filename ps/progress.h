/* progress - what a person sees of a run on stderr: a bar on a terminal, lines elsewhere.
 *
 * Threads: one. */
#ifndef PS_PROGRESS_H
#define PS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Progress {
    int64_t total;
    bool terminal;
    int64_t first; /* step that this process began at */
    double start;
    bool open; /* a bar stands on the last line */
} Progress;

void progress_init(Progress *progress, int64_t first, int64_t total);

/* After each step. logged: this step has a log line. */
void progress_step(Progress *progress, int64_t step, double loss, double tokens_per_second,
                   bool logged);
void progress_end(Progress *progress);

#endif
