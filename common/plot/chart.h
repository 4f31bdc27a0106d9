/* chart - figures over the values of a setting as SVG: a point each, a bar of its spread, a line through the best.
 *
 * Threads: any. */
#ifndef COMMON_PLOT_CHART_H
#define COMMON_PLOT_CHART_H

#include "common/base/text.h"

typedef struct ChartPoint {
    int at; /* number of its value of the setting */
    double y, low, high; /* low and high: the ends of its bar; both y: none */
    bool marked;
} ChartPoint;

/* One field of axes. Lent. */
typedef struct ChartField {
    const char *setting, *figure; /* "lora.r", "accuracy" */
    const char *const *values; /* of the setting, from left to right */
    int value_count;
    const ChartPoint *points;
    int count;
    bool line; /* through the best point of each value */
    bool less; /* is better */
} ChartField;

/* The fields that have a point, below each other. False: none has, and nothing was added. */
bool chart_draw(Text *svg, const ChartField *fields, int count);

#endif
