/* metrics - evaluation as sums that add, so that it can be spread over workers and is exact.
 *
 * A chunk of the validation set gives one row of doubles, at most `metrics_width` of them; rows
 * are added in chunk order and turned into figures at the end. Counts are whole numbers, so only
 * the order of the chunks matters, not who measured them.
 *
 *   all        [0] examples  [1] sum of losses  [2] what that is divided by
 *   classes    confusion[L*L] (goal, guess)                        SEQ_CLS, IMAGE_CLS
 *              of several tasks behind it sum of losses[L] by goal, without smoothing and weights
 *   multi      exact matches, then L times (true pos, false pos, false neg)
 *   regression pairs (guess, goal) of the chunk: rows are joined, not added
 *   tags       labelled tokens, right ones, entities: both, guessed, wanted      TOKEN_CLS
 *   tokens     predicted tokens, sum of losses without smoothing, then of generated texts: their number, BLEU's words here and in
 *              the nearest reference, n-grams matched[4], n-grams[4], sum of ROUGE-L  CAUSAL_LM
 *   embeddings of each row its texts' and its score: rows are joined, not added       FEATURE_EXTRACTION
 *
 *   answers    questions, sums of exact matches and of F1, those that may have no answer, those that have one, their sums
 *              QUESTION_ANS, whose examples are windows of questions
 *
 * Definitions: scikit-learn's (f1, precision and recall binary for 2 labels, macro for more,
 * 0 where undefined; matthews as matthews_corrcoef), scipy's pearson and spearman, seqeval's
 * (entities.h), sacrebleu's and rouge_score's (overlap.h), those of
 * embeddings in embeddings.h. `loss` is a mean over examples, for
 * TOKEN_CLS and CAUSAL_LM over tokens, by the weights of their classes where those have some; perplexity is the
 * exponential of what it is without smoothing.
 *
 * Owner: whoever measures. Threads: one at a time. */
#ifndef COMMON_METRICS_METRICS_H
#define COMMON_METRICS_METRICS_H

#include "common/config/config.h"
#include "common/metrics/figure.h"

#include <stdint.h>

/* What is measured; names are borrowed and must outlive the Metrics. */
typedef struct MetricsSpec {
    TaskType task;
    ProblemType problem; /* SEQ_CLS, IMAGE_CLS */
    int64_t labels; /* outputs of the head; CAUSAL_LM: not used */
    const char *const *label_names; /* [labels], TOKEN_CLS only; else may be NULL */
    EmbedHead embed; /* FEATURE_EXTRACTION; labels: its width */
    const TaskLabels *tasks; /* [task_count] whose classes the labels are, one behind the other; NULL: one task's */
    int task_count;
} MetricsSpec;

typedef struct Metrics {
    MetricsSpec spec;
    double *sums; /* owned */
    int64_t size, room; /* doubles in sums */
} Metrics;

void metrics_init(Metrics *m, const MetricsSpec *spec);
void metrics_release(Metrics *m);
void metrics_clear(Metrics *m);

/* A sum of losses, and what it is divided by: how many they are of, or the weights of their classes. */
typedef struct MetricsLoss {
    double sum, weight;
} MetricsLoss;

/* SEQ_CLS, IMAGE_CLS: adds B examples: logits[B, labels], goal as in worker/model's Batch. */
void metrics_add(Metrics *m, const float *logits, const float *goal, int64_t B, MetricsLoss loss);

/* TOKEN_CLS: B sentences of start[B+1] tokens, logits[N, labels]; goal[N] is a label or -100. The
 * tags of a sentence are its labelled tokens, in order. loss: of labelled tokens. */
void metrics_add_tags(Metrics *m, const float *logits, const int32_t *goal, const int64_t *start, int64_t B,
                      MetricsLoss loss);

/* QUESTION_ANS: the loss of B windows. Their questions' answers come one by one. */
void metrics_add_windows(Metrics *m, int64_t B, MetricsLoss loss);

typedef struct MetricsAnswer {
    double exact, f1; /* 0 to 1 */
    bool impossible; /* its question may have no answer */
    bool has; /* it has one */
} MetricsAnswer;
void metrics_add_answer(Metrics *m, const MetricsAnswer *answer);

/* CAUSAL_LM: loss is the sum over the `tokens` predicted tokens of B sequences; plain: without smoothing. */
void metrics_add_tokens(Metrics *m, int64_t B, int64_t tokens, double loss, double plain);

/* CAUSAL_LM: one generated text beside references[count >= 1], all valid UTF-8 and without
 * special tokens. Does not count as an example: call metrics_add_tokens too. */
void metrics_add_text(Metrics *m, const char *text, const char *const *references, int64_t count);

/* FEATURE_EXTRACTION: e[B * columns, C] of the texts of B rows, score[B * columns] as the data set has it. */
void metrics_add_embeddings(Metrics *m, const float *e, const float *score, int64_t B);

/* Adds what another Metrics of the same spec summed; false when the size does not fit. */
bool metrics_merge(Metrics *m, const double *sums, int64_t size);

/* Most doubles that a chunk of `examples` can take. */
int64_t metrics_width(const MetricsSpec *spec, int64_t examples);

enum { METRICS_FIGURES = 8 };

/* figures[0, return value): `loss`, then
 *   classes and TOKEN_CLS  accuracy f1 precision recall, classes also matthews
 *   multi label            accuracy f1 precision recall
 *   regression             mse pearson spearman
 *   FEATURE_EXTRACTION     those of embeddings.h
 *   QUESTION_ANS           exact_match f1 (0..100); where there may be no answer, HasAns_exact HasAns_f1 and NoAns_exact
 *                          NoAns_f1 of those questions that there are
 *   CAUSAL_LM              perplexity, and with generated texts bleu (0..100), rougeL (0..1) */
int metrics_figures(const Metrics *m, Figure figures[METRICS_FIGURES]);

/* The same of one of several tasks, among its own labels: its mean loss, without smoothing and weights, then as of classes.
 * (metrics_figures then has the means of these over the tasks, behind the loss of all.) */
int metrics_task_figures(const Metrics *m, int task, Figure figures[METRICS_FIGURES]);

#endif
