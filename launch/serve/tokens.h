/* tokens - what the model's tokenizer makes of texts, and texts of ids, for clients that count: POST /tokenize and
 * /detokenize in the words of whoever asks.
 *
 *   {"prompt"} or {"messages"}   vLLM: {"count", "max_model_len", "tokens": ids, "token_strs"}
 *   {"content"}                  llama-server: {"tokens": ids}, or with "with_pieces" [{"id", "piece"}]
 *   {"inputs"}                   text-embeddings-inference: [[{"id", "text", "special", "start", "stop"}]]
 *   {"tokens": ids}              back: {"prompt", "content"}, which are vLLM's word and llama-server's
 *   {"ids"}                      back, TEI's /decode: [text]
 *
 * Owner: the service. Threads: the network thread. */
#ifndef LAUNCH_SERVE_TOKENS_H
#define LAUNCH_SERVE_TOKENS_H

#include "launch/serve/service.h"

void tokens_of_text(Service *service, HttpRequest *request, Refusal *refusal);
void tokens_to_text(Service *service, HttpRequest *request, Refusal *refusal);

#endif
