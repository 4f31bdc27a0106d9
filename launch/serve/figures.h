/* figures - what a server counts, and as Prometheus reads it (text format 0.0.4).
 *
 * Owner: the service. Threads: any. */
#ifndef LAUNCH_SERVE_FIGURES_H
#define LAUNCH_SERVE_FIGURES_H

#include "common/base/text.h"

#include <pthread.h>
#include <stdint.h>

enum { FIGURES_ROUTES = 12, FIGURES_CODES = 16, FIGURES_BUCKETS = 14 };

typedef enum { FIGURE_ABORTED, FIGURE_PROMPT_TOKENS, FIGURE_TEXT_TOKENS, FIGURE_COUNTERS } FigureCounter;

typedef enum { FIGURE_FIRST_TOKEN, FIGURE_EACH_TOKEN, FIGURE_REQUEST, FIGURE_ROWS, FIGURE_HISTOGRAMS } FigureHistogram;

/* What is so at this moment. */
typedef struct FiguresNow {
    int64_t running, waiting, adapters, kv_tokens, kv_most;
} FiguresNow;

typedef struct Figures {
    pthread_mutex_t lock;
    int64_t counters[FIGURE_COUNTERS];
    struct {
        const char *path; /* of a table, not owned */
        int code;
        int64_t count;
    } requests[FIGURES_ROUTES * FIGURES_CODES];
    struct {
        int64_t buckets[FIGURES_BUCKETS + 1], count;
        double sum;
    } histograms[FIGURE_HISTOGRAMS];
} Figures;

void figures_init(Figures *figures);
void figures_release(Figures *figures);
void figures_add(Figures *figures, FigureCounter counter, int64_t n);
void figures_see(Figures *figures, FigureHistogram histogram, double value);
void figures_request(Figures *figures, const char *path, int code); /* path: a row of a table */
void figures_write(Figures *figures, const FiguresNow *now, Text *out);

#endif
