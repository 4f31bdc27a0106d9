/* template_lex - the text of a chat template to tokens, white space control done. */
#ifndef WORKER_DATA_TEMPLATE_LEX_H
#define WORKER_DATA_TEMPLATE_LEX_H

#include "worker/data/template_value.h"

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

typedef struct Token {
    TokenKind kind;
    int line;
    Value text; /* a string, '\0' behind it */
} Token;

/* tokens[0, count), the last is TOKEN_END; owned by the caller, texts by the pool. */
MUST_USE bool template_lex(Token **tokens, Pool *pool, const char *source, size_t n, const char *where, Err *err);

#endif
