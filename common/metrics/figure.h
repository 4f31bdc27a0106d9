/* figure - a measured number with its name. A value. Threads: any. */
#ifndef COMMON_METRICS_FIGURE_H
#define COMMON_METRICS_FIGURE_H

typedef struct Figure {
    const char *name; /* "loss", "accuracy", ...; static */
    double value;
} Figure;

/* Into figures[n]; n + 1. */
static inline int figure_put(Figure *figures, int n, const char *name, double value)
{
    figures[n] = (Figure){ name, value };
    return n + 1;
}

#endif
