#include "ps/places.h"

#include "common/base/log.h"
#include "common/base/machine.h"

#include <string.h>

void places_note(Route *route, const Msg *hello)
{
    char host[WIRE_NAME];
    machine_host(host, sizeof host);
    route->here = host[0] != '\0' && strcmp(host, hello->facts.host) == 0;
}

void places_offer(MemoryOffer *offer, Route *route, const Run *run)
{
    const SharedMemory *values = run_shared_values(run);
    Err none = { 0 };
    *offer = (MemoryOffer){ 0 };
    if (!route->here || !values->data)
        return;
    if (!route->sums.data && !shared_memory_create(&route->sums, values->size, &none)) {
        log_warn("client", "its gradients come over the socket: %s client=%016llx", none.what,
                 (unsigned long long)route->client);
        return;
    }
    shared_memory_name(values, offer->values);
    shared_memory_name(&route->sums, offer->sums);
    offer->values_key = values->key;
    offer->sums_key = route->sums.key;
}

bool places_lend(Msg *push, const Route *route, CostsSeen *seen)
{
    if (!route->sums.data || route->sums.key != push->memory.sums_key)
        return false;
    push->data = route->sums.data;
    push->size = route->sums.size;
    seen->placed_up += (int64_t)push->size;
    return true;
}

bool places_is_stale(const Msg *msg, const Run *run)
{
    const bool work = msg->type == MSG_PUSH || msg->type == MSG_EVAL;
    return work && msg->place != PLACE_WIRE && msg->memory.values_key != run_shared_values(run)->key;
}

void places_lease(Msg *lease, Route *route, const Run *run, CostsSeen *seen)
{
    const SharedMemory *values = run_shared_values(run);
    lease->memory.values_key = values->key;
    if (!route->in_place || lease->kind == LEASE_STOP || lease->version == route->given)
        return;
    route->given = lease->version;
    seen->placed_down += (int64_t)values->size;
}

void places_forget(Route *route)
{
    shared_memory_close(&route->sums);
}

void places_forget_all(Routes *routes)
{
    for (int i = 0; i < routes->count; i++)
        places_forget(&routes->items[i]);
}

void places_leave(Route *route)
{
    route->member = false;
    places_forget(route);
}
