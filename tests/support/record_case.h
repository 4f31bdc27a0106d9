/* record_case - files of rows, as texts to compare. */
#ifndef TESTS_SUPPORT_RECORD_CASE_H
#define TESTS_SUPPORT_RECORD_CASE_H

#include "worker/data/records.h"

extern char record_folder[]; /* of the test's files */

/* For cmocka_run_group_tests. */
int record_case_begin(void **state);
int record_case_end(void **state);

/* Its path, owned. */
char *put_file(const char *name, const char *bytes, size_t n);

/* Adds the row to the Text `self`: "LINE text|pair|label" (<NUL> where one is), "LINE word/tag word/tag", "LINE !what @where". */
bool record_note(void *self, const Record *record, Err *bad, Err *err);

void expect_rows(const char *path, const RecordColumns *columns, const char *want);
void expect_bytes(const char *name, const char *bytes, size_t n, const RecordColumns *columns, const char *want);
void expect_file(const char *name, const char *bytes, const RecordColumns *columns, const char *want);

/* Refused as a whole, in these words. */
void expect_refused(const char *name, const char *bytes, const RecordColumns *columns, const char *what,
                    const char *hint);

#endif
