/* DESIGN. A batch goes up the stages as in a run's evaluations (worker/train/flights.h). Answers are told by the last stage
 * batch by batch; what is measured stays there until the end, and so does what went wrong: rows that come are taken, so
 * that nobody waits. */
#include "launch/session.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Kinds of messages; those of worker/train and worker/eval are others. */
enum { LOGITS = 31, FAILURE, SUMS, TEXTS, LINE };

static int last_of(const Group *stages)
{
    return stages->size - 1;
}

static bool is_last(const Session *s)
{
    return s->stages->rank == last_of(s->stages);
}

/* The last stage's failure on all; false: there is one. */
static bool share_failure(const Session *s, Err *err)
{
    group_tell(s->stages, last_of(s->stages), FAILURE, err, sizeof *err);
    return err->kind == ERR_NONE;
}

bool session_agree(const Session *s, bool ok)
{
    return s->stages ? group_agree(s->stages, ok) : ok;
}

/* ---- answers ------------------------------------------------------------------------------------------------- */

bool session_predict(Session *s, const Batch *batch, Err *err)
{
    const int64_t count = measure_logits(s->base.adapted.arch, batch->N, batch->B);
    Batch own = *batch;
    if (s->stages)
        flights_take(&s->flights, &own);
    if (!s->stages || is_last(s))
        model_predict(s->model, &own, s->values, s->logits);
    else
        flights_pass(&s->flights, &own, s->values);
    if (s->stages)
        group_tell(s->stages, last_of(s->stages), LOGITS, s->logits, (size_t)count * sizeof *s->logits);
    return sample_check(s->logits, count, err);
}

/* The last stage's texts on all. */
static void share_texts(const Session *s, Generated *texts, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        group_tell(s->stages, last_of(s->stages), TEXTS, &texts[i].count, sizeof texts[i].count);
        if (!is_last(s))
            texts[i].ids = xcalloc((size_t)texts[i].count + 1, sizeof *texts[i].ids);
        group_tell(s->stages, last_of(s->stages), TEXTS, texts[i].ids, (size_t)texts[i].count * sizeof *texts[i].ids);
    }
}

bool session_generate(Session *s, Generated *texts, const GenerateOptions *options, const GeneratePrompts *prompts,
                      TextEngine *engine, Err *err)
{
    const GenerateEngine asked = text_engine(engine);
    if (!s->stages)
        return generate(texts, options, prompts, &asked, s->base.tokenizer, err);
    memset(texts, 0, (size_t)prompts->B * sizeof *texts);
    bool ok = true;
    if (is_last(s)) {
        ok = generate(texts, options, prompts, &asked, s->base.tokenizer, err);
        text_engine_done(engine);
    } else {
        text_engine_follow(engine);
    }
    ok = share_failure(s, err) && ok;
    share_texts(s, texts, prompts->B);
    return ok;
}

/* ---- figures ------------------------------------------------------------------------------------------------- */

static bool measure(Session *s, const SessionMeasure *how, const Batch *batch, Err *err)
{
    const int64_t count = measure_logits(s->base.adapted.arch, batch->N, batch->B);
    measure_batch(how->metrics, s->model, how->answers, batch, s->values, s->logits);
    return sample_check(s->logits, count, err) && (!how->texts || measure_texts(how->metrics, how->texts, batch, err));
}

bool session_measure(Session *s, const SessionMeasure *how, const Batch *batch, Err *err)
{
    Batch own = *batch;
    if (!s->stages)
        return measure(s, how, batch, err);
    flights_take(&s->flights, &own);
    if (!is_last(s))
        flights_pass(&s->flights, &own, s->values);
    else if (s->failure.kind == ERR_NONE && !measure(s, how, &own, &s->failure))
        REQUIRE(s->failure.kind != ERR_NONE);
    if (how->texts && is_last(s))
        text_engine_done(how->engine);
    else if (how->texts)
        text_engine_follow(how->engine);
    return true;
}

bool session_settle(Session *s, Metrics *metrics, Err *err)
{
    if (!s->stages)
        return true;
    int64_t size = metrics->size;
    flights_settle(&s->flights);
    if (is_last(s))
        *err = s->failure;
    if (!share_failure(s, err))
        return false;
    group_tell(s->stages, last_of(s->stages), SUMS, &size, sizeof size);
    double *sums = xcalloc((size_t)size + 1, sizeof *sums);
    if (is_last(s))
        memcpy(sums, metrics->sums, (size_t)size * sizeof *sums);
    group_tell(s->stages, last_of(s->stages), SUMS, sums, (size_t)size * sizeof *sums);
    const bool ok = is_last(s) || metrics_merge(metrics, sums, size);
    free(sums);
    REQUIRE(ok);
    return true;
}

/* ---- what is read --------------------------------------------------------------------------------------------- */

char *session_line(const Group *stages, char *line, size_t *size)
{
    int64_t count = line ? (int64_t)*size : -1;
    group_tell(stages, 0, LINE, &count, sizeof count);
    if (count < 0)
        return NULL;
    if (stages->rank != 0)
        line = xcalloc((size_t)count + 1, 1);
    group_tell(stages, 0, LINE, line, (size_t)count);
    *size = (size_t)count;
    return line;
}
