/* texts - /v1/completions and /v1/chat/completions, as OpenAI's clients ask and read them, whole or as a stream of
 * server-sent events. Fields that nobody knows are passed over; those that are known and not built are refused by name
 * where they are more than their default.
 *
 * Owner: the service. Threads: the network thread. */
#ifndef LAUNCH_SERVE_TEXTS_H
#define LAUNCH_SERVE_TEXTS_H

#include "launch/serve/service.h"

/* The messages of a body through the model's chat template; generation: with what begins an answer. */
bool texts_render(const Service *service, const json_t *body, bool generation, Text *text, Refusal *refusal);

void texts_complete(Service *service, HttpRequest *request, Refusal *refusal);
void texts_chat(Service *service, HttpRequest *request, Refusal *refusal);

#endif
