/* profile - where the time of a process's steps goes: by phase of a step, and by kernel and size.
 *
 * Kernels ask for themselves (profile_begin, profile_end). A kernel within another, or within a parallel loop, is part of
 * that, and not counted twice. The first step that the process computes is left out, as it touches memory for the first
 * time; of the second every call is kept.
 * Without profile_start all calls here do nothing; no bits change with it.
 *
 * flops: the multiplications and additions that the result needs, whatever the kernel does; bytes: of its operands, each
 * once. Seconds are those of the clock.
 *
 * Threads: all calls from one; what other threads do is not seen. */
#ifndef COMMON_BASE_PROFILE_H
#define COMMON_BASE_PROFILE_H

#include <stdint.h>

/* What happened at one place: a kernel of one size, or a phase (rows = columns = 0). */
typedef struct ProfileSpot {
    const char *name;
    int64_t rows, columns; /* what stays the same from call to call: a weight's [out, in], a row's width [0, C] */
    int64_t calls;
    double seconds, flops, bytes;
} ProfileSpot;

typedef struct ProfileEvent {
    int spot; /* of `kernels`; -1 - spot: of `phases` */
    double begin, end; /* seconds of clock_now */
} ProfileEvent;

enum { PROFILE_KERNELS = 512, PROFILE_PHASES = 16 };

typedef struct Profile {
    ProfileSpot kernel[PROFILE_KERNELS], phase[PROFILE_PHASES];
    int kernels, phases;
    int64_t steps; /* in the sums */
    int64_t lost; /* calls that found no place in `kernel` */
    int64_t kept_step; /* whose calls are `event`; steps count from 0 */
    ProfileEvent *event;
    int64_t events, room;
} Profile;

/* From here on, for the calling thread. */
void profile_start(void);

/* NULL: not started. */
const Profile *profile_seen(void);

/* The step that is computed from here on; several ranges of one are one step. */
void profile_step(int64_t step);

/* What the process does from here on; what it did before ends. NULL: nothing that counts, nor do kernels then. */
void profile_phase(const char *name);

extern const char profile_computing[]; /* the phase that kernels are in */

/* Around a kernel: negative when it does not count. */
double profile_begin(void);
void profile_end(double begin, const char *name, int64_t rows, int64_t columns, double flops, double bytes);

#endif
