#include "ps/weigh.h"

#include "common/base/log.h"
#include "common/base/maths.h"
#include "common/base/mem.h"
#include "common/slots/absurd.h"
#include "ps/run_state.h"

#include <stdlib.h>
#include <string.h>

/* "micro-batch 3" or "micro-batches 4 to 7", counted from 0 as the leases are. */
static char *name_range(Range range)
{
    if (range.end == range.begin + 1)
        return xprintf("micro-batch %lld", (long long)range.begin);
    return xprintf("micro-batches %lld to %lld", (long long)range.begin, (long long)range.end - 1);
}

/* NULL: nothing is wrong with it. */
static char *find_fault(const Run *run, const PushSum *push)
{
    const Slot *slot = absurd_slot(run->adapted.table, push->gradient, push->weight);
    if (!slot && !absurd_loss(push->loss, push->weight))
        return NULL;
    char *range = name_range(push->range), *fault;
    if (slot)
        fault = xprintf("the gradient of \"%s\" is %s", slot->name,
                        maths_not_finite(push->gradient + slot->offset, slot->count) < slot->count
                            ? "not finite"
                            : "larger than any sum that can be squared");
    else
        fault = xprintf("the loss is %g", push->loss);
    char *all = xprintf("%s in %s of step %lld, from %s (client %016llx)", fault, range, (long long)push->step + 1,
                        push->host[0] ? push->host : "a host without a name", (unsigned long long)push->client);
    free(range);
    free(fault);
    return all;
}

static const char *lend(Run *run, char *text)
{
    free(run->verdict);
    return run->verdict = text;
}

static bool is_suspect(const Suspect *suspect, const PushSum *push)
{
    return suspect->step == push->step && suspect->range.begin < push->range.end &&
           push->range.begin < suspect->range.end;
}

static PushVerdict refuse(Run *run, const PushSum *push, char *fault, const char **text)
{
    Suspect *suspect = &run->suspect;
    if (is_suspect(suspect, push)) {
        *text = lend(run, xprintf("%s; %s has computed the same: it is not the machine's fault", fault, suspect->host));
        free(fault);
        return PUSH_ENDS;
    }
    if (!push->others) {
        *text = lend(run, xprintf("%s; there is no other worker to compute it again", fault));
        free(fault);
        return PUSH_ENDS;
    }
    *suspect = (Suspect){ .step = push->step, .range = push->range };
    snprintf(suspect->host, sizeof suspect->host, "%s", push->host[0] ? push->host : "another");
    log_error("client", "%s: it gets no more work", fault);
    *text = lend(run, fault);
    return PUSH_REFUSED;
}

PushVerdict weigh_push(Run *run, const PushSum *push, const char **text)
{
    char *fault = find_fault(run, push);
    if (!fault)
        return PUSH_COUNTS;
    run->absurd++;
    switch (run->config.train.on_nan) {
    case ON_NAN_SKIP:
        log_warn("client", "%s", fault);
        free(fault);
        return PUSH_COUNTS;
    case ON_NAN_QUARANTINE:
        return refuse(run, push, fault, text);
    case ON_NAN_STOP:
        break;
    }
    *text = lend(run, xprintf("%s; the step was not applied", fault));
    free(fault);
    return PUSH_ENDS;
}

char *weigh_step(const Run *run, const StepSums *sums)
{
    const long long number = (long long)sums->step + 1;
    const Slot *bad = absurd_slot(run->adapted.table, sums->gradient, sums->weight);
    if (bad)
        return xprintf("the gradient of \"%s\" is not finite in step %lld; the step was not applied", bad->name,
                       number);
    return absurd_loss(sums->loss, sums->weight)
               ? xprintf("the loss is not finite in step %lld; the step was not applied", number)
               : NULL;
}
