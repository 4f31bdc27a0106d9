/* expression - the tokens of an expression to its tree.
 *
 * Threads: the parser's. */
#ifndef WORKER_TEMPLATE_EXPRESSION_H
#define WORKER_TEMPLATE_EXPRESSION_H

#include "worker/template/parser.h"

/* NULL when an error is set. */
TemplateNode *parser_expression(Parser *p); /* with a if b else c */
TemplateNode *parser_condition(Parser *p); /* without */
TemplateNode *parser_primary(Parser *p);
TemplateNode *parser_postfix(Parser *p, TemplateNode *of);

/* One `part`, or with commas a tuple; `closed`: inside (), where it may be empty. A tuple's end is
 * a closing sign, the end of the tag, or the word `in`. */
TemplateNode *parser_tuple(Parser *p, TemplateNode *(*part)(Parser *), bool closed);

#endif
