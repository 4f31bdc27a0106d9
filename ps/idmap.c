#include "ps/idmap.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Where an id is, or would be. Whoever makes up ids gains nothing but long walks of its own: the multiplier spreads them
 * (2^64 divided by the golden ratio: Knuth, TAOCP 3, 6.4). */
static int slot_of(const IdMap *map, uint64_t id)
{
    int at = (int)((id * 0x9e3779b97f4a7c15U) >> 33) & (map->room - 1);
    while (map->ids[at] != 0 && map->ids[at] != id)
        at = (at + 1) & (map->room - 1);
    return at;
}

int idmap_find(const IdMap *map, uint64_t id)
{
    if (map->count == 0 || id == 0)
        return -1;
    const int at = slot_of(map, id);
    return map->ids[at] == id ? map->places[at] : -1;
}

static void grow(IdMap *map)
{
    IdMap wider = { .room = map->room ? 2 * map->room : 16 };
    wider.ids = xcalloc((size_t)wider.room, sizeof *wider.ids);
    wider.places = xcalloc((size_t)wider.room, sizeof *wider.places);
    for (int i = 0; i < map->room; i++)
        if (map->ids[i] != 0)
            idmap_put(&wider, map->ids[i], map->places[i]);
    idmap_release(map);
    *map = wider;
}

void idmap_put(IdMap *map, uint64_t id, int place)
{
    REQUIRE(id != 0);
    if (2 * (map->count + 1) > map->room)
        grow(map);
    const int at = slot_of(map, id);
    map->count += map->ids[at] == 0;
    map->ids[at] = id;
    map->places[at] = place;
}

void idmap_clear(IdMap *map)
{
    if (map->room > 0)
        memset(map->ids, 0, (size_t)map->room * sizeof *map->ids);
    map->count = 0;
}

void idmap_release(IdMap *map)
{
    free(map->ids);
    free(map->places);
    *map = (IdMap){ 0 };
}
