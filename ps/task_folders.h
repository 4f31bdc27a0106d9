/* task_folders - the adapter of each of several tasks by itself: FOLDER/tasks/NAME has the adapter that all share and the
 * task's own outputs, and is what anybody's tools take for an adapter of that task alone.
 *
 * Owner: the run. Threads: the server's one. */
#ifndef PS_TASK_FOLDERS_H
#define PS_TASK_FOLDERS_H

#include "ps/run_state.h"

/* Of the values in `form`; a run of one task has none. */
MUST_USE bool task_folders_write(const Run *run, const AdapterForm *form, const char *folder, Err *err);

#endif
