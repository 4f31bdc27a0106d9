#include "ps/deal.h"

#include "common/base/mem.h"
#include "ps/core_state.h"
#include "ps/trust.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool deal_is_open(const PsCore *core)
{
    return core->phase == PHASE_TRAIN || core->phase == PHASE_EVAL;
}

static void send_end(PsCore *core, Client *client)
{
    Msg *msg = core_reply_to(core, client->id, MSG_LEASE);
    msg->kind = LEASE_STOP;
    msg->step = core->version;
    msg->code = core->code;
    msg->text = core->text ? xstrdup(core->text) : NULL;
    client->parked = false;
    client->told_end = true;
}

static bool is_idle(const PsCore *core, const Client *client, double now)
{
    return client->parked && !rounds_of(&core->rounds, client->id) && trust_has(&core->clients, client, now);
}

int deal_idle(const PsCore *core, double now)
{
    int idle = 0;
    for (int i = 0; i < core->clients.count; i++)
        idle += is_idle(core, &core->clients.items[i], now);
    return idle;
}

static void send_lease(PsCore *core, Client *client, const Round *round)
{
    Range ranges[WIRE_RANGES];
    const int count = leases_of(&round->leases, client->id, ranges);
    Msg *msg = core_reply_to(core, client->id, MSG_LEASE);
    msg->kind = core->phase == PHASE_TRAIN ? LEASE_TRAIN : LEASE_EVAL;
    msg->plan = core->plan;
    msg->step = round->step;
    msg->turn = client->asked;
    memcpy(msg->range, ranges, sizeof ranges);
    msg->range_count = count;
    client->parked = false;
}

void deal_round(PsCore *core, Round *round, double now)
{
    LeaseShare *shares = xcalloc((size_t)core->clients.count + 1, sizeof *shares);
    const double mean = clients_mean_speed(&core->clients);
    int count = 0;
    for (int i = 0; i < core->clients.count; i++) {
        const Client *client = &core->clients.items[i];
        if (!client->late && trust_has(&core->clients, client, now))
            shares[count++] = (LeaseShare){ client->id, clients_weight(client, mean) };
    }
    leases_deal(&round->leases, shares, count);
    free(shares);
    for (int i = 0; i < core->clients.count; i++) {
        Client *client = &core->clients.items[i];
        const int64_t dealt = leases_count(&round->leases, client->id);
        if (dealt > 0) /* who is late computes what it got before */
            trust_lease(client, dealt, now);
    }
}

Round *deal_open(PsCore *core, int64_t step, int64_t pieces, double now)
{
    core->longest_piece = 0;
    return rounds_open(&core->rounds, step, pieces, now);
}

/* A step more, where one may be open beside those that are; NULL: none. */
static Round *open_ahead(PsCore *core, double now)
{
    const int64_t most = core->options.mode == PS_SSP ? core->options.staleness + 1 : core->clients.count;
    if (core->options.mode == PS_SYNC || core->phase != PHASE_TRAIN || core->rounds.count >= most)
        return NULL;
    if (core->missing_count > 0)
        return deal_open(core, core->missing[--core->missing_count], core->M, now);
    return core->next_step < core->until ? deal_open(core, core->next_step++, core->M, now) : NULL;
}

static Round *take_share(Round *round, Client *client, int64_t share, double now)
{
    leases_take(&round->leases, client->id, share);
    trust_lease(client, leases_count(&round->leases, client->id), now);
    return round;
}

/* What is nobody's, of the oldest step that has some. *idle: who shares with the client, and one less when it was served;
 * 0: not counted yet. */
static Round *take_free(PsCore *core, Client *client, int *idle, double now)
{
    for (int i = 0; i < core->rounds.count; i++) {
        Round *round = &core->rounds.items[i];
        const int64_t left = leases_free_count(&round->leases);
        if (left == 0)
            continue;
        if (*idle == 0)
            *idle = deal_idle(core, now);
        const int64_t share = core->options.mode == PS_ASYNC ? left : (left + *idle - 1) / *idle;
        --*idle;
        return take_share(round, client, share, now);
    }
    return NULL;
}

/* Its part of a step that was opened ahead, once. */
static int64_t fair_share(const PsCore *core, const Client *client, const Round *round, double now)
{
    const int64_t left = leases_free_count(&round->leases);
    double all = 0;
    if (left == 0 || leases_had(&round->leases, client->id))
        return 0;
    const double mean = clients_mean_speed(&core->clients);
    for (int i = 0; i < core->clients.count; i++)
        all +=
            trust_has(&core->clients, &core->clients.items[i], now) ? clients_weight(&core->clients.items[i], mean) : 0;
    const int64_t share = (int64_t)ceil((double)core->M * clients_weight(client, mean) / all);
    return share < left ? share : left;
}

/* With steps that are open ahead nobody waits for those who are slower, but goes on to the next step. */
static Round *take_ahead(PsCore *core, Client *client, double now)
{
    for (int i = 0; core->options.mode == PS_SSP && i < core->rounds.count; i++) {
        const int64_t share = fair_share(core, client, &core->rounds.items[i], now);
        if (share > 0)
            return take_share(&core->rounds.items[i], client, share, now);
    }
    Round *round = open_ahead(core, now);
    if (!round)
        return NULL;
    return take_share(round, client, core->options.mode == PS_SSP ? fair_share(core, client, round, now) : core->M,
                      now);
}

static Round *take_work(PsCore *core, Client *client, int *idle, double now)
{
    Round *round = NULL;
    if (core->options.mode == PS_SSP && core->phase == PHASE_TRAIN)
        round = take_ahead(core, client, now);
    if (!round)
        round = take_free(core, client, idle, now);
    if (!round && core->options.mode == PS_ASYNC)
        round = take_ahead(core, client, now);
    return round;
}

/* A parked client gets what it owns, else its share of what is nobody's, else waits. The end is told
 * to all, whether they ask or not: one that hangs, but beats, must not keep the others. */
static void serve_one(PsCore *core, Client *client, int *idle, double now)
{
    if (core->phase == PHASE_OVER && (client->parked || !client->told_end)) {
        send_end(core, client);
        return;
    }
    if (!client->parked || !deal_is_open(core))
        return;
    const Round *round = rounds_of(&core->rounds, client->id);
    if (!round && is_idle(core, client, now))
        round = take_work(core, client, idle, now);
    if (round)
        send_lease(core, client, round);
}

void deal_to(PsCore *core, Client *client, double now)
{
    int idle = 0;
    serve_one(core, client, &idle, now);
}

void deal_work(PsCore *core, double now)
{
    int idle = 0;
    for (int i = 0; i < core->clients.count; i++)
        serve_one(core, &core->clients.items[i], &idle, now);
}
