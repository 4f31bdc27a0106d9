/* shared_memory - memory that processes of one machine share, which leaves nothing behind: a memfd, which others open by the
 * descriptor of whoever made it, and which is gone with the last of them.
 *
 * A name may come from a stranger, or from another machine: so nothing is taken that has not the key that its maker drew,
 * and the size that is expected and that nobody can change any more (seals).
 *
 * Owner: the caller. Threads: one at a time. */
#ifndef COMMON_BASE_SHARED_MEMORY_H
#define COMMON_BASE_SHARED_MEMORY_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { SHARED_NAME = 48 }; /* room for a name */

/* Zeroed is empty. */
typedef struct SharedMemory {
    void *data; /* page-aligned; zeros, where nobody wrote */
    size_t size; /* bytes of data */
    uint64_t key; /* never 0 */
    int fd; /* of the maker; others: -1 */
} SharedMemory;

MUST_USE bool shared_memory_create(SharedMemory *memory, size_t size, Err *err);

/* By which others open it, while the maker lives: "/proc/PID/fd/N". */
void shared_memory_name(const SharedMemory *memory, char name[SHARED_NAME]);

/* False: there is none of this name, key and size that this process may have. */
MUST_USE bool shared_memory_open(SharedMemory *memory, const char *name, uint64_t key, size_t size, bool writes);

void shared_memory_close(SharedMemory *memory);

#endif
