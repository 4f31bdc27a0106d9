/* rope - rotary positions as config.json describes them. Only common/model
 * includes this; arch_rope gives the frequencies.
 *
 * Threads: the one that opens the ModelArch. */
#ifndef COMMON_MODEL_ROPE_H
#define COMMON_MODEL_ROPE_H

#include "common/model/arch.h"

/* What arch_rope needs is in arch->config and has sense. Raises arch->positions to
 * what "dynamic" stretches the model to. */
MUST_USE bool rope_check(ModelArch *arch, Err *err);

/* What layers of a kind turn by, where rope_parameters leave it out. */
typedef struct RopeOfLayers {
    const char *key; /* of config.json: its rope_theta */
    double theta; /* and without that */
    bool scaled; /* rope_scaling is of it, too */
} RopeOfLayers;

/* rope_parameters = those of layers that see all and of those with a window: what is there, with rope_scaling over it. The key
 * of before says theta, too. */
void rope_read_kinds(ModelArch *arch, RopeOfLayers full, RopeOfLayers slides);

/* arch->rotated = the whole part of D times a factor: rope_parameters' partial_rotary_factor, else the key's, else the
 * fallback. Before rope_check. */
MUST_USE bool rope_read_part(ModelArch *arch, const char *key, double fallback, Err *err);

#endif
