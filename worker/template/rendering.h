/* rendering - one rendering of a parsed template: its variables, its output, its bounds.
 *
 * What Jinja refuses is refused with the line; so are lists that would be changed, and renderings that take more
 * than 64 MB or 20 million steps.
 *
 * Owner: the caller of template_render (render.h). Threads: one at a time. */
#ifndef WORKER_TEMPLATE_RENDERING_H
#define WORKER_TEMPLATE_RENDERING_H

#include "worker/template/parse.h"

#include <time.h>

struct Builtins; /* call.h */

/* A part of the output that stands between {% generation %} and {% endgeneration %}. */
typedef struct GeneratedPart {
    size_t begin, end;
} GeneratedPart;

typedef struct Rendering {
    Pool *pool;
    const char *where; /* of the template: lines go behind it */
    time_t now; /* for strftime_now */
    Value globals; /* a dict: the variables */
    Err *err;
    /* results: */
    Text *out;
    GeneratedPart *parts; /* [part_count], owned by the caller; free() it */
    int64_t part_count;
    /* template_render sets: */
    const struct Builtins *builtins;
    Text *main;
    int depth, macros;
    int64_t steps;
} Rendering;

enum { RENDERING_MOST_MEMORY = 64 << 20 };

/* Counts a step; false: too many, or no room for `more` bytes. */
MUST_USE bool rendering_room(Rendering *r, const TemplateNode *n, size_t more);

/* Sets the error at the node's line; false. */
bool rendering_fail(Rendering *r, const TemplateNode *n, const char *what, ...) PRINTF_LIKE(3, 4);

/* *value = the text, which is released; false: too much memory. */
MUST_USE bool rendering_text(Rendering *r, const TemplateNode *n, Text *text, Value *value);

/* An undefined value and why it is: $1 and $2 of the format are a and b. */
Value rendering_undefined(Rendering *r, const char *format, const char *a, const char *b);

/* The items of what a loop goes over: of a list, keys of a dict, characters of a string. */
MUST_USE bool rendering_items(Rendering *r, const TemplateNode *n, Value value, List *out);

#endif
