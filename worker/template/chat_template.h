/* chat_template - a conversation as the one text that its model was trained on, by the model's own
 * template (Jinja 2, in the environment of Transformers' apply_chat_template).
 *
 * chat_template.jinja in the model's folder wins over tokenizer_config.json's "chat_template" (a
 * string, or a list of named ones). There is no template of last resort. The text holds the special
 * tokens: encode it with tokenizer_encode_plain.
 *
 * Owner: whoever opened it. Threads: const after opening; rendering may go on in several. */
#ifndef WORKER_TEMPLATE_CHAT_TEMPLATE_H
#define WORKER_TEMPLATE_CHAT_TEMPLATE_H

#include "common/base/err.h"
#include "common/base/json.h"
#include "common/base/text.h"

#include <stdint.h>

typedef struct ChatTemplate ChatTemplate;

/* name: of several templates; NULL: the one there is, or "default". Also reads the special tokens
 * (bos_token, eos_token, ...), which templates see as variables. */
MUST_USE ChatTemplate *chat_template_open(const char *folder, const char *name, Err *err);

/* source[0, n); errors are placed at "WHERE:LINE". Special tokens are undefined. */
MUST_USE ChatTemplate *chat_template_parse(const char *source, size_t n, const char *where, Err *err);
void chat_template_close(ChatTemplate *t);

/* The messages, behind one of the system's where they begin without one and system is not NULL. New. */
json_t *chat_with_system(const json_t *messages, const char *system);

typedef struct ChatOptions {
    bool add_generation_prompt;
    const char *bos, *eos; /* instead of the folder's; NULL: those */
    const json_t *tools; /* NULL: none */
    const json_t *variables; /* object of more variables; NULL: none */
    int64_t now; /* seconds of strftime_now; 0: this moment's */
} ChatOptions;

/* messages: array of objects with "role" and "content". Replaces *out's contents. What the template
 * refuses (raise_exception) is an error with its sentence. */
MUST_USE bool chat_template_render(const ChatTemplate *t, const json_t *messages, const ChatOptions *o, Text *out,
                                   Err *err);

/* What the assistant says: bytes [begin, end) of the text, with the marks that end its turn. */
typedef struct ChatRange {
    size_t begin, end;
} ChatRange;

/* Renders without a generation prompt and finds the assistant's parts, in order: what stands inside
 * {% generation %} where the template has it; else, for each message of the assistant, what it adds
 * to the messages before it with a generation prompt. An error when those are not the beginning of
 * the whole text (a template that rewrites earlier turns). *ranges is the caller's: free() it. */
MUST_USE bool chat_template_ranges(const ChatTemplate *t, const json_t *messages, const ChatOptions *o, Text *out,
                                   ChatRange **ranges, int64_t *count, Err *err);

#endif
