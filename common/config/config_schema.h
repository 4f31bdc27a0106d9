/* config_schema - the run file as a JSON Schema (draft 7, which editors read), from the same rows as
 * the checks: keys with types, ranges, words, defaults and help, and the names that stand for keys.
 *
 * What needs several keys at once is not in it: `--print-config` checks that. Threads: any. */
#ifndef COMMON_CONFIG_CONFIG_SCHEMA_H
#define COMMON_CONFIG_CONFIG_SCHEMA_H

#include "common/base/json.h"

/* Owned. */
json_t *config_schema(void);

#endif
