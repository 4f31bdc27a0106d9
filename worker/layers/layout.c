#include "worker/layers/layout.h"

void *layout_take(Layout *layout, size_t size)
{
    layout->bytes += arena_cost(size);
    return layout->arena ? arena_take(layout->arena, size) : NULL;
}

float *layout_floats(Layout *layout, int64_t count)
{
    return layout_take(layout, (size_t)count * sizeof(float));
}

float *layout_floats_if(Layout *layout, bool wanted, int64_t count)
{
    return wanted ? layout_floats(layout, count) : NULL;
}

Shared layout_share(const Layout *layout)
{
    return (Shared){ .bytes = layout->bytes, .used = layout->arena ? layout->arena->used : 0 };
}

void layout_again(Layout *layout, Shared *shared)
{
    const size_t took = layout->bytes - shared->bytes;
    shared->most = took > shared->most ? took : shared->most;
    layout->bytes = shared->bytes;
    if (layout->arena)
        layout->arena->used = shared->used;
}

void layout_end(Layout *layout, Shared *shared)
{
    layout_again(layout, shared);
    layout_take(layout, shared->most);
}
