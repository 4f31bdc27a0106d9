/* folder - a folder of a test's own, in memory where there is such a place: what is tested in it is not the disk. */
#ifndef TESTS_SUPPORT_FOLDER_H
#define TESTS_SUPPORT_FOLDER_H

char *test_folder_new(void); /* its path, the caller's */

/* A file of this text in it. */
void test_folder_write(const char *folder, const char *name, const char *text);

/* Removes it with all that is in it, and frees the path. */
void test_folder_drop(char *folder);

/* Before and behind a group of tests: data sets that they open are kept in a folder of their own. */
int test_cache_new(void **state);
int test_cache_drop(void **state);

#endif
