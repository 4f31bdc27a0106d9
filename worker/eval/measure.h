/* measure - what the model says of a batch, counted into the metrics of its task.
 *
 * Threads: one at a time. */
#ifndef WORKER_EVAL_MEASURE_H
#define WORKER_EVAL_MEASURE_H

#include "common/metrics/metrics.h"
#include "worker/eval/generate.h"
#include "worker/model/model.h"

/* Borrows the arch's names. */
MetricsSpec measure_spec(const ModelArch *arch);

/* TOKEN_CLS: the first label that seqeval would warn of, as it is neither O nor B-, I-, E-, S- and a
 * kind; its words then count as entities by seqeval's rules all the same. NULL: none. */
const char *measure_odd_tag(const ModelArch *arch);

/* Floats of logits that model_predict writes for such a batch; 0: none are wanted (CAUSAL_LM). */
int64_t measure_logits(const ModelArch *arch, int64_t tokens, int64_t examples);

/* Predicts and adds. logits: room for measure_logits floats. */
void measure_batch(Metrics *metrics, Model *model, const Batch *batch, const float *values, float *logits);

/* CAUSAL_LM: how completions are written, for BLEU and ROUGE-L. */
typedef struct MeasureTexts {
    const GenerateOptions *options;
    const GenerateEngine *engine;
    const Tokenizer *tokenizer;
} MeasureTexts;

/* Generates what stands behind the prompt of each row (all before the last stretch that is learnt) and
 * adds it beside what stands there. */
MUST_USE bool measure_texts(Metrics *metrics, const MeasureTexts *how, const Batch *batch, Err *err);

#endif
