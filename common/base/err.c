#include "common/base/err.h"

#include "common/base/visible.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

bool err_set(Err *err, ErrKind kind, const char *what, ...)
{
    if (!err)
        return false;
    va_list args;
    va_start(args, what);
    err->kind = kind;
    vsnprintf(err->what, sizeof err->what, what, args);
    va_end(args);
    return false;
}

bool err_at(Err *err, const char *where, ...)
{
    if (!err)
        return false;
    char place[sizeof err->where], rest[sizeof err->where];
    va_list args;
    va_start(args, where);
    vsnprintf(place, sizeof place, where, args);
    va_end(args);
    memcpy(rest, err->where, sizeof rest);
    const size_t used = (size_t)snprintf(err->where, sizeof err->where, "%s", place);
    if (rest[0] != '\0' && used + 2 < sizeof err->where) {
        memcpy(err->where + used, ": ", 3);
        strncat(err->where, rest, sizeof err->where - used - 3);
    }
    return false;
}

bool err_hint(Err *err, const char *hint, ...)
{
    if (!err)
        return false;
    va_list args;
    va_start(args, hint);
    vsnprintf(err->hint, sizeof err->hint, hint, args);
    va_end(args);
    return false;
}

bool err_errno(Err *err, const char *what, ...)
{
    if (!err)
        return false;
    const int code = errno;
    va_list args;
    va_start(args, what);
    err->kind = ERR_IO;
    vsnprintf(err->what, sizeof err->what, what, args);
    va_end(args);
    const size_t used = strlen(err->what);
    snprintf(err->what + used, sizeof err->what - used, ": %s", strerror(code));
    return false;
}

int err_exit_code(const Err *err)
{
    switch (err->kind) {
    case ERR_NONE:
        return 0;
    case ERR_INPUT:
        return 2;
    case ERR_PEER:
        return 3;
    case ERR_REFUSED:
        return 4;
    case ERR_TRAINING:
        return 5;
    case ERR_IO:
    case ERR_MEMORY:
        break;
    }
    return 1;
}

static void print_part(FILE *out, const char *name, const char *text)
{
    fputs(name, out);
    visible_print(out, text);
    fputc('\n', out);
}

void err_print(const Err *err, FILE *out)
{
    print_part(out, "error: ", err->what);
    if (err->where[0] != '\0')
        print_part(out, "  at: ", err->where);
    if (err->hint[0] != '\0')
        print_part(out, "  try: ", err->hint);
}

_Noreturn void err_require_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "bug: %s:%d: '%s' does not hold\n", file, line, cond);
    abort();
}
