#include "tests/support/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

void must(bool ok, const Err *err)
{
    if (!ok)
        fail_msg("%s | %s | %s", err->what, err->where, err->hint);
}
