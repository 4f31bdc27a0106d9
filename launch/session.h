/* session - a model with an adapter, ready to be asked: for eval and predict. In one process; or each rank of a job holds a
 * stage of the model, all run the same command over the same input, and what the last stage finds is told to all.
 *
 * Owner: a command. Threads: one. Collective: over the job, where ranks hold stages: every function here but session_open
 * and session_close, called by all alike. */
#ifndef LAUNCH_SESSION_H
#define LAUNCH_SESSION_H

#include "common/config/config.h"
#include "worker/comm/split.h"
#include "worker/data/pictures.h"
#include "worker/eval/engine.h"
#include "worker/eval/measure.h"
#include "worker/model/model.h"
#include "worker/open/opened.h"
#include "worker/train/flights.h"

typedef struct SessionOptions {
    const char *model; /* folder or hub name; NULL: what the adapter says it was made for */
    const char *adapter; /* folder, also of a model that was trained whole; NULL: the base model alone */
    bool other_base; /* it need not be the one that the adapter was trained on */
    TaskType task;
    const json_t *model_config;
    const StringList *labels; /* may be empty */
    int64_t label_count; /* 0: from the adapter's head, else the model's config */
    ProblemType problem;
    int64_t max_length, most_tokens;
    int64_t lanes; /* texts that it will write at a time (session_writes); 0: one */
    int threads; /* 0: all cores */
    int64_t most_rank, most_labels; /* of adapters beside the session's (named_adapter.h); 0: none come */
    EmbedHead embed; /* of a task that embeds */
    Precision precision; /* of the base, as the adapter's run had it */
    LossOptions loss; /* of measurements */
    const DataTasks *tasks; /* of a run of several; NULL, or none: one */
    const json_t *class_weights; /* of the run file, which have to fit the model; NULL: none */
    bool whole; /* set where the adapter is a model that was trained whole */
    const char *arithmetic; /* parallel.arithmetic; NULL: this machine's best */
    int64_t room; /* bytes that the base may take in this process (fit_room); 0: as many as there are */
    const Groups
        *groups; /* of a job whose ranks hold a stage each, borrowed while the session is open; NULL: one process */
} SessionOptions;

typedef struct Session {
    Opened base;
    LoraConfig lora; /* read from the adapter */
    void *frozen; /* base.weights.data, owned */
    float *values; /* of the adapter, as far as the model holds it; NULL: base alone */
    double penalty; /* what the adapter's method adds to a loss: AdaLoRA's regulariser, of the triplets of its file */
    Model *model;
    int64_t max_length, most_tokens;
    bool whole; /* as the options */
    BatchRoom room;
    ImageProcess process; /* of a model of images */
    float *logits; /* measure_logits(most_tokens) */
    const Group *stages; /* NULL: the model is whole */
    Flights flights; /* rows that go up the stages */
    Err failure; /* the last stage's, until it is told */
} Session;

MUST_USE bool session_open(Session *session, const SessionOptions *options, Err *err);
void session_close(Session *session);

/* Logits of a batch as model_predict writes them, in session->logits. False with *err: they are not finite. */
MUST_USE bool session_predict(Session *session, const Batch *batch, Err *err);

/* What a batch is measured with. */
typedef struct SessionMeasure {
    Metrics *metrics; /* of the last stage, until session_settle */
    MeasureAnswers *answers;
    const MeasureTexts *texts; /* NULL: none are written */
    TextEngine *engine; /* of texts */
} SessionMeasure;

/* True where it is on all stages: before the first batch. */
bool session_agree(const Session *session, bool ok);

/* Adds what the model says of a batch. False with *err: it is not finite, or texts could not be written. */
MUST_USE bool session_measure(Session *session, const SessionMeasure *how, const Batch *batch, Err *err);

/* Behind the last batch: all have the metrics. */
MUST_USE bool session_settle(Session *session, Metrics *metrics, Err *err);

/* generate() by the engine of session_writes. */
MUST_USE bool session_generate(Session *session, Generated *texts, const GenerateOptions *options,
                               const GeneratePrompts *prompts, TextEngine *engine, Err *err);

/* The first rank's line[size] on all: `line` itself there, elsewhere a copy, owned; NULL behind the last. Collective:
 * over the stages. */
char *session_line(const Group *stages, char *line, size_t *size);

/* An engine that writes texts of up to max_length tokens with the session's model and adapter, which it
 * borrows; lanes: of the options at the most. Not collective. */
MUST_USE bool session_writes(Session *session, TextEngine *engine, int64_t lanes, Err *err);

#endif
