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
