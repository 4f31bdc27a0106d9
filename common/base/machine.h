/* machine - the cores and the memory that this process may use: what the machine has, and what affinity,
 * control groups (versions 1 and 2) and limits leave of it.
 *
 * Threads: any. */
#ifndef COMMON_BASE_MACHINE_H
#define COMMON_BASE_MACHINE_H

#include <stddef.h>
#include <stdint.h>

typedef struct Machine {
    int64_t cores; /* that are online */
    int64_t allowed; /* of these, by affinity: taskset, cpuset, a batch system */
    double quota; /* cores' time that the control group may use; 0: no limit */
    int64_t memory; /* bytes; 0 where the kernel does not tell */
    int64_t available; /* without swapping */
    int64_t limit; /* of the control group; 0: none */
    int64_t process; /* address space of a process (ulimit -v); 0: no limit */
} Machine;

/* root: where /proc and /sys are; "" but in tests. */
Machine machine_look(const char *root);

/* What one more process could take: the least of what is available and of the limit of the group. */
int64_t machine_room(const Machine *machine);

/* How many descriptors this process may have, which are `want` if it may ask for so many: the soft limit is often 1024,
 * the hard one far above. */
int64_t machine_files(int64_t want);

/* The machine's name as it may travel: visible ASCII, "" where it has none. */
void machine_host(char *name, size_t size);

#endif
