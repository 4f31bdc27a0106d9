/* layout - hands out the parts of an arena, or only counts what they would take,
 * so that the code that takes memory and the code that predicts it are one.
 *
 * Owner: model_open, on its stack. Threads: that one. */
#ifndef WORKER_LAYERS_LAYOUT_H
#define WORKER_LAYERS_LAYOUT_H

#include "common/base/mem.h"

#include <stdint.h>

typedef struct Layout {
    Arena *arena; /* borrowed; NULL: count only, and every pointer handed out is NULL */
    size_t bytes; /* handed out so far */
} Layout;

void *layout_take(Layout *layout, size_t size);
float *layout_floats(Layout *layout, int64_t count);

/* Parts that share a place, as they are not used at a time: each begins where `start` was taken, and the longest counts.
 *     Shared shared = layout_share(layout); for (...) { layout_again(layout, &shared); ... } layout_end(layout, &shared); */
typedef struct Shared {
    size_t bytes, used; /* of the layout and its arena, where it begins */
    size_t most;
} Shared;

Shared layout_share(const Layout *layout);
void layout_again(Layout *layout, Shared *shared);
void layout_end(Layout *layout, Shared *shared);

/* layout_floats when wanted, else NULL. */
float *layout_floats_if(Layout *layout, bool wanted, int64_t count);

#endif
