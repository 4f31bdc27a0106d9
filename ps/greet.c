#include "ps/greet.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/wire/facts.h"
#include "ps/core_state.h"

#include <stdlib.h>
#include <string.h>

static void begin(PsCore *core, double now)
{
    const int64_t ranks = core->options.mode == PS_ASYNC
                              ? clients_most_ranks(&core->clients) /* one computes all of a step */
                              : clients_ranks(&core->clients);
    core->M = core->world.begin(core->world.self, &core->facts, ranks, &core->plan);
    REQUIRE(core->M > 0);
    const RoundsOptions rounds = { core->options.mode, core->M, core->facts.slot_size, core->options.wire_dtype,
                                   core->options.sum_bytes };
    rounds_init(&core->rounds, &rounds);
    core->begun = true;
    for (int i = 0; i < core->clients.count; i++) {
        core->clients.items[i].welcomed = true;
        core_reply_text(core, core->clients.items[i].id, MSG_WELCOME, core->world.run_text(core->world.self));
    }
    core_advance(core, now);
}

void greet_begin_when_complete(PsCore *core, double now)
{
    if (core->phase != PHASE_WAIT || core->clients.count == 0)
        return;
    int64_t ranks = 0;
    for (int i = 0; i < core->clients.count; i++)
        if (core->clients.items[i].facts.job == core->facts.job)
            ranks += core->clients.items[i].facts.ranks;
    if (core->version > 0 || ranks >= core->facts.job_ranks || now - core->first_hello > core->options.lease_timeout)
        begin(core, now);
}

/* Before the start its whole job goes with it: the others would wait for it in vain, and a run that
 * begins binds its folder to the data of the first. */
static void refuse_hello(PsCore *core, const Msg *msg, const char *differs)
{
    log_warn("client", "refused client=%016llx: %s", (unsigned long long)msg->client, differs);
    core_reply_text(core, msg->client, MSG_REFUSE, differs);
    for (int i = core->clients.count - 1; i >= 0 && core->phase == PHASE_WAIT; i--) {
        if (core->clients.items[i].facts.job != msg->facts.job)
            continue;
        if (core->clients.items[i].id != msg->client)
            core_reply_text(core, core->clients.items[i].id, MSG_REFUSE, differs);
        core_take_away(core, i);
    }
}

/* Whoever computes otherwise may be able to do as the run does: a name, and no refusal yet. Of a level that the
 * run file names, the first takes the core. */
static bool must_follow(PsCore *core, const Msg *msg, bool others_wait)
{
    bool begun;
    const char *name = core->world.arithmetic(core->world.self, &begun), *theirs = msg->facts.arithmetic;
    begun = begun || core->begun;
    if (others_wait && !core->begun)
        name = core->facts.arithmetic;
    if (!name || strcmp(name, theirs) == 0 || (!others_wait && !begun && facts_of_level(theirs, name)))
        return false;
    log_info("client", "follows client=%016llx host=%s arithmetic=%s run=%s", (unsigned long long)msg->client,
             msg->facts.host, msg->facts.arithmetic, name);
    core_reply_text(core, msg->client, MSG_FOLLOW, name);
    return true;
}

void greet_hello(PsCore *core, const Msg *msg, double now)
{
    if (msg->client == 0) /* 0 means nobody */
        return;
    const bool others_wait = core->phase == PHASE_WAIT && core->clients.count > 0;
    if (must_follow(core, msg, others_wait))
        return;
    char *differs = core->world.differs(core->world.self, msg, others_wait ? &core->facts : NULL);
    if (differs) {
        refuse_hello(core, msg, differs);
        free(differs);
        return;
    }
    Client *client = clients_find(&core->clients, msg->client);
    if (!client) {
        if (core->clients.count == 0 && !core->begun) {
            core->facts = msg->facts;
            core->first_hello = now;
        }
        client = clients_add(&core->clients, msg->client);
        log_info("client", "joined client=%016llx ranks=%lld", (unsigned long long)msg->client,
                 (long long)msg->facts.ranks);
    }
    client->facts = msg->facts;
    client->seen = now;
    greet_begin_when_complete(core, now);
    client = clients_find(&core->clients, msg->client);
    if ((core->begun || core->phase == PHASE_OVER) && !client->welcomed)
        core_reply_text(core, client->id, MSG_WELCOME, core->world.run_text(core->world.self));
    client->welcomed = false; /* a repeated HELLO is answered again */
}
