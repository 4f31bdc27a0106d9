/* visible - text of others (labels, cells, file names) on a terminal or in a log: what a terminal would obey, or
 * what would end the line, is written as an escape.
 *
 * Threads: any. */
#ifndef COMMON_BASE_VISIBLE_H
#define COMMON_BASE_VISIBLE_H

#include "common/base/text.h"

#include <stdio.h>

/* Control characters as \n, \r, \t, \x1b; all else as it is. */
void visible_print(FILE *out, const char *text);
void visible_add(Text *to, const char *text);

#endif
