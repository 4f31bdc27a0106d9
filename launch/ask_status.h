/* ask_status - asks a running parameter server how far it is.
 *
 * Threads: any. */
#ifndef LAUNCH_ASK_STATUS_H
#define LAUNCH_ASK_STATUS_H

#include "common/base/err.h"

/* keys: folder or file (common/wire/keys.h); NULL: LORA_KEYS, if there is one. The server's JSON (run_status in ps/run.h), owned by the caller; NULL with *err set, after 5 s of silence. */
MUST_USE char *ask_status(const char *address, const char *keys, Err *err);

#endif
