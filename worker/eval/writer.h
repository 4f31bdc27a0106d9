/* writer - texts on their way: each step gives every text that goes on its newest token, and prompts that begin a
 * piece each, as far as the step has room; texts join and leave between two steps.
 *
 * A text ends at an end token (left out), behind a stop string, after max_new_tokens, or where the model has no more
 * positions. What it becomes does not depend on those beside it, as far as the engine's logits do not.
 *
 * Owner: generate, serve's engine. Threads: one at a time. */
#ifndef WORKER_EVAL_WRITER_H
#define WORKER_EVAL_WRITER_H

#include "common/base/text.h"
#include "common/config/config.h"
#include "worker/eval/sample.h"
#include "worker/model/decode.h"
#include "worker/tokenizer/tokenizer.h"

enum { GENERATE_ENDS = 16 };

typedef struct GenerateOptions {
    SampleOptions sample;
    int64_t max_new_tokens;
    bool two_texts; /* a prompt is a source and, last, what the text begins behind */
    int64_t positions; /* of the model: prompt and text together */
    int32_t ends[GENERATE_ENDS]; /* end tokens */
    int end_count;
    const StringList *stop; /* may be empty; borrowed */
} GenerateOptions;

/* Whoever computes: lanes as those of worker/model/decode. */
typedef struct GenerateEngine {
    void *self;
    int64_t V, lanes, most_tokens; /* words; most texts at a time; most tokens of a feed, lanes at least */
    void (*begin)(void *self); /* before new texts: values may have changed. NULL: nothing to do */
    int64_t (*join)(void *self, Adapter *adapter, int64_t most);
    void (*leave)(void *self, int64_t lane);
    void (*feed)(void *self, const DecodeFeed *feed, float *logits);
    int64_t turn; /* a text that grows past so many tokens is read anew, as all of it turns otherwise then; 0: never */
} GenerateEngine;

typedef enum {
    WRITING_ON,
    WRITING_STOPPED, /* at an end token or behind a stop string */
    WRITING_FULL, /* there is no more room */
    WRITING_BROKEN /* its logits are not finite */
} WritingEnd;

/* A text on its way. Zeroed, with what is given set. */
typedef struct Writing {
    const GenerateOptions *options; /* given; borrowed while it is written */
    Adapter *adapter; /* given; borrowed; NULL: the engine's own */
    int64_t example; /* given: the key of its draws */
    void (*chosen)(struct Writing *writing, const float *logits); /* given; NULL: nobody. Called with each token that
                                                                     was added, and the logits it was chosen by */
    void *self; /* given: the caller's */
    int32_t *ids; /* prompt and text; owned */
    int64_t prompt, count;
    int64_t read, lane; /* tokens that the engine has; where */
    int64_t stop_at; /* bytes of the text before its stop string; -1: there is none */
    WritingEnd end;
} Writing;

typedef struct TextWriter TextWriter;

/* Borrows the engine and the tokenizer (for stop strings; NULL: there are none). NULL with *err: no memory. */
MUST_USE TextWriter *writer_open(const GenerateEngine *engine, const Tokenizer *tokenizer, Err *err);
void writer_close(TextWriter *writer);

/* Takes the prompt[count], of one token at least. */
void writing_init(Writing *writing, const int32_t *prompt, int64_t count);
void writing_release(Writing *writing);

/* A text without room for a token ends at once. False: there is no room for it now. The writing is the caller's,
 * lent until it ends or leaves. */
MUST_USE bool writer_join(TextWriter *writer, Writing *writing);
void writer_leave(TextWriter *writer, Writing *writing); /* before its end */

/* One step; true: somebody still writes. Those that end have left. */
bool writer_step(TextWriter *writer);

/* Of the last step: rows that were computed. */
int64_t writer_rows(const TextWriter *writer);

#endif
