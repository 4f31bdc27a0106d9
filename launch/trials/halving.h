/* halving - successive halving: all trials begin, and behind each rung only the best go on.
 *
 * A rung is a number of evaluations, `keep` times that of the one before. A trial that goes no further is halted there and
 * keeps its folder; one that goes on does so in its own run with the rates of its whole length, so that whoever comes to the
 * end is, bit for bit, the run that a grid would have made. Who goes on depends on the figures of a rung alone: not on who
 * was first, nor on kills.
 *
 * Owner: cmd_sweep.c. Threads: one. */
#ifndef LAUNCH_TRIALS_HALVING_H
#define LAUNCH_TRIALS_HALVING_H

#include "launch/trials/runner.h"

typedef struct Halving {
    int64_t keep; /* one in so many goes on */
    int64_t first; /* evaluations of the first rung */
    const char *metric; /* NULL: the usual one */
    int64_t *looked; /* [trials]: evaluations of each that count; set by halving_run, the caller's array */
} Halving;

/* As runner_run. */
MUST_USE bool halving_run(const Halving *halving, TrialList *trials, const RunnerOptions *options, Err *err);

#endif
