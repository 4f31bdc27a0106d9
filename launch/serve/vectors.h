/* vectors - embeddings of texts: POST /v1/embeddings as OpenAI has it, POST /embed and POST / as
 * text-embeddings-inference has them.
 *
 * Vectors have the length 1, as they have there. With "normalize": false (/embed, /) they are as `lora embed` writes
 * them: of length 1 where the model folder says so.
 *
 * Owner: the service. Threads: the network thread. */
#ifndef LAUNCH_SERVE_VECTORS_H
#define LAUNCH_SERVE_VECTORS_H

#include "launch/serve/service.h"

void vectors_openai(Service *service, HttpRequest *request, Refusal *refusal);
void vectors_embed(Service *service, HttpRequest *request, Refusal *refusal);

#endif
