/* must - what a test cannot go on without. */
#ifndef TESTS_SUPPORT_MUST_H
#define TESTS_SUPPORT_MUST_H

#include "common/base/err.h"

/* The test fails with the error's three sentences unless ok. */
void must(bool ok, const Err *err);

#endif
