/* doctor - would a run work on this machine? A table of checks, each of which looks at one thing itself: it starts
 * mpirun, multiplies matrices, binds ports, writes a file. Nothing is left behind.
 *
 * Owner: cmd_doctor.c. Threads: the main thread. */
#ifndef LAUNCH_DOCTOR_H
#define LAUNCH_DOCTOR_H

#include "common/base/machine.h"
#include "common/base/text.h"
#include "common/config/config.h"
#include "worker/train/needs.h"

typedef enum {
    HEALTH_OK,
    HEALTH_WARN, /* a run works, but slower or only just */
    HEALTH_FAIL /* a run does not work */
} Health;

/* What a check found; zeroed is well, with nothing to say. */
typedef struct Finding {
    Health health;
    Text said; /* what is */
    Text remedy; /* one thing to do, where it is not well */
} Finding;

/* Who is looked at. */
typedef struct Patient {
    Machine machine;
    int64_t ranks;
    const Config *config; /* of the run; NULL: none was given */
    const Needs *needs; /* of the run; NULL with config */
} Patient;

typedef struct Check {
    const char *name;
    void (*look)(const Patient *patient, Finding *finding);
} Check;

extern const Check doctor_checks[];
extern const int doctor_check_count;

/* Sets health and remedy. */
void finding_set(Finding *finding, Health health, const char *remedy, ...) PRINTF_LIKE(3, 4);
/* What went wrong, as an error says it. */
void finding_fail(Finding *finding, const Err *err);
void finding_release(Finding *finding);

/* The checks, by what they look at. */
void check_programs(const Patient *patient, Finding *finding);
void check_mpi(const Patient *patient, Finding *finding);
void check_ranks(const Patient *patient, Finding *finding);
void check_slurm(const Patient *patient, Finding *finding);
void check_cores(const Patient *patient, Finding *finding);
void check_memory(const Patient *patient, Finding *finding);
void check_shared_memory(const Patient *patient, Finding *finding);
void check_arithmetic(const Patient *patient, Finding *finding);
void check_ports(const Patient *patient, Finding *finding);
void check_temporary(const Patient *patient, Finding *finding);
void check_cache(const Patient *patient, Finding *finding);
void check_output(const Patient *patient, Finding *finding);

#endif
