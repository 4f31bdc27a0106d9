/* inputs - the files of a run's data, as they were when it began: data_files.json in its folder has the size of each
 * and a digest of its beginning, so that a refusal of other data can say which file was changed, and how. What the
 * server cannot read (data may lie on the workers' machines alone), and folders, are left out.
 *
 * Threads: one. */
#ifndef PS_INPUTS_H
#define PS_INPUTS_H

#include "ps/run_state.h"

#define INPUTS_FILE "data_files.json"

/* Writes the file; where that fails it says so, and a refusal will know less. */
void inputs_note(const Run *run);

/* Adds what was changed in the files of a key ("data.train"), "; FILE has 20 bytes more ..." each; nothing where
 * nothing is known. */
void inputs_add_changes(const Run *run, const char *key, Text *out);

#endif
