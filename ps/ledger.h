/* ledger - which steps' examples a run has learnt from. With ps.mode: async a step may be overtaken by those behind it; else
 * none is, and the ledger is a number.
 *
 * Owner: the run. Threads: one. */
#ifndef PS_LEDGER_H
#define PS_LEDGER_H

#include "common/base/json.h"

#include <stdint.h>

/* Zeroed is of a run that has not begun. */
typedef struct StepLedger {
    int64_t next; /* all before it are done ... */
    int64_t *missing; /* ... but these, [count], ascending; owned */
    int count, room;
} StepLedger;

void ledger_release(StepLedger *ledger);
bool ledger_wants(const StepLedger *ledger, int64_t batch); /* not done yet, and not absurdly far ahead */
void ledger_add(StepLedger *ledger, int64_t batch); /* one that it wants */

json_t *ledger_json(const StepLedger *ledger); /* the missing ones; the caller's */

/* Of a run that has reached this version; NULL: none is missing. */
MUST_USE bool ledger_take(StepLedger *ledger, int64_t version, const json_t *missing, Err *err);

#endif
