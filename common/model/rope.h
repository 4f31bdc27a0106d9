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

/* both[kind] = what layers of a kind turn by: rope_parameters' own, with what `scaling` (NULL: nothing) says over it, and
 * where no rope_theta is in it config.json's `key`, else theta. */
void rope_read_kind(json_t *both, const ModelArch *arch, const char *kind, const json_t *scaling, const char *key,
                    double theta);

/* arch->rotated = the whole part of D times a factor: rope_parameters' partial_rotary_factor, else the key's, else the
 * fallback. Before rope_check. */
MUST_USE bool rope_read_part(ModelArch *arch, const char *key, double fallback, Err *err);

#endif
