/* template_lex - the text of a chat template to tokens, white space control done.
 *
 * Owner: the tokens are the caller's, their texts the pool's. Threads: any. */
#ifndef WORKER_TEMPLATE_LEX_H
#define WORKER_TEMPLATE_LEX_H

#include "worker/template/value.h"

typedef enum {
    TOKEN_END,
    TOKEN_TEXT, /* between the tags */
    TOKEN_PRINT_BEGIN, /* {{ */
    TOKEN_PRINT_END,
    TOKEN_BLOCK_BEGIN, /* {% */
    TOKEN_BLOCK_END,
    TOKEN_NAME,
    TOKEN_STRING, /* text: its value */
    TOKEN_INT,
    TOKEN_REAL,
    TOKEN_SIGN /* text: one of ( ) [ ] { } , : . | ~ = + - * / % // ** == != < <= > >= */
} TokenKind;

typedef struct TemplateToken {
    TokenKind kind;
    int line;
    Value text; /* a string, '\0' behind it */
} TemplateToken;

/* tokens[0, count), the last is TOKEN_END; owned by the caller, texts by the pool. */
MUST_USE bool template_lex(TemplateToken **tokens, Pool *pool, const char *source, size_t n, const char *where,
                           Err *err);

#endif
