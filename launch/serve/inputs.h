/* inputs - what the requests of several routes give to read: texts with or without a pair, token ids, switches.
 *
 * Owner: the service. Threads: the network thread. */
#ifndef LAUNCH_SERVE_INPUTS_H
#define LAUNCH_SERVE_INPUTS_H

#include "launch/serve/service.h"

/* How a route reads its inputs. */
typedef struct InputRules {
    const char *field; /* that they stand in, for refusals */
    bool cut; /* what is too long is cut, not refused */
} InputRules;

/* true or false; none or null: *value stays. */
bool inputs_flag(bool *value, const json_t *body, const char *key, Refusal *refusal);

/* A list of integers, and not empty. */
bool inputs_are_ids(const json_t *value);

/* Into job->encoding, as the model reads it. text, pair: strings; pair NULL: none. 422, or 413: too long. */
bool inputs_text(const Service *service, ServeJob *job, const json_t *text, const json_t *pair, const InputRules *rules,
                 Refusal *refusal);

/* The ids of a list, as they are. */
bool inputs_ids(const Service *service, ServeJob *job, const json_t *ids, const InputRules *rules, Refusal *refusal);

/* What job->encoding holds is something that the model can read: inputs_text and _ids have asked. */
bool inputs_check(const Service *service, const ServeJob *job, const InputRules *rules, Refusal *refusal);

#endif
