/* template_run - a parsed template and its variables to text.
 *
 * What Jinja refuses is refused here with the line; so are lists that would be changed, and
 * renderings that take more than 64 MB or 20 million steps.
 *
 * Threads: any, a Run each. */
#ifndef WORKER_DATA_TEMPLATE_RUN_H
#define WORKER_DATA_TEMPLATE_RUN_H

#include "worker/data/template_parse.h"

#include <time.h>

/* A part of the output that stands between {% generation %} and {% endgeneration %}. */
typedef struct GeneratedPart {
    size_t begin, end;
} GeneratedPart;

typedef struct Run {
    Pool *pool;
    const char *where; /* of the template: lines go behind it */
    time_t now; /* for strftime_now */
    Value globals; /* a dict: the variables */
    Err *err;
    /* results: */
    Text *out;
    GeneratedPart *parts; /* [part_count], owned by the caller; free() it */
    int64_t part_count;
    /* its own: */
    Text *main;
    int depth, macros;
    int64_t steps;
} Run;

MUST_USE bool template_run(Run *run, const Node *tree);

/* ---- between template_run.c, template_eval.c and the builtins --------------------------- */

enum { RUN_MOST_MEMORY = 64 << 20 };

struct Scope; /* variables that are in force; template_run.c's */

/* Expressions (template_eval.c) and what they ask of the variables (template_run.c). */
MUST_USE bool run_eval(Run *run, const Node *node, struct Scope *scope, Value *out);
Value run_lookup(Run *run, const char *name, const struct Scope *scope);

/* An undefined value and why it is: $1 and $2 of the format are a and b. */
Value run_undefined(Run *run, const char *format, const char *a, const char *b);

/* Counts a step; false: too many, or no room for `more` bytes. */
MUST_USE bool run_room(Run *run, const Node *node, size_t more);

/* A call of a filter, test, method or function. */
typedef struct Call {
    Run *run;
    const Node *node;
    Value self; /* what is filtered, tested, or whose method it is */
    List args;
    Dict keywords;
    Value out;
} Call;

/* A builtin by its name; `names` of its parameters, a space between. */
typedef struct Function {
    const char *name, *names;
    bool (*call)(Call *call);
    Value self; /* methods */
} Function;

const Function *template_filter(const char *name); /* NULL: no such */
const Function *template_test(const char *name);
const Function *template_function(const char *name);
const Function *template_method(ValueKind kind, const char *name);

/* Tables of template_strings.c and template_tests.c; a name NULL ends them. */
extern const Function template_string_filters[], template_string_methods[], template_tests[];

/* Arguments of a call, by place or by name. call_given: false where there is none; call_string and
 * call_whole: false with *err set where it is of another type, or missing and fallback NULL. */
bool call_given(const Call *call, int64_t i, const char *name, Value *out);
bool call_flag(const Call *call, int64_t i, const char *name);
MUST_USE bool call_string(Call *call, int64_t i, const char *name, const char *fallback, Value *out);
MUST_USE bool call_whole(Call *call, int64_t i, const char *name, int64_t fallback, int64_t *out);
MUST_USE bool call_soft(Call *call, Value *out); /* self as a string */

MUST_USE bool run_macro(Run *run, const Node *node, const struct Macro *macro, const Call *call, Value *out);

/* Checks the number and names of the arguments, then calls. */
MUST_USE bool call_function(const Function *function, Call *call);

bool run_fail(Run *run, const Node *node, const char *what, ...) PRINTF_LIKE(3, 4);

/* *value = the text, which is released; false: too much memory. */
MUST_USE bool run_text(Run *run, const Node *node, Text *text, Value *value);

/* obj.name or obj["name"], undefined where there is none; false: obj is undefined itself. */
MUST_USE bool run_attribute(Run *run, const Node *node, Value object, const char *name, bool dot, Value *out);

/* The items of what a loop goes over: of a list, keys of a dict, characters of a string. */
MUST_USE bool run_items(Run *run, const Node *node, Value value, List *out);

#endif
