#include "ps/ledger.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_MISSING = 1 << 20 };

void ledger_release(StepLedger *ledger)
{
    free(ledger->missing);
    *ledger = (StepLedger){ 0 };
}

/* Its place among the missing ones; count: it is none of them. */
static int find(const StepLedger *ledger, int64_t batch)
{
    int i = 0;
    while (i < ledger->count && ledger->missing[i] != batch)
        i++;
    return i;
}

static void miss(StepLedger *ledger, int64_t batch)
{
    if (ledger->count == ledger->room) {
        ledger->room = ledger->room ? 2 * ledger->room : 16;
        ledger->missing = xrealloc(ledger->missing, (size_t)ledger->room * sizeof *ledger->missing);
    }
    ledger->missing[ledger->count++] = batch;
}

bool ledger_wants(const StepLedger *ledger, int64_t batch)
{
    return batch >= ledger->next ? batch - ledger->next <= MOST_MISSING - ledger->count
                                 : find(ledger, batch) < ledger->count;
}

void ledger_add(StepLedger *ledger, int64_t batch)
{
    REQUIRE(ledger_wants(ledger, batch));
    if (batch >= ledger->next) {
        while (ledger->next < batch)
            miss(ledger, ledger->next++);
        ledger->next++;
        return;
    }
    const int at = find(ledger, batch);
    memmove(&ledger->missing[at], &ledger->missing[at + 1], (size_t)(--ledger->count - at) * sizeof *ledger->missing);
}

json_t *ledger_json(const StepLedger *ledger)
{
    json_t *list = json_array();
    for (int i = 0; i < ledger->count; i++)
        json_array_append_new(list, json_integer(ledger->missing[i]));
    return list;
}

bool ledger_take(StepLedger *ledger, int64_t version, const json_t *missing, Err *err)
{
    const size_t count = missing ? json_array_size(missing) : 0;
    ledger->count = 0;
    ledger->next = version + (int64_t)count;
    bool ok = (!missing || json_is_array(missing)) && count <= MOST_MISSING;
    for (size_t i = 0; ok && i < count; i++) {
        const json_t *number = json_array_get(missing, i);
        const int64_t batch = json_is_integer(number) ? json_integer_value(number) : -1;
        const int64_t least = i > 0 ? ledger->missing[i - 1] + 1 : 0;
        ok = batch >= least && batch < ledger->next;
        if (ok)
            miss(ledger, batch);
    }
    return ok || err_set(err, ERR_INPUT, "\"missing\" does not list steps that others have overtaken");
}
