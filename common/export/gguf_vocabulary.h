/* gguf_vocabulary - a folder's tokenizer.json as keys of a GGUF file, as far as llama.cpp makes the same ids of it.
 *
 * Threads: any. */
#ifndef COMMON_EXPORT_GGUF_VOCABULARY_H
#define COMMON_EXPORT_GGUF_VOCABULARY_H

#include "common/export/gguf.h"
#include "common/model/arch.h"

/* False with *err: llama.cpp has no such tokenizer, or would make other ids. What it does otherwise on rare letters is
 * said through the log. */
MUST_USE bool gguf_vocabulary(Gguf *g, const ModelArch *arch, Err *err);

#endif
