/* picture - curves by step as SVG: of a run's log_history, or the lines of its metrics.jsonl.
 *
 * Threads: any. */
#ifndef COMMON_PLOT_PICTURE_H
#define COMMON_PLOT_PICTURE_H

#include "common/base/json.h"
#include "common/base/text.h"

/* The figures of one key, entry by entry of a list of objects that have a "step". Lent. */
typedef struct PictureLine {
    const json_t *history;
    const char *key; /* "loss", "eval_accuracy" */
    const char *label, *colour;
    bool dots; /* few values: each is marked, and the line is thicker */
} PictureLine;

/* One field of axes with its lines and their names. */
typedef struct PictureField {
    const PictureLine *lines;
    int count;
} PictureField;

extern const char *const picture_colours[8]; /* for runs beside each other */

/* The fields below each other. False: none of their lines has a point, and nothing was added. */
bool picture_draw(Text *svg, const PictureField *fields, int count);

/* Training and evaluation loss; false: there are not two training losses yet. */
bool picture_loss(Text *svg, const json_t *history);

#endif
