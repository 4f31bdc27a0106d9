/* base - a model's files beside its config.json: is the model what it says it is?
 *
 * Every program that opens a base asks here, before a server listens or a weight is read. Transformers
 * only warns of tensors that are left over; but what belongs to the body and goes unread makes another
 * model than the one that was trained (a Qwen3 that calls itself llama loses its q_norm).
 *
 * Threads: any. */
#ifndef COMMON_MODEL_BASE_H
#define COMMON_MODEL_BASE_H

#include "common/base/text.h"
#include "common/model/arch.h"
#include "common/tensor/safetensors.h"

/* False with *err when a module's tensor is not there under any of its names (common/model/stored) or
 * has another shape, or when nothing reads a tensor that is part of the body, or of a language model's
 * head. May be absent: a new head, one of a tied pair. May be left over: the family's buffers, an unused
 * pooler, heads of other tasks (Family.idle, .heads); layers behind those that model_config asks for. */
MUST_USE bool base_check(const ModelArch *arch, const SafeTensors *files, Err *err);

/* What is to be said of a base that is used all the same, a line each: `architectures` of another
 * family than model_type; tensors beside the body that are no head of Transformers'. files NULL: they
 * are not here. */
void base_doubts(const ModelArch *arch, const SafeTensors *files, Text *out);

/* Says it, through the log. */
void base_warn(const ModelArch *arch, const SafeTensors *files);

#endif
