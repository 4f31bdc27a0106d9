/* call - a call of a filter, test, method or function that a template makes: its arguments, and which builtin it is.
 *
 * Threads: a Call belongs to its rendering's thread; tables are const. */
#ifndef WORKER_TEMPLATE_CALL_H
#define WORKER_TEMPLATE_CALL_H

#include "worker/template/rendering.h"

typedef struct Call {
    Rendering *r;
    const TemplateNode *node;
    Value self; /* what is filtered, tested, or whose method it is */
    List args;
    Dict keywords;
    Value out;
} Call;

/* A builtin by its name; `names` of its parameters, a space between; "*": takes what comes. */
typedef struct Function {
    const char *name, *names;
    bool (*call)(Call *call);
    Value self; /* methods */
} Function;

/* All that a template can call. The end of a table is a name NULL; the end of a list of tables is NULL. */
typedef struct Builtins {
    const Function *filters[4], *tests[2], *functions[2];
    const Function *string_methods[2], *dict_methods[2], *loop_methods[2];
} Builtins;

/* One of a list of tables by its name; NULL: no such. */
const Function *call_find(const Function *const *tables, const char *name);

/* What {% macro %} defines: its body, the scope that it was defined in, and how it is called (render.c). */
typedef struct Macro {
    const TemplateNode *node;
    struct Scope *scope;
    bool (*call)(Rendering *r, const TemplateNode *n, const struct Macro *macro, const Call *call, Value *out);
} Macro;

/* `loop` inside of a for */
typedef struct Loop {
    const List *items;
    int64_t index;
} Loop;

/* Checks the number and names of the arguments, then calls. */
MUST_USE bool call_function(const Function *function, Call *call);

/* Arguments of a call, by place or by name. call_given: false where there is none; call_string and
 * call_whole: false with *err set where it is of another type, or missing and fallback NULL. */
bool call_given(const Call *call, int64_t i, const char *name, Value *out);
bool call_flag(const Call *call, int64_t i, const char *name);
MUST_USE bool call_string(Call *call, int64_t i, const char *name, const char *fallback, Value *out);
MUST_USE bool call_whole(Call *call, int64_t i, const char *name, int64_t fallback, int64_t *out);
MUST_USE bool call_soft(Call *call, Value *out); /* self as a string */

/* The rendering's verbs, at the line of the call. */
bool call_fail(Call *call, const char *what, ...) PRINTF_LIKE(2, 3);
MUST_USE bool call_text(Call *call, Text *text, Value *value);
MUST_USE bool call_items(Call *call, Value value, List *out);

/* obj.name (dot) or obj["name"], undefined where there is none; false: obj is undefined itself. */
MUST_USE bool call_attribute(Call *call, Value object, const char *name, bool dot, Value *out);

#endif
