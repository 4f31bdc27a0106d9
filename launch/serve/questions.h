/* questions - POST /predict and POST / of models that answer questions: {"inputs": {"question": ..., "context": ...}},
 * as Hugging Face's Inference API has it, or a list of these. A long context is read in windows, as `lora predict`
 * does (without padding); each is a job.
 *
 * Owner: the service. Threads: the network thread. */
#ifndef LAUNCH_SERVE_QUESTIONS_H
#define LAUNCH_SERVE_QUESTIONS_H

#include "launch/serve/service.h"

void questions_predict(Service *service, HttpRequest *request, Refusal *refusal);

#endif
