/* Rows of tables of distances between a query and a key. In the order of operations that is given: then the edges of
 * buckets come out whole, in double as in float. */
#include "common/base/maths.h"
#include "common/model/arch.h"

#include <math.h>
#include <stdlib.h>

/* log(n / from) / log(to / from) * parts */
static double share_of(double n, double from, double to, double parts)
{
    return maths_log(n / from) / maths_log(to / from) * parts;
}

/* Half of the rows for keys behind the query, half for others; of each half the first are of one distance each, the
 * others grow with its logarithm. Source: Transformers, MPNet's relative_position_bucket. */
int64_t arch_score_row(const ModelArch *arch, int64_t distance)
{
    const Module *table = arch_module(arch, -1, ROLE_SCORE_TABLE);
    const int64_t half = table->out / 2, exact = half / 2;
    const int64_t base = distance > 0 ? half : 0, n = distance > 0 ? distance : -distance;
    if (n < exact)
        return base + n;
    const double beyond = share_of((double)n, (double)exact, (double)arch->score_furthest, (double)(half - exact));
    const int64_t row = exact + (int64_t)beyond;
    return base + (row < half ? row : half - 1);
}

/* Source: Transformers, DeBERTa's make_log_bucket_position. */
static int64_t bucket_of(const ModelArch *arch, int64_t distance)
{
    const int64_t middle = arch->distance_buckets / 2, n = distance < 0 ? -distance : distance;
    if (n <= middle)
        return distance;
    const double beyond =
        share_of((double)n, (double)middle, (double)(arch->distance_furthest - 1), (double)(middle - 1));
    const int64_t bucket = (int64_t)ceil(beyond) + middle;
    return distance < 0 ? -bucket : bucket;
}

int64_t arch_distance_row(const ModelArch *arch, int64_t distance)
{
    const int64_t span = arch->distance_span;
    const int64_t row = span + (arch->distance_buckets > 0 ? bucket_of(arch, distance) : distance);
    return row < 0 ? 0 : row >= 2 * span ? 2 * span - 1 : row;
}

/* Source: modeling_t5.T5Attention._relative_position_bucket: the logarithm in float, its divisor in double. */
int64_t arch_bucket(const ModelArch *arch, bool both_ways, int64_t distance)
{
    const int64_t n = both_ways ? arch->buckets / 2 : arch->buckets, exact = n / 2;
    const int64_t base = both_ways && distance > 0 ? n : 0;
    const int64_t far = both_ways ? llabs(distance) : distance < 0 ? -distance : 0;
    if (far < exact)
        return base + far;
    const float places = (float)maths_log((double)((float)far / (float)exact));
    const float share = places / (float)maths_log((double)arch->bucket_distance / (double)exact);
    const int64_t bucket = exact + (int64_t)(share * (float)(n - exact));
    return base + (bucket < n ? bucket : n - 1);
}
