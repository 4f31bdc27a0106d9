/* template_parser - what the two halves of the template parser share: expressions
 * (template_expression.c) and statements (template_parse.c). */
#ifndef WORKER_DATA_TEMPLATE_PARSER_H
#define WORKER_DATA_TEMPLATE_PARSER_H

#include "worker/data/template_lex.h"
#include "worker/data/template_parse.h"

enum { PARSER_DEEPEST = 200 };

typedef struct Parser {
    const Token *at;
    Pool *pool;
    const char *where;
    int depth; /* of statements and expressions in each other */
    int loops; /* for loops around this place */
    Err *err;
} Parser;

/* Each sets the error and gives NULL. */
Node *parser_fail(Parser *p, int line, const char *what, const char *subject);
Node *parser_unexpected(Parser *p);
Node *parser_unsupported(Parser *p, int line, const char *what);

Node *parser_node(Parser *p, NodeKind kind, int line);
bool parser_is_sign(const Parser *p, const char *sign);
bool parser_is_word(const Parser *p, const char *word);
bool parser_skip_sign(Parser *p, const char *sign);
bool parser_skip_word(Parser *p, const char *word);
MUST_USE bool parser_expect_sign(Parser *p, const char *sign);
const char *parser_name(Parser *p); /* the name that has to stand here */

/* NULL when an error is set. */
Node *parser_expression(Parser *p); /* with a if b else c */
Node *parser_condition(Parser *p); /* without */
Node *parser_primary(Parser *p);
Node *parser_postfix(Parser *p, Node *of);

/* One `part`, or with commas a tuple; `closed`: inside (), where it may be empty. A tuple's end is
 * a closing sign, the end of the tag, or the word `in`. */
Node *parser_tuple(Parser *p, Node *(*part)(Parser *), bool closed);

#endif
