/* sheet - a small table of texts, for a terminal and as Markdown.
 *
 * Owner: the caller. Threads: one. */
#ifndef LAUNCH_TRIALS_SHEET_H
#define LAUNCH_TRIALS_SHEET_H

#include "common/base/text.h"

enum { SHEET_COLUMNS = 16 };

/* Zeroed is empty. */
typedef struct Sheet {
    const char *titles[SHEET_COLUMNS]; /* lent; the first NULL ends them */
    char **cells; /* [rows][columns], owned */
    int columns, rows, used; /* cells of the last row that are set */
} Sheet;

/* titles: a NULL behind the last. */
void sheet_init(Sheet *sheet, const char *const *titles);
void sheet_release(Sheet *sheet);

/* The next cell, from left to right; the first behind a full row begins another. */
void sheet_put(Sheet *sheet, const char *format, ...) PRINTF_LIKE(2, 3);

/* Columns in a row; texts to the left, numbers to the right. */
void sheet_print(const Sheet *sheet, Text *out);
void sheet_markdown(const Sheet *sheet, Text *out);

#endif
