/* family - what a family's file gives to arch.c: its description, its reading
 * of config.json and its list of modules. Only common/model includes this.
 *
 * To add a family: a file like bert.c, and its row in arch.c's table. */
#ifndef COMMON_MODEL_FAMILY_H
#define COMMON_MODEL_FAMILY_H

#include "common/model/arch.h"

typedef struct FamilyReader {
    const Family *family;
    /* Keys of config.json that a run may override besides those that are there. */
    const char *const *keys; /* NULL-terminated */
    /* Dimensions, activation, dropouts from arch->config. */
    bool (*read)(ModelArch *arch, Err *err);
    /* All modules, in Transformers' named_modules order, by arch_add. */
    void (*list)(ModelArch *arch);
} FamilyReader;

extern const FamilyReader bert_reader;

/* Adds a module to the list; takes `path`. */
void arch_add(ModelArch *arch, char *path, const Module *module);

/* A positive whole number of config.json; the fallback is Transformers'. */
MUST_USE bool arch_size(const ModelArch *arch, const char *key, int64_t fallback, int64_t *out,
                        Err *err);

/* A probability below 1. */
MUST_USE bool arch_dropout(const ModelArch *arch, const char *key, double fallback, double *out,
                           Err *err);

/* hidden_act's name, by Transformers' ACT2CLS. */
MUST_USE bool arch_activation(const ModelArch *arch, const char *key, const char *fallback,
                              Activation *act, Err *err);

#endif
