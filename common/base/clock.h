/* clock - seconds that only go forward (CLOCK_MONOTONIC).
 *
 * Threads: any. */
#ifndef COMMON_BASE_CLOCK_H
#define COMMON_BASE_CLOCK_H

double clock_now(void);
void clock_sleep(double seconds);

#endif
