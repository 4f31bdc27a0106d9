/* err - what went wrong, where, and what to do about it.
 *
 * An Err lives on the caller's stack, starts zeroed, and is set once, by the
 * place that knows. Callers above may add a place (err_at) or a hint, never
 * rewrite the sentence. Only a program's main prints it.
 *
 * Wording: lower case, no full stop, the fault first, the subject in quotes.
 *
 * Threads: an Err belongs to one thread. */
#ifndef COMMON_BASE_ERR_H
#define COMMON_BASE_ERR_H

#include <stdbool.h>
#include <stdio.h>

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_USE __attribute__((warn_unused_result))

typedef enum {
    ERR_NONE,
    ERR_INPUT, /* command line, run file, model, data, adapter: exit code 2 */
    ERR_IO, /* disk or network said no: exit code 1 */
    ERR_MEMORY, /* asked for more than there is: exit code 1 */
    ERR_PEER, /* the parameter server is not there: exit code 3 */
    ERR_REFUSED, /* the server refused this worker, or this machine cannot do its work: exit code 4 */
    ERR_TRAINING /* loss, gradient, base or answer is not finite: exit code 5 */
} ErrKind;

typedef struct Err {
    ErrKind kind;
    char what[2048];
    char where[768];
    char hint[2048]; /* a command to paste holds paths */
} Err;

/* Each returns false, so that `return err_set(...)` reads well. `err` may be
 * NULL where a caller does not care. */
bool err_set(Err *err, ErrKind kind, const char *what, ...) PRINTF_LIKE(3, 4);

/* Puts a place before those already there: "run.yaml:12: lora.r". */
bool err_at(Err *err, const char *where, ...) PRINTF_LIKE(2, 3);
bool err_hint(Err *err, const char *hint, ...) PRINTF_LIKE(2, 3);

/* As err_set, with ": " and strerror(errno) behind; kind ERR_IO. */
bool err_errno(Err *err, const char *what, ...) PRINTF_LIKE(2, 3);

int err_exit_code(const Err *err);

/* error: WHAT / at: WHERE / try: HINT, a line each, control characters escaped; empty parts are left out. */
void err_print(const Err *err, FILE *out);

/* A bug of ours, not the world's: prints file:line and the condition, aborts. */
#define REQUIRE(cond) ((cond) ? (void)0 : err_require_failed(#cond, __FILE__, __LINE__))
_Noreturn void err_require_failed(const char *cond, const char *file, int line);

#endif
