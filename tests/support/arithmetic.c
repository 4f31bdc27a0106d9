/* Before a test's main: the best arithmetic, or LORA_ARITHMETIC's. */
#include "worker/arithmetic/arithmetic.h"

#include <stdio.h>
#include <stdlib.h>

__attribute__((constructor)) static void start(void)
{
    Arithmetic arithmetic;
    Err err = { 0 };
    if (arithmetic_start(&arithmetic, NULL, false, false, &err))
        return;
    err_print(&err, stderr);
    exit(1);
}
