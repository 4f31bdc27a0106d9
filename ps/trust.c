#include "ps/trust.h"

#include "common/base/log.h"

#include <math.h>

static const double first_quarantine = 60, most_quarantine = 64 * 60; /* seconds */
enum { STRIKES = 2 };

void trust_lease(Client *client, int64_t pieces, double now)
{
    client->leased = client->active = now;
    client->leased_pieces = pieces;
}

void trust_sum(Client *client, double now)
{
    client->strikes = 0;
    client->quarantined_until = 0;
    if (client->leased_pieces < 1)
        return;
    const double turn = (now - client->leased) / (double)client->leased_pieces;
    client->turn = client->turn > 0 ? 0.8 * client->turn + 0.2 * turn : turn;
}

static double ranks(const Client *client)
{
    return client->facts.ranks > 0 ? (double)client->facts.ranks : 1.0;
}

/* Seconds a piece; 0: nobody has been measured. */
static double usual_turn(const Clients *clients, const Client *client)
{
    double sum = 0;
    int measured = 0;
    if (client->turn > 0)
        return client->turn;
    for (int i = 0; i < clients->count; i++)
        if (clients->items[i].turn > 0) {
            sum += clients->items[i].turn * ranks(&clients->items[i]);
            measured++;
        }
    return measured > 0 ? sum / measured / ranks(client) : 0;
}

double trust_patience(const Clients *clients, const Client *client, bool eval, double lease_timeout, double longest)
{
    const double turn = eval ? 0 : usual_turn(clients, client);
    const double least = fmin(lease_timeout, fmax(1, lease_timeout / 5));
    return turn > 0 ? fmax(least, 3 * turn * (double)client->leased_pieces) : lease_timeout + 3 * longest;
}

double trust_strike(Client *client, double now)
{
    client->strikes++;
    if (client->strikes < STRIKES)
        return 0;
    double pause = first_quarantine;
    for (int i = STRIKES; i < client->strikes && pause < most_quarantine; i++)
        pause *= 2;
    client->quarantined_until = now + pause;
    return pause;
}

static bool is_good(const Client *client, double now)
{
    return !client->gone && client->quarantined_until <= now;
}

bool trust_has(const Clients *clients, const Client *client, double now)
{
    if (client->gone || is_good(client, now))
        return !client->gone;
    for (int i = 0; i < clients->count; i++)
        if (is_good(&clients->items[i], now))
            return false;
    return true;
}

bool trust_others(const Clients *clients, const Client *client, double now)
{
    for (int i = 0; i < clients->count; i++)
        if (&clients->items[i] != client && is_good(&clients->items[i], now))
            return true;
    return false;
}

void trust_compare(const Clients *clients, Witness *witness, const Client *client, const Msg *push, int64_t version)
{
    if (push->place == PLACE_ALL || (push->place == PLACE_VALUES && push->step != version))
        return;
    const uint64_t other = witness_see(witness, push);
    if (!other)
        return;
    const Client *first = clients_find(clients, other);
    log_error("client",
              "two machines give other bits of the same sums, one of them computes wrongly: %s client=%016llx and "
              "%s client=%016llx step=%lld micro_batches=%lld-%lld; the first answer counts",
              first ? first->facts.host : "one that has left", (unsigned long long)other, client->facts.host,
              (unsigned long long)client->id, (long long)push->step + 1, (long long)push->range[0].begin,
              (long long)push->range[0].end - 1);
}

int64_t trust_quarantined(const Clients *clients, double now)
{
    int64_t count = 0;
    for (int i = 0; i < clients->count; i++)
        count += clients->items[i].quarantined_until > now;
    return count;
}
