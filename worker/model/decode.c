#include "worker/model/decode.h"

#include "worker/layers/lanes.h"
#include "worker/model/model_parts.h"

#include <stdlib.h>
#include <string.h>

struct Decoder {
    const ModelArch *arch;
    DecodeOptions options;
    Model *model; /* borrowed */
    Lanes lanes;
    int64_t *ones; /* [lanes + 1]: 0, 1, 2, ... */
};

static bool check(const ModelArch *arch, Err *err)
{
    if (arch->head.task->speaks && arch->causal && arch->pre_norm)
        return true;
    return err_set(err, ERR_INPUT, "model_type '%s' with task_type '%s' does not write texts", arch->family->model_type,
                   config_task_name(arch->head.task->type));
}

Decoder *decode_open(Model *model, const DecodeOptions *o, Err *err)
{
    const ModelArch *arch = model->arch;
    REQUIRE(o->lanes <= model->options.most_tokens && o->longest <= model->options.longest);
    if (!check(arch, err))
        return NULL;
    Decoder *d = xcalloc(1, sizeof *d);
    *d = (Decoder){ .arch = arch, .options = *o, .model = model };
    if (!lanes_init(&d->lanes, arch, o->lanes, o->longest, err)) {
        err_hint(err, "lower data.max_length or the number of texts at a time");
        decode_close(d);
        return NULL;
    }
    d->ones = xcalloc((size_t)o->lanes + 1, sizeof *d->ones);
    for (int64_t i = 0; i <= o->lanes; i++)
        d->ones[i] = i;
    return d;
}

void decode_close(Decoder *d)
{
    if (!d)
        return;
    lanes_release(&d->lanes);
    free(d->ones);
    free(d);
}

/* ---- a feed ------------------------------------------------------------------------------ */

/* logits[count,V] of each lane's last row. */
static void speak(Decoder *d, const DecodeFeed *feed, float *logits)
{
    Pass *pass = &d->model->pass;
    VocabHead *head = &d->model->vocab_head;
    const int64_t C = d->arch->C, V = head->linear.out;
    for (int64_t i = 0; i < feed->count; i++)
        memcpy(pass->row_a + i * C, pass->x + (feed->start[i + 1] - 1) * C, (size_t)C * sizeof(float));
    for (int64_t i = 0; i < feed->count; i += head->piece) {
        const int64_t n = feed->count - i < head->piece ? feed->count - i : head->piece;
        const Rows rows = { .B = n, .N = n, .longest = 1, .start = d->ones };
        linear_forward(&head->linear, NULL, logits + i * V, V, pass->row_a + i * C, &rows, pass);
        linear_add_bias(&head->linear, logits + i * V, V, n);
    }
}

static int64_t begin(Decoder *d, const DecodeFeed *feed)
{
    int64_t longest = 0;
    for (int64_t i = 0; i < feed->count; i++) {
        int64_t *length = &d->lanes.length[feed->lane[i]];
        const int64_t n = feed->start[i + 1] - feed->start[i];
        *length = feed->first ? 0 : *length;
        REQUIRE(n > 0 && feed->lane[i] < d->options.lanes && *length + n <= d->options.longest);
        longest = n > longest ? n : longest;
        int32_t *places = d->model->pass.places;
        for (int64_t t = 0; places && t < n; t++)
            places[feed->start[i] + t] = (int32_t)(d->arch->position_offset + *length + t);
    }
    return longest;
}

void decode_feed(Decoder *d, const DecodeFeed *feed, const float *values, float *logits)
{
    Pass *pass = &d->model->pass;
    REQUIRE(feed->count > 0 && feed->count <= d->options.lanes && feed->start[0] == 0);
    REQUIRE(feed->start[feed->count] <= d->model->options.most_tokens);
    pass->rows =
        (Rows){ .B = feed->count, .N = feed->start[feed->count], .longest = begin(d, feed), .start = feed->start };
    pass->drop = false;
    model_bind(d->model, values);
    d->lanes.first = feed->first;
    d->lanes.lane = feed->lane;
    pass->lanes = &d->lanes;
    model_up(d->model, NULL, &(EmbeddingInput){ .ids = feed->ids });
    speak(d, feed, logits);
    pass->lanes = NULL; /* in the model's other calls sequences stand alone */
    for (int64_t i = 0; i < feed->count; i++)
        d->lanes.length[feed->lane[i]] += feed->start[i + 1] - feed->start[i];
}
