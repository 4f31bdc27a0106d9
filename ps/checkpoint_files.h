/* checkpoint_files - the folders checkpoint-<step> of a run: their names, which there are, removing them.
 *
 * Threads: one. */
#ifndef PS_CHECKPOINT_FILES_H
#define PS_CHECKPOINT_FILES_H

#include "ps/run_state.h"

#define CHECKPOINT_PART ".tmp" /* behind the name of one that is being written */

char *checkpoint_path(const Run *run, int64_t version); /* owned by the caller */
int64_t *checkpoint_steps(const Run *run, size_t *count); /* of all of them, rising; owned by the caller */
char *checkpoint_any(const Run *run); /* path of the newest, whosoever it is; owned by the caller; NULL: none */
MUST_USE bool checkpoint_remove(const Run *run, int64_t step, Err *err);
MUST_USE bool checkpoint_remove_all(const Run *run, Err *err); /* the newest first, parts last */

#endif
