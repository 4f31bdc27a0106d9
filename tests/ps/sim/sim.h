/* sim - schedules of faults for the parameter server and its clients: the server's core (ps/core) with its log (ps/wal),
 * and worker nodes (client_core) that compute what it leases, in one process, under a clock, a network and a disk that a
 * seed decides.
 *
 * In a schedule processes are killed, frozen and started again, the server's machine loses power, cables are pulled,
 * connections break, messages are lost, doubled and overtake each other; workers with other data or another plan join,
 * and sums of another plan arrive. After `faults` seconds all that ends, and the run must come to its end.
 *
 * What must hold (else the process ends, check.h): each micro-batch enters each step once, with the bits of the plain
 * loop; what was durable is there after a restart; the run ends within a bound. Without faults each payload goes once, and
 * a worker that is alone computes nothing twice.
 *
 * Threads: one a process. */
#ifndef TESTS_PS_SIM_SIM_H
#define TESTS_PS_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

typedef struct SimResult {
    double seconds; /* of the made-up clock, until the end */
    double recovery; /* of these, behind the last fault */
    int64_t steps, events, restarts; /* of the server */
    int64_t payload, needed; /* bytes of tensors: sent, and the least that could be */
    int64_t computed; /* micro-batches and chunks, by all nodes */
    int64_t most_sums; /* gradients that the server held at a time */
    bool calm; /* no fault at all */
} SimResult;

/* Plays the schedule of this seed. trace: says what happens. */
SimResult sim_play(uint64_t seed, bool trace);

#endif
