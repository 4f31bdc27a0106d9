#include "common/base/profile.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

#include <omp.h>
#include <stdbool.h>
#include <string.h>

/* Steps are met in order: the first, the one whose calls are kept, and the others. */
typedef struct Recorder {
    Profile seen;
    int64_t first, step; /* -1: none yet */
    bool inside; /* a kernel */
    int phase; /* of seen.phase; -1: none */
    double phase_begin;
} Recorder;

const char profile_computing[] = "computing";

static Recorder *recorder; /* NULL: not started */
static _Thread_local bool mine;

void profile_start(void)
{
    if (recorder)
        return;
    recorder = xcalloc(1, sizeof *recorder);
    recorder->first = recorder->step = recorder->phase = -1;
    mine = true;
}

const Profile *profile_seen(void)
{
    return recorder ? &recorder->seen : NULL;
}

static void keep_event(int spot, double begin, double end)
{
    Profile *p = &recorder->seen;
    if (recorder->step != p->kept_step || recorder->step == recorder->first)
        return;
    if (p->events == p->room) {
        p->room = p->room ? 2 * p->room : 4096;
        p->event = xrealloc(p->event, (size_t)p->room * sizeof *p->event);
    }
    p->event[p->events++] = (ProfileEvent){ spot, begin, end };
}

/* -1: there is no room for another. */
static int find(ProfileSpot *spots, int *count, int most, const char *name, int64_t rows, int64_t columns)
{
    for (int i = 0; i < *count; i++)
        if (spots[i].rows == rows && spots[i].columns == columns && strcmp(spots[i].name, name) == 0)
            return i;
    if (*count == most)
        return -1;
    spots[*count] = (ProfileSpot){ .name = name, .rows = rows, .columns = columns };
    return (*count)++;
}

/* What was seen of the first step goes. */
static void forget(void)
{
    Profile *p = &recorder->seen;
    p->kernels = p->phases = 0;
    p->lost = 0;
    recorder->phase = -1;
}

void profile_step(int64_t step)
{
    if (!recorder || step == recorder->step)
        return;
    if (recorder->first < 0) {
        recorder->first = step;
    } else {
        if (recorder->step == recorder->first) {
            forget();
            recorder->seen.kept_step = step;
        }
        recorder->seen.steps++;
    }
    recorder->step = step;
}

void profile_phase(const char *name)
{
    if (!recorder)
        return;
    Profile *p = &recorder->seen;
    const double now = clock_now();
    if (recorder->phase >= 0) {
        ProfileSpot *spot = &p->phase[recorder->phase];
        spot->calls++;
        spot->seconds += now - recorder->phase_begin;
        keep_event(-1 - recorder->phase, recorder->phase_begin, now);
    }
    recorder->phase = name ? find(p->phase, &p->phases, PROFILE_PHASES, name, 0, 0) : -1;
    recorder->phase_begin = now;
}

double profile_begin(void)
{
    if (!recorder || !mine || recorder->inside || omp_in_parallel())
        return -1;
    recorder->inside = true;
    return clock_now();
}

void profile_end(double begin, const char *name, int64_t rows, int64_t columns, double flops, double bytes)
{
    if (begin < 0)
        return;
    const double now = clock_now();
    recorder->inside = false;
    if (recorder->phase < 0)
        return;
    Profile *p = &recorder->seen;
    const int i = find(p->kernel, &p->kernels, PROFILE_KERNELS, name, rows, columns);
    if (i < 0) {
        p->lost++;
        return;
    }
    ProfileSpot *spot = &p->kernel[i];
    spot->calls++;
    spot->seconds += now - begin;
    spot->flops += flops;
    spot->bytes += bytes;
    keep_event(i, begin, now);
}
