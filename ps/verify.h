/* verify - is what a run left on disk whole? Its log, its checkpoints, and the files of its end are read with every
 * check that going on has; nothing is changed but where it is asked for.
 *
 * Threads: one. */
#ifndef PS_VERIFY_H
#define PS_VERIFY_H

#include "common/base/text.h"

typedef struct VerifyOptions {
    const char *folder; /* output_dir */
    bool cut; /* a damaged log loses what is behind the damage, of which a copy stays (wal/log.damaged) */
} VerifyOptions;

/* A line a file in *out: "ok" or "DAMAGED", which, and what that means. False: something is damaged (ERR_IO), or the
 * folder holds no run. */
MUST_USE bool verify_run(const VerifyOptions *options, Text *out, Err *err);

#endif
