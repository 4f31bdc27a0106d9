/* classes - POST /predict, as text-embeddings-inference has it, and POST /, as Hugging Face's Inference API has it:
 * labels of texts and pairs, tags of words, classes of images.
 *
 * At /predict ["a", "b"] is one pair and [["a"], ["b"]] are two texts; at / ["a", "b"] are two texts, and a pair is
 * {"text": ..., "text_pair": ...}.
 *
 * Owner: the service. Threads: the network thread. */
#ifndef LAUNCH_SERVE_CLASSES_H
#define LAUNCH_SERVE_CLASSES_H

#include "launch/serve/service.h"

void classes_predict(Service *service, HttpRequest *request, Refusal *refusal);
void classes_root(Service *service, HttpRequest *request, Refusal *refusal);

#endif
