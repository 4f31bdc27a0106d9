/* profiled - the kernels of the level in use, each between profile_begin and profile_end (common/base/profile.h). What is
 * only called by other kernels, or within parallel loops, stays as it is.
 *
 * Threads: one, while nobody computes. */
#ifndef WORKER_KERNELS_PROFILED_H
#define WORKER_KERNELS_PROFILED_H

/* `kernels` is the table of the timed ones from now on; once. */
void profiled_use(void);

#endif
