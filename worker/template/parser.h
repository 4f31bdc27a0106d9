/* parser - the place in a template's tokens, and the small steps of the parser.
 *
 * Owner: template_parse, on its stack. Threads: its caller's. */
#ifndef WORKER_TEMPLATE_PARSER_H
#define WORKER_TEMPLATE_PARSER_H

#include "worker/template/lex.h"
#include "worker/template/parse.h"

enum { PARSER_DEEPEST = 200 };

typedef struct Parser {
    const TemplateToken *at;
    Pool *pool;
    const char *where;
    int depth; /* of statements and expressions in each other */
    int loops; /* for loops around this place */
    Err *err;
} Parser;

/* Each sets the error and gives NULL. */
TemplateNode *parser_fail(Parser *p, int line, const char *what, const char *subject);
TemplateNode *parser_unexpected(Parser *p);
TemplateNode *parser_unsupported(Parser *p, int line, const char *what);

TemplateNode *parser_node(Parser *p, NodeKind kind, int line);
bool parser_is_sign(const Parser *p, const char *sign);
bool parser_is_word(const Parser *p, const char *word);
bool parser_skip_sign(Parser *p, const char *sign);
bool parser_skip_word(Parser *p, const char *word);
MUST_USE bool parser_expect_sign(Parser *p, const char *sign);
const char *parser_name(Parser *p); /* the name that has to stand here */

#endif
