#include "ps/clients.h"

#include "common/base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

Client *clients_find(const Clients *clients, uint64_t id)
{
    const int at = idmap_find(&clients->places, id);
    return at < 0 ? NULL : &clients->items[at];
}

Client *clients_add(Clients *clients, uint64_t id)
{
    if (clients->count == clients->room) {
        clients->room = clients->room ? 2 * clients->room : 8;
        clients->items = xrealloc(clients->items, (size_t)clients->room * sizeof *clients->items);
    }
    idmap_put(&clients->places, id, clients->count);
    Client *client = &clients->items[clients->count++];
    *client = (Client){ .id = id, .held = -1, .sent_version = -1 };
    return client;
}

void clients_remove(Clients *clients, int index)
{
    memmove(&clients->items[index], &clients->items[index + 1],
            (size_t)(clients->count - index - 1) * sizeof *clients->items);
    clients->count--;
    idmap_clear(&clients->places); /* all behind it have moved */
    for (int i = 0; i < clients->count; i++)
        idmap_put(&clients->places, clients->items[i].id, i);
}

void clients_release(Clients *clients)
{
    free(clients->items);
    idmap_release(&clients->places);
    *clients = (Clients){ 0 };
}

int64_t clients_ranks(const Clients *clients)
{
    int64_t ranks = 0;
    for (int i = 0; i < clients->count; i++)
        ranks += clients->items[i].facts.ranks;
    return ranks;
}

int64_t clients_most_ranks(const Clients *clients)
{
    int64_t most = 0;
    for (int i = 0; i < clients->count; i++)
        most = clients->items[i].facts.ranks > most ? clients->items[i].facts.ranks : most;
    return most;
}

bool clients_are_told(const Clients *clients)
{
    for (int i = 0; i < clients->count; i++)
        if (!clients->items[i].told_end)
            return false;
    return true;
}

bool clients_measure(Client *client, Range range, double seconds)
{
    if (!(seconds > 0) || !isfinite(seconds))
        return false;
    const double ranks = client->facts.ranks > 0 ? (double)client->facts.ranks : 1.0;
    const double speed = (double)(range.end - range.begin) / (seconds * ranks);
    client->speed = client->speed > 0 ? 0.8 * client->speed + 0.2 * speed : speed;
    return true;
}

double clients_mean_speed(const Clients *clients)
{
    double sum = 0;
    int measured = 0;
    for (int i = 0; i < clients->count; i++)
        if (clients->items[i].speed > 0) {
            sum += clients->items[i].speed;
            measured++;
        }
    return measured > 0 ? sum / measured : 0;
}

/* Measured speeds count when they really differ: noise would move pieces back and forth. */
double clients_weight(const Client *client, double mean)
{
    const double ranks = client->facts.ranks > 0 ? (double)client->facts.ranks : 1.0;
    if (!(mean > 0) || client->speed <= 0)
        return ranks;
    const double share = client->speed / mean;
    return share > 0.85 && share < 1.15 ? ranks : ranks * fmax(share, 0.01);
}
