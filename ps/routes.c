#include "ps/routes.h"

#include "common/base/mem.h"

#include <stdlib.h>

static const double route_life = 600.0; /* seconds of silence until a client is forgotten */

Route *routes_find(const Routes *routes, uint64_t client)
{
    const int at = idmap_find(&routes->places, client);
    return at < 0 ? NULL : &routes->items[at];
}

static void note_places(Routes *routes)
{
    idmap_clear(&routes->places);
    for (int i = 0; i < routes->count; i++)
        if (routes->items[i].client != 0)
            idmap_put(&routes->places, routes->items[i].client, i);
}

/* Room for one more; NULL: all are members. */
static Route *make_room(Routes *routes)
{
    if (routes->count == ROUTES_MOST) {
        Route *oldest = NULL;
        for (int i = 0; i < routes->count; i++)
            if (!routes->items[i].member && (!oldest || routes->items[i].seen < oldest->seen))
                oldest = &routes->items[i];
        if (oldest) {
            shared_memory_close(&oldest->sums);
            oldest->client = 0;
            note_places(routes);
        }
        return oldest;
    }
    if (routes->count == routes->room) {
        routes->room = routes->room ? 2 * routes->room : 16;
        routes->items = xrealloc(routes->items, (size_t)routes->room * sizeof *routes->items);
    }
    return &routes->items[routes->count++];
}

Route *routes_note(Routes *routes, const Msg *msg, const WireId *from, bool data, double now)
{
    Route *route = routes_find(routes, msg->client);
    if (!route) {
        if (msg->client == 0 || !(route = make_room(routes)))
            return NULL;
        *route = (Route){ .client = msg->client, .given = -1 };
        idmap_put(&routes->places, msg->client, (int)(route - routes->items));
    }
    *(data ? &route->data : &route->control) = *from;
    route->seen = now;
    return route;
}

void routes_forget(Routes *routes, double now)
{
    const int before = routes->count;
    for (int i = routes->count - 1; i >= 0; i--)
        if (now - routes->items[i].seen > route_life) {
            shared_memory_close(&routes->items[i].sums);
            routes->items[i] = routes->items[--routes->count];
        }
    if (routes->count != before)
        note_places(routes);
}

void routes_release(Routes *routes)
{
    for (int i = 0; i < routes->count; i++)
        shared_memory_close(&routes->items[i].sums);
    free(routes->items);
    idmap_release(&routes->places);
    *routes = (Routes){ 0 };
}
