/* picture - the loss of a run, drawn as SVG: training as a line, evaluations as points on another.
 *
 * Threads: any. */
#ifndef PS_PICTURE_H
#define PS_PICTURE_H

#include "common/base/json.h"
#include "common/base/text.h"

/* history: log_history. False: it has fewer than two losses, and nothing is drawn. */
bool picture_loss(Text *svg, const json_t *history);

#endif
