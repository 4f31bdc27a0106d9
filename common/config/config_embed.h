/* config_embed - do the keys of FEATURE_EXTRACTION go together?
 *
 * Owner: nothing. Threads: any. */
#ifndef COMMON_CONFIG_CONFIG_EMBED_H
#define COMMON_CONFIG_CONFIG_EMBED_H

#include "common/config/config.h"

MUST_USE bool config_check_embed(const Config *config, Err *err);

/* Figures of its evaluations behind `loss`, NULL behind the last. */
const char *const *config_embed_metrics(const Config *config);

#endif
