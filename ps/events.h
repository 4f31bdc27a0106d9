/* events - the newest lines that the server logged, for `lora status` and the status page.
 *
 * Owner: the server. Threads: any may log; events_json from any. One a process, as the log is. */
#ifndef PS_EVENTS_H
#define PS_EVENTS_H

#include "common/base/json.h"

/* From now on lines are kept, the newest 64 of them. */
void events_start(void);
void events_stop(void);

/* [{"number":1, "time": seconds since 1970, "level":"warn", "area":"client", "text":"..."}], the oldest first. */
json_t *events_json(void);

#endif
