/* config_check - what no key can say alone: values that contradict each other.
 *
 * It looks at values, not at who set them, so that a printed configuration
 * passes if the one it was printed from did.
 *
 * Threads: the one that loads. */
#ifndef COMMON_CONFIG_CONFIG_CHECK_H
#define COMMON_CONFIG_CONFIG_CHECK_H

#include "common/config/config.h"

MUST_USE bool config_check(const Config *config, Err *err);

#endif
