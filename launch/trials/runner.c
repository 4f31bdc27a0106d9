#include "launch/trials/runner.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/process.h"
#include "common/base/text.h"
#include "common/config/options.h"
#include "launch/trials/figures.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { NOT_FINITE = 5, PATIENCE = 60 };
static const double LOOK = 0.05; /* seconds between two looks at the trials */

typedef struct Runner {
    TrialList *trials;
    const RunnerOptions *options;
    int running;
    double looked; /* when the evaluations of running trials were counted */
} Runner;

static volatile sig_atomic_t ended_by;

bool runner_sizes(RunnerOptions *options, const char *jobs, const char *ranks, Err *err)
{
    const int64_t cores = sysconf(_SC_NPROCESSORS_ONLN);
    options->jobs = 1;
    if (jobs && !option_int("jobs", jobs, 1, 1024, &options->jobs, err))
        return false;
    options->ranks = cores / options->jobs > 1 ? cores / options->jobs : 1;
    return !ranks || option_int("ranks", ranks, 1, 4096, &options->ranks, err);
}

static void on_signal(int number)
{
    ended_by = number;
}

void runner_signals(void)
{
    struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int runner_ended(void)
{
    return ended_by ? 128 + ended_by : 0;
}

/* ---- one trial --------------------------------------------------------------------------------------- */

/* A server of before may still be ending, when its runner was killed: it holds a lock on the folder. */
static void await_folder(const Trial *trial)
{
    const double until = clock_now() + PATIENCE;
    const int fd = open(trial->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && !ended_by && flock(fd, LOCK_SH | LOCK_NB) != 0 && clock_now() < until)
        clock_sleep(LOOK);
    if (fd >= 0)
        close(fd);
}

static bool has_evaluations(const Trial *trial)
{
    Err none = { 0 };
    json_t *lines = NULL;
    const bool enough =
        trial->halt > 0 && figures_lines(&lines, trial->folder, &none) && figures_evaluations(lines) >= trial->halt;
    json_decref(lines);
    return enough;
}

static void add_words(CommandWords *words, const Trial *trial, const RunnerOptions *o)
{
    const int64_t cores = sysconf(_SC_NPROCESSORS_ONLN), threads = cores / (o->jobs * o->ranks);
    command_words_add(words, process_sibling("lora"));
    command_words_add(words, xstrdup("train"));
    command_words_add(words, xstrdup(o->file));
    command_words_add(words, xprintf("--ranks=%lld", (long long)o->ranks));
    if (o->jobs > 1)
        command_words_add(words, xprintf("--parallel.threads=%lld", (long long)(threads > 1 ? threads : 1)));
    if (o->overwrite && !trial->begun)
        command_words_add(words, xstrdup("--overwrite"));
    for (int i = 0; i < o->overrides->count; i++)
        command_words_add(words, xprintf("--%s", o->overrides->items[i]));
    for (int i = 0; i < trial->changes.count; i++)
        command_words_add(words, xprintf("--%s", trial->changes.items[i]));
    command_words_add(words, xprintf("--train.output_dir=%s", trial->folder));
}

static bool start(Runner *r, Trial *trial, Err *err)
{
    CommandWords words = { 0 };
    char *log = xprintf("%s.log", trial->folder);
    await_folder(trial);
    add_words(&words, trial, r->options);
    if (trial->base >= 0) {
        char *base = xprintf("/proc/%d/fd/%d", (int)getpid(), trial->base);
        setenv("LORA_SHARED_BASE", base, 1);
        free(base);
    } else {
        unsetenv("LORA_SHARED_BASE");
    }
    trial->pid = process_start_logged(words.items, log, err);
    if (trial->pid > 0) {
        trial->state = TRIAL_RUNNING;
        trial->begun = true;
        r->running++;
        log_info("trial", "%s begins, log=%s", trial->name, log);
    }
    command_words_release(&words);
    free(log);
    return trial->pid > 0;
}

/* The last error in what it said, as it stands there. */
static void tell_reason(const Trial *trial)
{
    static const char word[] = "error: ";
    Err none = { 0 };
    char *path = xprintf("%s.log", trial->folder), *text = file_read(path, NULL, &none), *last = NULL;
    for (char *at = text; at && (at = strstr(at, word)); at++)
        last = at == text || at[-1] == '\n' ? at : last;
    while (last && *last && (last[0] == ' ' || text_starts(last, word))) {
        const size_t n = strcspn(last, "\n");
        log_plain("  %.*s", (int)n, last);
        last += n + (last[n] == '\n');
    }
    free(text);
    free(path);
}

static void end(Runner *r, Trial *trial, int code)
{
    trial->state = code == 0 ? TRIAL_DONE : trial->halting ? TRIAL_HALTED : TRIAL_FAILED;
    trial->code = code;
    trial->pid = -1;
    trial->halting = false;
    r->running--;
    if (trial->state == TRIAL_FAILED && !ended_by) {
        log_warn("trial", "%s ended with code %d, what it said is in %s.log", trial->name, code, trial->folder);
        tell_reason(trial);
    } else {
        log_info("trial", "%s %s", trial->name,
                 trial->state == TRIAL_DONE     ? "is done"
                 : trial->state == TRIAL_HALTED ? "is halted"
                                                : "can go on");
    }
}

static void look(Runner *r, Trial *trial, bool count)
{
    if (trial->state != TRIAL_RUNNING)
        return;
    const int code = process_ended(trial->pid);
    if (code >= 0) {
        end(r, trial, code);
    } else if (count && !trial->halting && has_evaluations(trial)) {
        trial->halting = true;
        kill(trial->pid, SIGTERM);
    }
}

/* ---- all of them -------------------------------------------------------------------------------------- */

static Trial *next_waiting(const TrialList *trials)
{
    for (int i = 0; i < trials->count; i++)
        if (trials->items[i].state == TRIAL_WAITING)
            return &trials->items[i];
    return NULL;
}

static void end_all(Runner *r)
{
    for (int i = 0; i < r->trials->count; i++)
        if (r->trials->items[i].state == TRIAL_RUNNING)
            kill(r->trials->items[i].pid, SIGTERM);
    const double until = clock_now() + PATIENCE;
    while (r->running > 0 && clock_now() < until) {
        for (int i = 0; i < r->trials->count; i++)
            look(r, &r->trials->items[i], false);
        clock_sleep(LOOK);
    }
}

bool runner_run(TrialList *trials, const RunnerOptions *options, Err *err)
{
    Runner r = { .trials = trials, .options = options };
    if (options->jobs > 1) /* each job of ranks would take the first cores */
        setenv("OMPI_MCA_hwloc_base_binding_policy", "none", 0);
    bool ok = true;
    for (Trial *next = next_waiting(trials); ok && !ended_by && (next || r.running > 0); next = next_waiting(trials)) {
        if (next && r.running < options->jobs) {
            if ((next->begun || !options->overwrite) && has_evaluations(next))
                next->state = TRIAL_HALTED;
            else
                ok = start(&r, next, err);
            continue;
        }
        const double now = clock_now();
        const bool count = now >= r.looked + 2 * LOOK;
        r.looked = count ? now : r.looked;
        for (int i = 0; i < trials->count; i++)
            look(&r, &trials->items[i], count);
        clock_sleep(LOOK);
    }
    if (r.running > 0)
        end_all(&r);
    return ok && !ended_by;
}

int runner_code(const TrialList *trials)
{
    int code = 0, not_finite = 0, ends = 0;
    for (int i = 0; i < trials->count; i++) {
        const Trial *trial = &trials->items[i];
        ends += trial->state == TRIAL_DONE;
        if (trial->state == TRIAL_FAILED && trial->code == NOT_FINITE)
            not_finite = NOT_FINITE;
        else if (trial->state == TRIAL_FAILED && code == 0)
            code = trial->code;
    }
    return code ? code : ends > 0 ? 0 : not_finite;
}
