/* rows_questions - a question with its context, and answers that are parts of it: windows over the context, each an example
 * of its own, by the rules of Transformers' run_qa.py.
 *
 * The question is whole in each window; a window goes on doc_stride tokens before the end of the one before. Its goal are
 * the first and the last token of the first answer; the place of [CLS] for both where it does not hold all of that.
 *
 * Owner: the Examples' owner. Threads: one. */
#ifndef WORKER_DATA_ROWS_QUESTIONS_H
#define WORKER_DATA_ROWS_QUESTIONS_H

#include "worker/data/examples.h"

MUST_USE bool rows_add_questions(Examples *x, const Record *record, Err *bad);

#endif
