/* named_adapter - adapters that stand over one session's base, each with a name: for serve, and for predict with several.
 *
 * Owner: whoever opened it. Threads: opening and closing may go on while another thread computes with the session. */
#ifndef LAUNCH_NAMED_ADAPTER_H
#define LAUNCH_NAMED_ADAPTER_H

#include "launch/session.h"
#include "worker/model/adapter.h"

typedef struct NamedAdapter {
    char *name, *folder; /* folder NULL: the base alone */
    LoraConfig lora;
    Adapted adapted; /* its labels, its slots */
    float *values;
    Adapter *adapter;
} NamedAdapter;

/* "NAME=DIR". Both parts are new; false with *err set. */
MUST_USE bool named_adapter_split(const char *given, char **name, char **folder, Err *err);

/* Over the session's base, of which it has to be, for its task. model: as SessionOptions.model, the base by its name.
 * folder NULL: the base alone. NULL with *err set. */
MUST_USE NamedAdapter *named_adapter_open(const Session *session, const SessionOptions *options, const char *name,
                                          const char *folder, Err *err);
void named_adapter_close(NamedAdapter *adapter);

#endif
