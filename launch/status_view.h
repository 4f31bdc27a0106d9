/* status_view - the state of a server (ps/report.h) as lines for a person; and what a run's folder tells where no server works.
 *
 * Owner: the caller, of what is returned. Threads: any. */
#ifndef LAUNCH_STATUS_VIEW_H
#define LAUNCH_STATUS_VIEW_H

#include "common/base/json.h"
#include "common/base/text.h"

/* Numbers a line each, then the workers, then the newest events. */
void status_view(Text *out, const json_t *status);

/* Of a folder without a server: state is "complete", with the figures of summary.json, or "stopped", with those of the
 * newest line of metrics.jsonl. NULL with *err set. */
MUST_USE json_t *status_of_folder(const char *folder, Err *err);

#endif
