/* config_man - run.yaml(5): the run file as a manual page, from the rows of keys and names.
 *
 * Threads: any. */
#ifndef COMMON_CONFIG_CONFIG_MAN_H
#define COMMON_CONFIG_CONFIG_MAN_H

#include "common/base/text.h"

void config_man(Text *out);

#endif
