/* builtins - every filter, test, function and method that a template can call.
 *
 * Threads: const. */
#ifndef WORKER_TEMPLATE_BUILTINS_H
#define WORKER_TEMPLATE_BUILTINS_H

#include "worker/template/call.h"

extern const Builtins template_builtins;

/* The tables that it is made of, each in the file that is named. */
extern const Function template_string_filters[], template_string_methods[]; /* strings.c */
extern const Function template_list_filters[], template_dict_methods[]; /* lists.c */
extern const Function template_value_filters[]; /* convert.c */
extern const Function template_functions[], template_loop_methods[]; /* functions.c */
extern const Function template_tests[]; /* is_tests.c */

#endif
