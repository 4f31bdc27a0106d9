/* rows_kinds - the kinds of rows, and what they add examples with. Only worker/data/rows*.c includes it. */
#ifndef WORKER_DATA_ROWS_KINDS_H
#define WORKER_DATA_ROWS_KINDS_H

#include "worker/data/rows.h"

enum { ROWS_NO_GOAL = -100 };

/* Each adds a record's example, or says in *bad why there is none. */
MUST_USE bool rows_add_words(Rows *rows, const Record *r, Err *bad);
MUST_USE bool rows_add_text(Rows *rows, const Record *r, Err *bad);
MUST_USE bool rows_add_to_blocks(Rows *rows, const Record *r, Err *bad);
MUST_USE bool rows_add_completion(Rows *rows, const Record *r, Err *bad);
MUST_USE bool rows_add_messages(Rows *rows, const Record *r, Err *bad);

/* Every id is a word of the model. */
MUST_USE bool rows_check_ids(const Rows *rows, const Encoding *e, Err *bad);

/* Parts of an example, copied; rows_put_example last. */
void rows_put_ids(Rows *rows, const int32_t *ids, const int32_t *types, int64_t n);
void rows_put_goal(Rows *rows, const float *goal);
void rows_put_token_goals(Rows *rows, const int32_t *goals, int64_t n);
void rows_put_example(Rows *rows, int64_t length);

/* An example of a language model: labels[n] as Transformers has them, not yet shifted. */
void rows_put_language(Rows *rows, const int32_t *ids, const int32_t *labels, int64_t n);

#endif
