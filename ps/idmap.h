/* idmap - from a client's id to where it stands in an array, however many there are.
 *
 * Open addressing, at most half full. Ids are drawn at random, so they are their own hash.
 *
 * Owner: whoever owns the array. Threads: one. */
#ifndef PS_IDMAP_H
#define PS_IDMAP_H

#include <stdint.h>

/* Zeroed is empty. */
typedef struct IdMap {
    uint64_t *ids; /* [room]; 0: free */
    int *places; /* [room] */
    int count, room; /* room: 0 or a power of two */
} IdMap;

int idmap_find(const IdMap *map, uint64_t id); /* -1: not there */
void idmap_put(IdMap *map, uint64_t id, int place); /* id is not 0; replaces what is there */
void idmap_clear(IdMap *map);
void idmap_release(IdMap *map);

#endif
