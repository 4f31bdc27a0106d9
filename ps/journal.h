/* journal - the run's write-ahead log: every change is recorded before it is made (advance.h), so that replaying the
 * records makes it again.
 *
 * Threads: one. */
#ifndef PS_JOURNAL_H
#define PS_JOURNAL_H

#include "ps/advance.h"

/* The log anew from the version that is reached, in place of the one that is there. */
MUST_USE bool journal_start(Run *run, Err *err);

/* So too, but with where the run is in front: no checkpoint is needed below it. */
MUST_USE bool journal_cut(Run *run, Err *err);

/* Does the log hold as many steps as it may (ps.log_steps)? */
bool journal_is_long(const Run *run);

/* A record each, where the log still takes one; a failure is said, and the run goes on without. */
void journal_begin(Run *run); /* behind advance_begin */
/* Nothing, where every weight is trained. */
void journal_step(Run *run, const StepMade *step, const float *gradient);
void journal_evaluation(Run *run, const json_t *entry);

/* A log that holds its head alone is of a run that no worker ever joined: its configuration binds nobody. */
bool journal_has_begun(const Run *run);

/* Is the log of this configuration? Then its run is ours, and what it began with. */
MUST_USE bool journal_identify(Run *run, Err *err);

/* The id alone, where a log of this configuration is there: workers may wait for a run that has not begun. */
bool journal_take_id(Run *run);

size_t journal_most_record(const Run *run); /* bytes of the largest record of its log */

/* Where the log begins with a newer state than the checkpoint that was taken, takes that. */
MUST_USE bool journal_take_state(Run *run, Err *err);

/* Of a log's first record: how many records of a state are behind WAL_BEGIN. */
int64_t journal_state_records(WalType type, const void *payload, size_t size);

/* Makes the changes again that the newest checkpoint does not have, and leaves the log open for more. */
MUST_USE bool journal_replay(Run *run, Err *err);

#endif
