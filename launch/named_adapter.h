/* named_adapter - adapters that stand over one session's base, each with a name: for serve, and for predict with several.
 *
 * Owner: whoever opened it. Threads: opening and closing may go on while another thread computes with the session. */
#ifndef LAUNCH_NAMED_ADAPTER_H
#define LAUNCH_NAMED_ADAPTER_H

#include "launch/session.h"
#include "worker/model/adapter.h"

/* The field of a row that names its adapter, and the name of the base by itself. */
#define ADAPTER_FIELD "adapter"
#define ADAPTER_BASE "__base__"

typedef struct NamedAdapter {
    char *name, *folder; /* folder NULL: the base alone */
    LoraConfig lora;
    Adapted adapted; /* its labels, its slots */
    float *values;
    Adapter *adapter;
} NamedAdapter;

/* "NAME=DIR". Both parts are new; false with *err set. */
MUST_USE bool named_adapter_split(const char *given, char **name, char **folder, Err *err);

/* Which of names[count] a row's field names, given[n]; NULL: it names none. -1 with *err set. */
MUST_USE int named_adapter_find(const char *const *names, int count, const char *given, size_t n, Err *err);

/* Over the session's base, of which it has to be, for its task. model: as SessionOptions.model, the base by its name.
 * folder NULL: the base alone. NULL with *err set. */
MUST_USE NamedAdapter *named_adapter_open(const Session *session, const SessionOptions *options, const char *name,
                                          const char *folder, Err *err);
void named_adapter_close(NamedAdapter *adapter);

#endif
