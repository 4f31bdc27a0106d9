/* halves - the ways in which this CPU multiplies in bf16, one after the other. */
#ifndef TESTS_SUPPORT_HALVES_H
#define TESTS_SUPPORT_HALVES_H

#include "worker/kernels/levels.h"

/* The way-th of the levels with products in bf16 whose instructions this CPU has; NULL: there are no more. */
const Level *halves_level(int way);

/* A base of less than floats is multiplied in that way from now on; -1: as floats. False: there is no such way; as floats. */
bool halves_use(int way);

#endif
