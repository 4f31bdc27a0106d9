/* measure - what the model says of a batch, counted into the metrics of its task.
 *
 * Threads: one at a time. */
#ifndef WORKER_EVAL_MEASURE_H
#define WORKER_EVAL_MEASURE_H

#include "common/metrics/metrics.h"
#include "worker/eval/generate.h"
#include "worker/eval/measure_answers.h"
#include "worker/eval/references.h"
#include "worker/model/model.h"

/* Borrows the arch's names. */
MetricsSpec measure_spec(const ModelArch *arch);

/* TOKEN_CLS: the first label that seqeval would warn of, as it is neither O nor B-, I-, E-, S- and a
 * kind; its words then count as entities by seqeval's rules all the same. NULL: none. */
const char *measure_odd_tag(const ModelArch *arch);

/* Floats of logits that model_predict writes for such a batch; 0: none are wanted (CAUSAL_LM). */
int64_t measure_logits(const ModelArch *arch, int64_t tokens, int64_t examples);

/* Predicts and adds. logits: room for measure_logits floats. answers: of QUESTION_ANS, else not looked at. */
void measure_batch(Metrics *metrics, Model *model, MeasureAnswers *answers, const Batch *batch, const float *values,
                   float *logits);

/* CAUSAL_LM: how completions are written, for BLEU and ROUGE-L. */
typedef struct MeasureTexts {
    const GenerateOptions *options;
    const GenerateEngine *engine;
    const Tokenizer *tokenizer;
    const References *references; /* of all rows that are evaluated */
} MeasureTexts;

/* Generates what follows the prompts of the batch's rows, once where several rows ask the same, and adds it
 * beside what they want. */
MUST_USE bool measure_texts(Metrics *metrics, const MeasureTexts *how, const Batch *batch, Err *err);

#endif
