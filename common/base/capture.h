/* capture - a program that is run to the end for what it says.
 *
 * Threads: any, before which the caller has no children that it waits for by other means. */
#ifndef COMMON_BASE_CAPTURE_H
#define COMMON_BASE_CAPTURE_H

#include "common/base/text.h"

/* Runs argv[0] (looked up in PATH when it has no slash), adds what it writes to stdout and stderr to out, and
 * gives its exit code (128 + signal for a signal) to *code. It and its children end after `seconds`: an error.
 * False with *err also when it cannot start. */
MUST_USE bool capture_run(char *const *argv, double seconds, Text *out, int *code, Err *err);

#endif
