/* check - what must hold in the simulation; else its process ends, and says the seed. Threads: any. */
#ifndef TESTS_PS_SIM_CHECK_H
#define TESTS_PS_SIM_CHECK_H

#include <stdint.h>

#define SIM_CHECK(condition) ((condition) ? (void)0 : sim_failed(#condition, __FILE__, __LINE__))

extern _Thread_local uint64_t sim_seed; /* of the schedule that is played */
_Noreturn void sim_failed(const char *condition, const char *file, int line);

#endif
