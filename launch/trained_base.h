/* trained_base - is this base the one that an adapter was trained on?
 *
 * The adapter's run knows the digest of its base (common/config/run_facts). Ours is remembered beside the encoded
 * data, by the files' places, sizes and times, so that only a base that is new or was changed is read for it.
 *
 * Threads: one. */
#ifndef LAUNCH_TRAINED_BASE_H
#define LAUNCH_TRAINED_BASE_H

#include "common/slots/adapted.h"

/* False with *err: it is another. An adapter whose folder knows nothing of its base passes. The files are open. */
MUST_USE bool trained_base_check(const Adapted *base, const char *adapter, Err *err);

#endif
