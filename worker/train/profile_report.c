#include "worker/train/profile_report.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/profile.h"
#include "common/base/text.h"
#include "worker/arithmetic/arithmetic.h"
#include "worker/arithmetic/speed.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { LINES = 24 }; /* of kernels in the table */

typedef struct ProfileReport {
    const Profile *profile;
    int rank, threads; /* threads: of a rank's products */
    const char *arithmetic;
    Speed speed; /* of one core */
} ProfileReport;

/* ---- the table ------------------------------------------------------------------------ */

static int by_seconds(const void *a, const void *b)
{
    const ProfileSpot *const *x = a, *const *y = b;
    return ((*x)->seconds < (*y)->seconds) - ((*x)->seconds > (*y)->seconds);
}

static double sum_seconds(const ProfileSpot *spots, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += spots[i].seconds;
    return sum;
}

static double share(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : 0;
}

static double a_step(const ProfileReport *report, double sum)
{
    return sum / (double)report->profile->steps;
}

/* "3072x768", "768" or "". Owned. */
static char *size_of(const ProfileSpot *spot)
{
    if (spot->rows > 0)
        return xprintf("%lldx%lld", (long long)spot->rows, (long long)spot->columns);
    return spot->columns > 0 ? xprintf("%lld", (long long)spot->columns) : xstrdup("");
}

static void add_kernel(const ProfileReport *report, const ProfileSpot *spot, double all, Text *out)
{
    char *size = size_of(spot);
    text_addf(out, "  %-37s %-13s %7.1f %9.3f %6.1f%%", spot->name, size, a_step(report, (double)spot->calls),
              a_step(report, 1e3 * spot->seconds), share(spot->seconds, all));
    const double speed = spot->seconds > 0 ? spot->flops / spot->seconds / 1e9 : 0;
    if (spot->flops > 0)
        text_addf(out, " %8.1f %5.0f%%", speed, share(speed, report->speed.most * report->threads));
    else
        text_addf(out, " %8s %6s", "", "");
    text_addf(out, " %7.1f\n", spot->seconds > 0 ? spot->bytes / spot->seconds / 1e9 : 0);
    free(size);
}

static void add_phases(const ProfileReport *report, Text *out)
{
    const Profile *p = report->profile;
    const double all = sum_seconds(p->phase, p->phases);
    for (int i = 0; i < p->phases; i++)
        text_addf(out, "  %-59s %9.3f %6.1f%%\n", p->phase[i].name, a_step(report, 1e3 * p->phase[i].seconds),
                  share(p->phase[i].seconds, all));
}

static double computing(const Profile *p)
{
    for (int i = 0; i < p->phases; i++)
        if (strcmp(p->phase[i].name, profile_computing) == 0)
            return p->phase[i].seconds;
    return 0;
}

static void add_kernels(const ProfileReport *report, Text *out)
{
    const Profile *p = report->profile;
    const ProfileSpot *order[PROFILE_KERNELS];
    const double all = computing(p);
    double others = 0, flops = 0;
    for (int i = 0; i < p->kernels; i++)
        order[i] = &p->kernel[i];
    qsort(order, (size_t)p->kernels, sizeof *order, by_seconds);
    text_addf(out, "  %-37s %-13s %7s %9s %7s %8s %6s %7s\n", "kernels", "size", "calls", "ms", "share", "GFLOP/s",
              "peak", "GB/s");
    for (int i = 0; i < p->kernels; i++) {
        flops += order[i]->flops;
        if (i < LINES) {
            add_kernel(report, order[i], all, out);
            continue;
        }
        others += order[i]->seconds;
    }
    const double outside = all - sum_seconds(p->kernel, p->kernels);
    if (p->kernels > LINES)
        text_addf(out, "  %-59s %9.3f %6.1f%%\n", "other kernels", a_step(report, 1e3 * others), share(others, all));
    text_addf(out, "  %-59s %9.3f %6.1f%%\n", "between kernels", a_step(report, 1e3 * outside), share(outside, all));
    const double speed = all > 0 ? flops / all / 1e9 : 0;
    text_addf(out, "  %-59s %9.3f %7s %8.1f %5.0f%%\n", "all", a_step(report, 1e3 * all), "", speed,
              share(speed, report->speed.most * report->threads));
}

static void add_table(const ProfileReport *report, Text *out)
{
    const Profile *p = report->profile;
    if (p->steps == 0) {
        text_addf(out, "profile of rank %d: no step was computed behind the first, which is left out\n", report->rank);
        return;
    }
    text_addf(out,
              "profile of rank %d, by step: mean of %lld; %s, %d thread%s, of which each can do %.1f GFLOP/s, and "
              "%.1f in a large product\n",
              report->rank, (long long)p->steps, report->arithmetic, report->threads, report->threads == 1 ? "" : "s",
              report->speed.most, report->speed.products);
    add_phases(report, out);
    add_kernels(report, out);
    if (p->lost > 0)
        text_addf(out, "  %lld calls of further sizes are not in the sums\n", (long long)p->lost);
}

/* ---- the file ------------------------------------------------------------------------- */

static char *name_of(const ProfileSpot *spot)
{
    char *size = size_of(spot), *name = xprintf("%s%s%s", spot->name, *size ? " " : "", size);
    free(size);
    return name;
}

static const ProfileSpot *spot_of(const Profile *p, const ProfileEvent *event)
{
    return event->spot >= 0 ? &p->kernel[event->spot] : &p->phase[-1 - event->spot];
}

static json_t *events_of(const ProfileReport *report)
{
    const Profile *p = report->profile;
    json_t *events = json_array();
    double first = p->events > 0 ? p->event[0].begin : 0;
    for (int64_t i = 0; i < p->events; i++)
        first = p->event[i].begin < first ? p->event[i].begin : first;
    char *process = xprintf("rank %d, step %lld", report->rank, (long long)p->kept_step + 1);
    json_array_append_new(events, json_pack("{s:s, s:s, s:i, s:{s:s}}", "name", "process_name", "ph", "M", "pid",
                                            report->rank, "args", "name", process));
    for (int64_t i = 0; i < p->events; i++) {
        const ProfileEvent *e = &p->event[i];
        char *name = name_of(spot_of(p, e));
        json_array_append_new(events,
                              json_pack("{s:s, s:s, s:s, s:i, s:i, s:f, s:f}", "name", name, "cat",
                                        e->spot >= 0 ? "kernel" : "phase", "ph", "X", "pid", report->rank, "tid", 1,
                                        "ts", (e->begin - first) * 1e6, "dur", (e->end - e->begin) * 1e6));
        free(name);
    }
    free(process);
    return events;
}

static json_t *sums_of(const ProfileSpot *spots, int count)
{
    json_t *sums = json_array();
    for (int i = 0; i < count; i++) {
        char *name = name_of(&spots[i]);
        json_array_append_new(sums,
                              json_pack("{s:s, s:I, s:f, s:f, s:f}", "name", name, "calls", (json_int_t)spots[i].calls,
                                        "seconds", spots[i].seconds, "flops", spots[i].flops, "bytes", spots[i].bytes));
        free(name);
    }
    return sums;
}

static bool write_file(const ProfileReport *report, const char *path, Err *err)
{
    const Profile *p = report->profile;
    json_t *all = json_pack("{s:o, s:s, s:{s:i, s:I, s:i, s:s, s:f, s:f, s:o, s:o}}", "traceEvents", events_of(report),
                            "displayTimeUnit", "ms", "otherData", "rank", report->rank, "steps", (json_int_t)p->steps,
                            "threads", report->threads, "arithmetic", report->arithmetic, "peak_gflops",
                            report->speed.most, "product_gflops", report->speed.products, "phases",
                            sums_of(p->phase, p->phases), "kernels", sums_of(p->kernel, p->kernels));
    const bool ok = json_write(path, all, err);
    json_decref(all);
    return ok;
}

/* Owned. */
static char *path_of(const char *path, int rank)
{
    const char *slash = strrchr(path, '/'), *ending = strrchr(slash ? slash : path, '.');
    const int stem = (int)(ending ? (size_t)(ending - path) : strlen(path));
    return rank == 0 ? xstrdup(path) : xprintf("%.*s-%d%s", stem, path, rank, ending ? ending : "");
}

bool profile_report_begin(int rank, const char *path, Err *err)
{
    char *mine = path_of(path, rank);
    FILE *file = fopen(mine, "a");
    if (file) {
        fclose(file);
        arithmetic_profile();
    } else {
        err_errno(err, "cannot write the profile");
        err_at(err, "%s", mine);
    }
    free(mine);
    return file != NULL;
}

bool profile_report_end(int rank, const char *arithmetic, const char *path, Err *err)
{
    ProfileReport report = {
        .profile = profile_seen(), .rank = rank, .threads = omp_get_max_threads(), .arithmetic = arithmetic
    };
    REQUIRE(report.profile);
    report.speed = speed_measure();
    char *mine = path_of(path, rank);
    const bool ok = write_file(&report, mine, err);
    if (ok && rank == 0) {
        Text text = { 0 };
        add_table(&report, &text);
        if (report.profile->steps > 0)
            text_addf(&text, "the calls of step %lld: %s\n", (long long)report.profile->kept_step + 1, mine);
        fputs(text.data, stdout);
        fflush(stdout);
        text_release(&text);
    }
    free(mine);
    return ok;
}
