/* gguf_model - a merged model, or an adapter of LoRA alone, as a GGUF file of llama.cpp's: which of its architectures a
 * model is, a row each, what that needs and what it computes otherwise. What llama.cpp would compute otherwise is
 * refused by the feature's name.
 *
 * Threads: one. */
#ifndef COMMON_EXPORT_GGUF_MODEL_H
#define COMMON_EXPORT_GGUF_MODEL_H

#include "common/export/gguf.h"
#include "common/slots/merged.h"

/* The whole model; name: general.name. */
MUST_USE bool gguf_model_write(const char *path, Merged *merged, const SavedModel *saved, GgufType type,
                               const char *name, Err *err);

/* A and B alone, F32 or F16, for llama.cpp's --lora beside the base as gguf_model_write wrote it. */
MUST_USE bool gguf_lora_write(const char *path, const Merged *merged, const SavedModel *saved, GgufType type,
                              const char *name, Err *err);

#endif
