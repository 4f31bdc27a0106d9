/* template_parse - the text of a chat template to a tree: the part of Jinja 2 that such templates
 * are written in, in the environment of Transformers (trim_blocks, lstrip_blocks, loop controls,
 * {% generation %}).
 *
 * Not in the part: include, import, extends, block, call, filter blocks, with, recursive loops,
 * *args. Each is an error that names it and its line.
 *
 * Owner: the ChatTemplate. Threads: const after parsing. */
#ifndef WORKER_TEMPLATE_PARSE_H
#define WORKER_TEMPLATE_PARSE_H

#include "worker/template/value.h"

typedef enum {
    /* statements */
    NODE_TEXT, /* value */
    NODE_PRINT, /* a */
    NODE_FOR, /* a target, b what, c condition or NULL; body, other */
    NODE_IF, /* a condition; body, other */
    NODE_SET, /* a target, b value */
    NODE_SET_BLOCK, /* a target; body */
    NODE_MACRO, /* name, a parameters (PARAMETER); body */
    NODE_GENERATION, /* body */
    NODE_BREAK,
    NODE_CONTINUE,
    /* expressions */
    NODE_CONST, /* value */
    NODE_NAME, /* name */
    NODE_LIST, /* a items */
    NODE_TUPLE, /* a items */
    NODE_DICT, /* a key, value, key, value, ... */
    NODE_ATTRIBUTE, /* a, name */
    NODE_ITEM, /* a, b index */
    NODE_SLICE, /* a, then b: begin, end, step; NODE_CONST none where left out */
    NODE_CALL, /* a, b arguments (KEYWORD: name, a) */
    NODE_FILTER, /* a, name, b arguments */
    NODE_TEST, /* a, name, b arguments */
    NODE_NOT, /* a */
    NODE_NEGATIVE, /* a */
    NODE_AND, /* a, b */
    NODE_OR, /* a, b */
    NODE_CHOICE, /* a condition, b then, c else or NULL */
    NODE_CONCAT, /* a ~ b */
    NODE_ARITHMETIC, /* name: + - * / // % **; a, b */
    NODE_COMPARE, /* a, then b: COMPARISON ... */
    NODE_COMPARISON, /* name: == != < <= > >= in "not in"; a */
    NODE_KEYWORD, /* name, a */
    NODE_PARAMETER /* name, a default or NULL */
} NodeKind;

typedef struct TemplateNode {
    NodeKind kind;
    int line;
    const char *name;
    Value value;
    struct TemplateNode *a, *b, *c, *body, *other;
    struct TemplateNode *next; /* of the list it stands in */
} TemplateNode;

/* source[0, n): valid UTF-8; *tree may be NULL for an empty template. Errors are placed at
 * "WHERE:LINE". Nodes live in the pool. */
MUST_USE bool template_parse(TemplateNode **tree, Pool *pool, const char *source, size_t n, const char *where,
                             Err *err);

#endif
