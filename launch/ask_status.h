/* ask_status - asks a running parameter server how far it is, or tells it what to do.
 *
 * Threads: any. */
#ifndef LAUNCH_ASK_STATUS_H
#define LAUNCH_ASK_STATUS_H

#include "common/base/err.h"

/* keys: folder or file (common/wire/keys.h); NULL: LORA_KEYS, if there is one. order: drain, checkpoint or stop; NULL: none.
 * The server's JSON (ps/report.h), owned by the caller; NULL with *err set, after 5 s of silence; an order is said once. */
MUST_USE char *ask_status(const char *address, const char *keys, const char *order, Err *err);

#endif
