/* session - a model with an adapter, in one process, ready to be asked: for eval and predict.
 *
 * Owner: a command. Threads: one. */
#ifndef LAUNCH_SESSION_H
#define LAUNCH_SESSION_H

#include "common/config/config.h"
#include "worker/data/pictures.h"
#include "worker/eval/engine.h"
#include "worker/model/model.h"
#include "worker/open/opened.h"

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
} SessionOptions;

typedef struct Session {
    Opened base;
    LoraConfig lora; /* read from the adapter */
    void *frozen; /* base.weights.data, owned */
    float *values; /* of the adapter; NULL: base alone */
    Model *model;
    int64_t max_length, most_tokens;
    bool whole; /* as the options */
    BatchRoom room;
    ImageProcess process; /* of a model of images */
    float *logits; /* measure_logits(most_tokens) */
} Session;

MUST_USE bool session_open(Session *session, const SessionOptions *options, Err *err);
/* What the adapter's method adds to a loss: AdaLoRA's regulariser, of the triplets that its file has. */
double session_penalty(const Session *session);

void session_close(Session *session);

/* Logits of a batch as model_predict writes them, in session->logits. False with *err: they are not finite. */
MUST_USE bool session_predict(Session *session, const Batch *batch, Err *err);

/* An engine that writes texts of up to max_length tokens with the session's model and adapter, which it
 * borrows; lanes: of the options at the most. */
MUST_USE bool session_writes(Session *session, TextEngine *engine, int64_t lanes, Err *err);

#endif
