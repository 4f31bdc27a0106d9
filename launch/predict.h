/* predict - what `lora predict` answers, a file a task: predict_texts.c, predict_words.c,
 * predict_images.c, predict_prompts.c, predict_questions.c. One JSON line an input line, on stdout.
 *
 * Owner: cmd_predict.c. Threads: one. */
#ifndef LAUNCH_PREDICT_H
#define LAUNCH_PREDICT_H

#include "common/base/json.h"
#include "launch/named_adapter.h"
#include "worker/data/records.h"
#include "worker/data/source.h"

#include <stdio.h>

enum { PREDICT_BATCH = 64 }; /* answered together, in order */

typedef struct PredictInput {
    FILE *file; /* its lines; NULL: a folder */
    const char *path; /* NULL: standard input, where each line is answered at once */
    const char *name; /* for errors */
    bool logits; /* print them too */
    int64_t most_answers; /* QUESTION_ANS: print so many of the best ones, too */
    const Config *run; /* of the adapter; defaults where it has none */
    NamedAdapter *const *named; /* [named_count] several adapters: each row says which (its field "adapter") */
    int named_count;
    const Group *stages; /* whose first rank alone reads standard input; NULL: one process */
    const char *prompt; /* stands before every text; NULL: nothing */
} PredictInput;

/* Opens what input->path names, or standard input. *packed: what input->file reads where that is a .gz or .zst file. */
MUST_USE bool predict_open(PredictInput *input, Source *packed, Err *err);
void predict_close(PredictInput *input, Source *packed);

/* Lines: a text, or two with a TAB between; or the texts of a .csv, .tsv, .jsonl or .json file, or of class
 * folders, by the run's columns. */
MUST_USE bool predict_texts(Session *session, const PredictInput *input, Err *err);

/* Called with what the model makes of each text (measure_logits), in order. */
typedef bool (*PredictGive)(void *self, const float *logits, Err *err);

/* The same texts, or those of another column. */
MUST_USE bool predict_each(Session *session, const PredictInput *input, const char *column, PredictGive give,
                           void *self, Err *err);

/* Lines of words between spaces; or a .conll, .jsonl or .json file. */
MUST_USE bool predict_words(Session *session, const PredictInput *input, Err *err);

/* An image, a folder of them, or lines that are paths of images (relative to the working folder). */
MUST_USE bool predict_images(Session *session, const PredictInput *input, Err *err);

/* Lines are prompts; or a .jsonl, .json, .csv or .tsv file with the run's prompts or conversations. One prompt
 * gets the same text whatever stands beside it. */
MUST_USE bool predict_prompts(Session *session, const PredictInput *input, Err *err);

/* Questions with their contexts: rows of a .json (SQuAD's own too), .jsonl, .csv or .tsv file, or lines with a TAB between.
 * Answers have their place in characters of the context. */
MUST_USE bool predict_questions(Session *session, const PredictInput *input, Err *err);

/* Called with each line of the input, without its end. */
typedef bool (*PredictLine)(void *self, const char *line, size_t n, Err *err);
MUST_USE bool predict_lines(const PredictInput *input, PredictLine visit, void *self, Err *err);

/* Whether the input is a file with rows of this kind, and not one of lines. */
bool predict_as_rows(const PredictInput *input, RowKind kind);

/* Called with each row; the first that cannot be read is an error. */
typedef bool (*PredictRow)(void *self, const Record *record, Err *err);
MUST_USE bool predict_rows(const PredictInput *input, const RecordColumns *columns, PredictRow visit, void *self,
                           Err *err);

/* Of several adapters the row's; NULL with *err set. */
MUST_USE NamedAdapter *predict_adapter(const PredictInput *input, const Record *record, Err *err);

/* Logits of examples that have an adapter each, in their order, each of its adapter's labels: into logits, which has
 * room for them all. False with *err: they are not finite. */
MUST_USE bool predict_mixed(Session *session, const Batch *batch, NamedAdapter *const *named, float *logits, Err *err);

/* Label and probabilities of an example; new. */
json_t *predict_classes(const ModelArch *arch, const float *logits, bool with_logits);

/* Class with the largest logit. */
int64_t predict_best(const float *logits, int64_t labels);

/* Takes line. */
MUST_USE bool predict_print(json_t *line, Err *err);

#endif
