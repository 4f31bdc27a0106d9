/* examples - what records become: token ids with what is to be learnt from them, laid end to end, and the checks
 * that each kind of row (rows_*.h) makes before it adds one.
 *
 * Goals of a token are kept as the model wants them: TOKEN_CLS the class of the token, CAUSAL_LM the next token
 * (Transformers shifts in its loss, we shift here), -100 where nothing is learnt.
 *
 * Owner: dataset_open. Threads: one. */
#ifndef WORKER_DATA_EXAMPLES_H
#define WORKER_DATA_EXAMPLES_H

#include "common/base/numbers.h"
#include "worker/data/dataset.h"
#include "worker/data/labels.h"
#include "worker/data/questions.h"
#include "worker/template/chat_template.h"

enum { EXAMPLES_NO_GOAL = -100 };

/* Zero it, set what comes from outside, release it. */
typedef struct Examples {
    const DatasetOptions *options;
    const ModelArch *arch;
    const Tokenizer *tokenizer; /* NULL for images */
    const ChatTemplate *chat; /* MESSAGES; else NULL */
    int file; /* index of the file that is read */
    Int64s start; /* where each example begins */
    Int32s ids, types, token_goal;
    Floats goal;
    Text images;
    Int64s image_at; /* offsets into images, one an example */
    int64_t count, tokens, longest;
    int64_t shared; /* as Dataset's */
    QuestionsBuilder questions; /* QUESTIONS */
    LabelIndex classes; /* of the labels that rows have */
    /* while it works */
    Encoding encoding, prompt;
    Text joined; /* a prompt with its completion */
    Int32s labels; /* one a token of the row */
    Int32s corpus; /* BLOCKS: ids that fill no block yet */
} Examples;

void examples_release(Examples *x);

/* No examples are left; what it works with stays, and so does its room. */
void examples_clear(Examples *x);

/* There is at least one token: of an example without any nothing can be read. */
MUST_USE bool examples_check_some(const Encoding *e, Err *bad);

/* Every id is a word of the model, every type one of its types. */
MUST_USE bool examples_check_ids(const ModelArch *arch, const Encoding *e, Err *bad);

/* Parts of an example, copied; examples_end last. */
void examples_ids(Examples *x, const int32_t *ids, const int32_t *types, int64_t n);
void examples_goal(Examples *x, const float *goal);
void examples_token_goals(Examples *x, const int32_t *goals, int64_t n);
void examples_end(Examples *x, int64_t length);

/* An example of a language model: labels[n] as Transformers has them, not yet shifted. */
void examples_add_language(Examples *x, const int32_t *ids, const int32_t *labels, int64_t n);

#endif
