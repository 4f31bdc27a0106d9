/* Cores, memory, shared memory, arithmetic: what the machine has, beside what a run needs. */
#include "launch/doctor.h"

#include "worker/arithmetic/arithmetic.h"
#include "worker/arithmetic/speed.h"
#include "worker/kernels/blas.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

void check_cores(const Patient *patient, Finding *finding)
{
    const Machine *m = &patient->machine;
    text_addf(&finding->said, "%lld", (long long)m->cores);
    if (m->allowed < m->cores) {
        text_addf(&finding->said, ", of which %lld may be used here (taskset, cpuset)", (long long)m->allowed);
        finding_set(finding, HEALTH_WARN, "give --ranks=%lld, or a shell all cores", (long long)m->allowed);
    }
    const long whole = m->quota >= 1 ? (long)m->quota : 1;
    if (m->quota > 0 && m->quota < (double)m->allowed) {
        text_addf(&finding->said, ", and the control group gives the time of %.1f", m->quota);
        finding_set(finding, HEALTH_WARN, "give --ranks=%ld, or the container more (docker: --cpus)", whole);
    }
    if (finding->health == HEALTH_OK && patient->ranks > m->cores) {
        text_addf(&finding->said, " for %lld ranks", (long long)patient->ranks);
        finding_set(finding, HEALTH_WARN, "they take turns; give --ranks=%lld", (long long)m->cores);
    }
}

/* ---- memory ----------------------------------------------------------------------------------- */

static double megabytes(int64_t bytes)
{
    return (double)bytes / 1e6;
}

/* Of a process beside its model: libraries, buffers of OpenBLAS and Open MPI. Measured with a model of 0.2 MB: 24 MB
 * a rank; jobs do not start with addresses of 614 MB, and do with 717. */
static const int64_t bare_process = 30 * 1000 * 1000, bare_addresses = 700 * 1000 * 1000;

static void compare_memory(const Patient *patient, int64_t room, Finding *finding)
{
    const Needs *needs = patient->needs;
    const int64_t each = needs->rank + bare_process, all = needs->shared + patient->ranks * each + needs->server;
    text_addf(&finding->said, "; the run may take %.1f MB: %.1f that %lld ranks share, %.1f each", megabytes(all),
              megabytes(needs->shared), (long long)patient->ranks, megabytes(each));
    if (all > room) {
        const int64_t fit = (room - needs->shared - needs->server) / each;
        if (fit >= 1)
            finding_set(finding, HEALTH_FAIL, "give --ranks=%lld, or take parallel.micro_batch_tokens: auto",
                        (long long)fit);
        else
            finding_set(finding, HEALTH_FAIL,
                        "take parallel.micro_batch_tokens: auto, lower data.max_length, or take a smaller model");
    } else if (patient->machine.process > 0 &&
               patient->machine.process < needs->shared + needs->rank + bare_addresses) {
        finding_set(finding, HEALTH_FAIL, "ulimit -v unlimited");
    }
}

void check_memory(const Patient *patient, Finding *finding)
{
    const Machine *m = &patient->machine;
    const int64_t room = machine_room(m);
    text_addf(&finding->said, "%.0f MB of %.0f are free", megabytes(m->available), megabytes(m->memory));
    if (m->limit > 0)
        text_addf(&finding->said, ", the control group's limit is %.0f", megabytes(m->limit));
    if (m->process > 0) {
        text_addf(&finding->said, ", addresses of a process end at %.0f (ulimit -v)", megabytes(m->process));
        if (m->process < bare_addresses)
            finding_set(finding, HEALTH_FAIL, "ulimit -v unlimited");
    }
    if (patient->needs)
        compare_memory(patient, room, finding);
}

/* Open MPI asks for this much a rank, and refuses to start where it finds less for one (btl vader, 4.1). */
static const int64_t segment = 4194312;

void check_shared_memory(const Patient *patient, Finding *finding)
{
    struct statvfs fs;
    if (statvfs("/dev/shm", &fs) != 0) {
        text_adds(&finding->said, "there is no /dev/shm");
        finding_set(finding, HEALTH_FAIL, "mount -t tmpfs -o mode=1777 shm /dev/shm");
        return;
    }
    const int64_t room = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize,
                  shared = patient->needs ? patient->needs->shared : 0;
    const int64_t least = shared + segment, all = shared + patient->ranks * segment;
    text_addf(&finding->said, "/dev/shm has room for %.1f MB; %lld ranks ask for %.1f%s", megabytes(room),
              (long long)patient->ranks, megabytes(all),
              patient->needs ? ", the model in it" : " and for the model's weights");
    if (room < all)
        finding_set(finding, room < least ? HEALTH_FAIL : HEALTH_WARN,
                    "mount -o remount,size=%.0fM /dev/shm (docker: --shm-size=%.0fm)", 2 * (double)all / (1 << 20) + 1,
                    2 * (double)all / (1 << 20) + 1);
}

/* ---- arithmetic ------------------------------------------------------------------------------- */

/* A core that is right for the level reaches 70 to 95% of what it can (measured: SkylakeX, Cooperlake, Haswell, Zen,
 * Nehalem); one of a lower level at most half. */
static const double far_below = 0.58;

static void say_slow(const Patient *patient, Finding *finding)
{
    const char *core = getenv("OPENBLAS_CORETYPE"), *asked = getenv("LORA_ARITHMETIC");
    if (core && *core)
        finding_set(finding, HEALTH_WARN, "far below: unset OPENBLAS_CORETYPE (it is %s)", core);
    else if (patient->config && strcmp(patient->config->parallel.arithmetic, "auto") != 0)
        finding_set(finding, HEALTH_WARN, "far below: parallel.arithmetic: auto (it is %s)",
                    patient->config->parallel.arithmetic);
    else if (asked && *asked)
        finding_set(finding, HEALTH_WARN, "far below: unset LORA_ARITHMETIC (it is %s)", asked);
    else
        finding_set(finding, HEALTH_WARN, "far below: install another OpenBLAS (Debian: libopenblas0-openmp)");
}

void check_arithmetic(const Patient *patient, Finding *finding)
{
    Arithmetic arithmetic;
    Err err = { 0 };
    const Config *c = patient->config;
    const bool packed = c && c->train.precision != PRECISION_FP32;
    if (!arithmetic_start(&arithmetic, c ? c->parallel.arithmetic : NULL, packed, false, &err)) {
        finding_fail(finding, &err);
        return;
    }
    const Speed speed = speed_measure();
    text_addf(&finding->said, "%s, fingerprint %016llx: ", arithmetic.name, (unsigned long long)arithmetic.fingerprint);
    arithmetic_products(&finding->said);
    text_addf(&finding->said, "; %.0f GFLOP/s of the %.0f that a core can", speed.products, speed.most);
    if (speed.products < far_below * speed.most)
        say_slow(patient, finding);
}
