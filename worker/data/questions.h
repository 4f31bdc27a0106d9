/* questions - what belongs to the windows of questions beside their tokens: which question each is of, where its tokens
 * lie in the context, the contexts and the wanted answers. One block of bytes, kept with the encoded data (cache.h).
 *
 * Owner: a builder is its examples'; views borrow the data set's block. Threads: const after building. */
#ifndef WORKER_DATA_QUESTIONS_H
#define WORKER_DATA_QUESTIONS_H

#include "common/base/numbers.h"
#include "common/base/text.h"

#include <stdbool.h>

enum { QUESTIONS_NO_CONTEXT = -1 }; /* offset of a token that is not of the context */

/* Of a data set; all borrowed. */
typedef struct Questions {
    int64_t count, windows, tokens; /* of questions, of their windows, of these with their padding */
    int32_t pad_id;
    bool impossible; /* questions may have no answer */
    const int64_t *of; /* [windows] the question; those of one stand together */
    const int64_t *real; /* [windows] tokens that are no padding's */
    const int32_t *offsets; /* [tokens][2] characters of the context */
    const int64_t *first; /* [count + 1] piece of each: its context, then its answers */
    const int64_t *at; /* [pieces + 1] bytes */
    const char *bytes;
} Questions;

/* While rows are read. Zeroed is empty. */
typedef struct QuestionsBuilder {
    int32_t pad_id;
    bool impossible;
    Int64s of, real, first, at;
    Int32s offsets;
    Text bytes;
} QuestionsBuilder;

void questions_release(QuestionsBuilder *builder);
void questions_clear(QuestionsBuilder *builder); /* no questions are left; its room stays */

/* The next question, and then its texts: the context first. Copied. */
void questions_begin(QuestionsBuilder *builder);
void questions_text(QuestionsBuilder *builder, const char *text, size_t n);

/* A window of it, with offsets[n][2] of its tokens, `real` of which are no padding. */
void questions_window(QuestionsBuilder *builder, const int32_t *offsets, int64_t n, int64_t real);

/* All of it as one block, of a whole number of 8 bytes. Owned by the caller. */
void questions_pack(const QuestionsBuilder *builder, Text *block);

/* block: lent, from an address that is a multiple of 8. */
Questions questions_view(const void *block);

/* Text i of a question: 0 the context, then its answers. */
const char *questions_piece(const Questions *questions, int64_t question, int64_t i, size_t *n);
int64_t questions_answers(const Questions *questions, int64_t question); /* how many it has */

#endif
