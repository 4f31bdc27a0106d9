/* eval - the value of an expression of a template.
 *
 * Threads: the rendering's. */
#ifndef WORKER_TEMPLATE_EVAL_H
#define WORKER_TEMPLATE_EVAL_H

#include "worker/template/rendering.h"

/* Variables: of the template, of one round of a loop, of a call of a macro. */
typedef struct Scope {
    struct Scope *outer;
    Dict names;
} Scope;

MUST_USE bool eval(Rendering *r, const TemplateNode *node, const Scope *scope, Value *out);

/* A variable, else a function of that name, else undefined. */
Value eval_name(Rendering *r, const char *name, const Scope *scope);

#endif
