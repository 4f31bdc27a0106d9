#include "worker/layers/frozen.h"

#include "common/base/err.h"
#include "worker/kernels/gemm.h"
#include "worker/kernels/kernels.h"

#include <stddef.h>
#include <string.h>

int64_t frozen_bytes(FrozenKind kind, int64_t out, int64_t in)
{
    REQUIRE(kind == FROZEN_F32);
    return out * in * (int64_t)sizeof(float);
}

Frozen frozen_of_floats(const float *data, int64_t out, int64_t in)
{
    return (Frozen){ .kind = FROZEN_F32, .data = data, .out = out, .in = in };
}

const float *frozen_floats(const Frozen *w)
{
    REQUIRE(w->kind == FROZEN_F32);
    return w->data;
}

static const float *row(const Frozen *w, int64_t o)
{
    return frozen_floats(w) + o * w->in;
}

void frozen_join(Frozen *w, const Frozen *behind)
{
    REQUIRE(w->kind == behind->kind && w->in == behind->in);
    REQUIRE(!w->data || row(w, w->out) == frozen_floats(behind));
    w->out += behind->out;
}

void frozen_product(float *y, int64_t ldy, const float *x, const Frozen *w, int64_t N, bool apart)
{
    if (apart)
        kernels->row_products(y, ldy, x, w->in, frozen_floats(w), w->in, N, w->out, w->in, 1, 0);
    else
        gemm_nt(y, ldy, x, w->in, frozen_floats(w), w->in, N, w->out, w->in, 1, 0);
}

void frozen_pull(float *dx, const float *g, int64_t ldg, const Frozen *w, int64_t N, float beta)
{
    gemm_nn(dx, w->in, g, ldg, frozen_floats(w), w->in, N, w->in, w->out, 1, beta);
}

void frozen_row(float *x, const Frozen *w, int64_t o)
{
    REQUIRE(o >= 0 && o < w->out);
    memcpy(x, row(w, o), (size_t)w->in * sizeof *x);
}
