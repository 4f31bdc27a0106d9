/* profile_report - what a profile (common/base/profile.h) has seen: a table of phases and kernels, and a file with the
 * calls of one step in Chrome's trace event format (chrome://tracing, ui.perfetto.dev) beside the sums of all.
 *
 * Threads: the one that computed. */
#ifndef WORKER_TRAIN_PROFILE_REPORT_H
#define WORKER_TRAIN_PROFILE_REPORT_H

#include "common/base/err.h"

/* The variable that holds the file's name, for workers that another program starts. */
#define PROFILE_VARIABLE "LORA_PROFILE"

/* Behind the choice of the arithmetic: starts the profile. path: of the first rank's file; the others have their number
 * before its ending (profile-1.json). False: it cannot be written. */
MUST_USE bool profile_report_begin(int rank, const char *path, Err *err);

/* Behind the last step; takes about 0.3 s to measure what a core can do. The first rank (0) prints its table, each writes
 * its file. arithmetic: its name. */
MUST_USE bool profile_report_end(int rank, const char *arithmetic, const char *path, Err *err);

#endif
