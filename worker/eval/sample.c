#include "worker/eval/sample.h"
#include "common/base/maths.h"

#include "common/base/mem.h"
#include "common/base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLE_STREAM = 0x67656e }; /* "gen": none of the streams of dropout */

bool sample_broken(Err *err)
{
    err_set(err, ERR_TRAINING, "the model's logits are not finite");
    return err_hint(err, "weights of the base or of the adapter are too large: did its training diverge?");
}

bool sample_check(const float *logits, int64_t count, Err *err)
{
    return maths_not_finite(logits, count) == count || sample_broken(err);
}

void sampler_release(Sampler *sampler)
{
    free(sampler->tokens);
    free(sampler->seen);
    sampler->tokens = NULL;
    sampler->seen = NULL;
    sampler->count = sampler->room = 0;
}

static void reserve(Sampler *s, int64_t V)
{
    if (s->room >= V)
        return;
    s->room = V;
    s->tokens = xrealloc(s->tokens, (size_t)V * sizeof *s->tokens);
    s->seen = xrealloc(s->seen, (size_t)V * sizeof *s->seen);
    memset(s->seen, 0, (size_t)V * sizeof *s->seen);
}

static int likeliest_first(const void *a, const void *b)
{
    const SampleToken *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit < y->logit ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

/* How often each token of ids[0, n) occurs, to seen. */
static void count_seen(Sampler *s, const int32_t *ids, int64_t n, int64_t V)
{
    for (int64_t i = 0; i < n; i++)
        if (ids[i] >= 0 && ids[i] < V)
            s->seen[ids[i]]++;
}

/* Takes the count of a token, so that it is met once. */
static int32_t take_seen(Sampler *s, int32_t id, int64_t V)
{
    const int32_t count = id >= 0 && id < V ? s->seen[id] : 0;
    if (count > 0)
        s->seen[id] = 0;
    return count;
}

/* Tokens that have occurred: above 0 divided, below 0 multiplied. */
static void penalize_repetition(Sampler *s, const int32_t *ids, int64_t n, int64_t V)
{
    const float penalty = (float)s->o.repetition_penalty;
    count_seen(s, ids, n, V);
    for (int64_t i = 0; i < n; i++) {
        if (take_seen(s, ids[i], V) == 0)
            continue;
        SampleToken *t = &s->tokens[ids[i]];
        t->logit = t->logit < 0.0f ? t->logit * penalty : t->logit / penalty;
    }
}

/* Tokens of the text, by how often they have occurred. */
static void penalize_text(Sampler *s, const int32_t *ids, int64_t n, int64_t V)
{
    count_seen(s, ids, n, V);
    for (int64_t i = 0; i < n; i++) {
        const int32_t count = take_seen(s, ids[i], V);
        if (count > 0)
            s->tokens[ids[i]].logit -= (float)(count * s->o.frequency_penalty + s->o.presence_penalty);
    }
}

/* The likeliest to the front without sorting the rest. */
static void best_first(Sampler *s)
{
    int64_t best = 0;
    for (int64_t i = 1; i < s->count; i++)
        if (s->tokens[i].logit > s->tokens[best].logit)
            best = i;
    s->tokens[0] = s->tokens[best];
    s->count = 1;
}

/* Those as likely as the k-th, or likelier. Sorted. */
static void keep_top_k(Sampler *s)
{
    qsort(s->tokens, (size_t)s->count, sizeof *s->tokens, likeliest_first);
    int64_t k = s->o.top_k;
    if (k == 0 || k >= s->count)
        return;
    while (k < s->count && s->tokens[k].logit == s->tokens[s->o.top_k - 1].logit)
        k++;
    s->count = k;
}

static double weights(const Sampler *s)
{
    double sum = 0;
    for (int64_t i = 0; i < s->count; i++)
        sum += maths_exp((double)(s->tokens[i].logit - s->tokens[0].logit));
    return sum;
}

/* The fewest whose probabilities reach top_p: one goes when it and all less likely ones together
 * have at most 1 - top_p. */
static void keep_top_p(Sampler *s)
{
    if (s->o.top_p >= 1.0)
        return;
    const double sum = weights(s);
    double tail = 0;
    while (s->count > 1) {
        tail += maths_exp((double)(s->tokens[s->count - 1].logit - s->tokens[0].logit)) / sum;
        if (tail > 1.0 - s->o.top_p)
            break;
        s->count--;
    }
}

/* Those that are at least min_p times as likely as the likeliest. */
static void keep_min_p(Sampler *s)
{
    while (s->count > 1 && maths_exp((double)(s->tokens[s->count - 1].logit - s->tokens[0].logit)) < s->o.min_p)
        s->count--;
}

void sampler_process(Sampler *s, const float *logits, int64_t V, const int32_t *ids, int64_t n)
{
    reserve(s, V);
    s->count = V;
    for (int64_t i = 0; i < V; i++)
        s->tokens[i] = (SampleToken){ (int32_t)i, logits[i] };
    for (int64_t i = 0; i < s->o.bias_count; i++)
        s->tokens[s->o.bias[i].id].logit += s->o.bias[i].bias;
    if (s->o.repetition_penalty != 1.0)
        penalize_repetition(s, ids, n, V);
    if ((s->o.presence_penalty != 0 || s->o.frequency_penalty != 0) && n > s->prompt)
        penalize_text(s, ids + s->prompt, n - s->prompt, V);
    if (!s->o.do_sample) {
        best_first(s);
        return;
    }
    if (s->o.temperature != 1.0)
        for (int64_t i = 0; i < V; i++)
            s->tokens[i].logit /= (float)s->o.temperature;
    keep_top_k(s);
    keep_top_p(s);
    keep_min_p(s);
}

int32_t sampler_next(Sampler *s, const float *logits, int64_t V, const int32_t *ids, int64_t n, int64_t example)
{
    sampler_process(s, logits, V, ids, n);
    if (s->count == 1)
        return s->tokens[0].id;
    double left = weights(s) * (double)rng_uniform(rng_key(s->o.seed, n, example, SAMPLE_STREAM), 0);
    int64_t i = 0;
    for (; i < s->count - 1; i++) {
        left -= maths_exp((double)(s->tokens[i].logit - s->tokens[0].logit));
        if (left < 0)
            break;
    }
    return s->tokens[i].id;
}
