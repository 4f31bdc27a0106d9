/* deberta - what both versions of DeBERTa read and list alike. Only common/model includes this.
 *
 * Threads: the one that opens the ModelArch. */
#ifndef COMMON_MODEL_DEBERTA_H
#define COMMON_MODEL_DEBERTA_H

#include "common/model/family.h"

extern const char *const deberta_keys[], *const deberta_idle[], *const deberta_heads[];

/* Sizes, distances, embeddings and head; distance_span 0: scores have no terms of distances. */
MUST_USE bool deberta_read(ModelArch *arch, const BertDefaults *defaults, Err *err);

void deberta_list_tables(ModelArch *arch); /* of the embeddings */
void deberta_list_distances(ModelArch *arch);
void deberta_list_head(ModelArch *arch);

#endif
