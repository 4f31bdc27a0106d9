#include "ps/orders.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "ps/run.h"
#include "ps/save.h"

#include <string.h>

static OrderAnswer refuse(char *why)
{
    log_warn("server", "an order is refused: %s", why);
    return (OrderAnswer){ .said = why, .refused = true };
}

static OrderAnswer make_checkpoint(Run *run)
{
    Err err = { 0 };
    if (!run_is_begun(run))
        return refuse(xstrdup("the run has not begun: there is nothing to save"));
    if (!save_checkpoint(run, &err))
        return refuse(xprintf("no checkpoint: %s%s%s", err.what, err.where[0] ? " at " : "", err.where));
    log_info("server", "checkpoint at step=%lld, as it was told to", (long long)run_version(run));
    return (OrderAnswer){ .said = xprintf("checkpoint at step %lld", (long long)run_version(run)) };
}

static OrderAnswer drain(Run *run, bool workers)
{
    if (!workers) {
        log_info("server", "drained: nobody works");
        return (OrderAnswer){ .said = xstrdup("nobody works: it stops now"), .stop = true };
    }
    log_info("server", "draining: it stops behind what is open, as it was told to");
    run_drain(run);
    return (OrderAnswer){ .said = xprintf("step %lld is finished, then it stops", (long long)run_version(run) + 1) };
}

OrderAnswer orders_take(Run *run, const char *word, bool allowed, bool workers)
{
    if (!word)
        return (OrderAnswer){ 0 };
    if (!allowed)
        return refuse(
            xstrdup("this server has no keys, and others can reach it: it takes no orders (SIGTERM ends it)"));
    if (strcmp(word, "checkpoint") == 0)
        return make_checkpoint(run);
    if (strcmp(word, "drain") == 0)
        return drain(run, workers);
    if (strcmp(word, "stop") != 0)
        return refuse(xstrdup("it can checkpoint, drain and stop"));
    log_info("server", "stops, as it was told to");
    return (OrderAnswer){ .said = xprintf("it stops at step %lld", (long long)run_version(run)), .stop = true };
}
