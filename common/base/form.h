/* form - a text with blanks that the fields of a row fill in.
 *
 *   {name}             the field
 *   {?name} ... {/}    this part only where the field is there and not empty; parts may stand in each other
 *   {{ and }}          a brace
 *
 * Threads: any. */
#ifndef COMMON_BASE_FORM_H
#define COMMON_BASE_FORM_H

#include "common/base/text.h"

/* Lends field `name` until the next call: *text stays NULL where there is none. False with *err: it is no
 * text. */
typedef bool (*FormField)(void *self, const char *name, const char **text, size_t *n, Err *err);

/* False with *err: what is wrong with it, and at which letter. */
MUST_USE bool form_check(const char *form, Err *err);

/* Adds the form, filled in, to *out. The form is one that form_check let pass. */
MUST_USE bool form_fill(const char *form, FormField field, void *self, Text *out, Err *err);

#endif
