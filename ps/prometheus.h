/* prometheus - a report (ps/report.h) in Prometheus' text format, by its conventions: base units, `_total` for what
 * only grows, a HELP and a TYPE for each name.
 *
 * Threads: any. */
#ifndef PS_PROMETHEUS_H
#define PS_PROMETHEUS_H

#include "common/base/json.h"
#include "common/base/text.h"

void prometheus_write(Text *out, const json_t *report);

#endif
