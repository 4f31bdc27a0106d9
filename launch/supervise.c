/* DESIGN: the server says when the run is over. Signals go to it: it makes a checkpoint and tells the
 * workers. A start was in vain when the child died before the run had got a step further; whoever
 * starts in vain too often ends the run. */
#include "launch/supervise.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/process.h"
#include "launch/ask_status.h"
#include "launch/relay.h"
#include "launch/workers.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

typedef struct Deaths {
    int64_t step; /* that the run had reached at the last one */
    int in_vain; /* in a row, without a step between them */
} Deaths;

typedef struct Supervisor {
    ServerProcess *server;
    const char *const *words; /* the server's */
    int count;
    int64_t ranks;
    pid_t workers; /* mpirun; -1: none */
    Relay relay;
    int ended; /* how the workers ended, while there are none */
    int told; /* interrupts passed on */
    Deaths of_server, of_workers;
} Supervisor;

static volatile sig_atomic_t interrupts, last_signal;

static void on_signal(int number)
{
    interrupts++;
    last_signal = number;
}

void supervise_signals(void)
{
    struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool supervise_server_died(int code)
{
    return code > 128 && code != 128 + SIGINT && code != 128 + SIGTERM;
}

/* The step that the run has reached; -1: the server does not say. */
static int64_t step_of(const char *address)
{
    Err err = { 0 };
    char *text = ask_status(address, NULL, NULL, &err);
    json_t *status = text ? json_bytes(text, strlen(text), "status", &err) : NULL;
    const int64_t step = status ? json_get_int(status, "step", -1, &err) : -1;
    json_decref(status);
    free(text);
    return step;
}

/* Counts one. False: it is the last. */
static bool count_death(const Supervisor *s, Deaths *deaths)
{
    const int64_t step = step_of(s->server->address);
    deaths->in_vain = step > deaths->step ? 1 : deaths->in_vain + 1;
    deaths->step = step > deaths->step ? step : deaths->step;
    return deaths->in_vain < STARTS_IN_VAIN;
}

/* ---- the workers ----------------------------------------------------------------------------- */

static void start_workers(Supervisor *s, Err *err)
{
    int heard = -1;
    Text kept = s->relay.kept; /* Open MPI loses words of its own: what any start in vain has said counts */
    s->relay.kept = (Text){ 0 };
    relay_release(&s->relay);
    s->workers = workers_start(s->ranks, s->server->address, &heard, err);
    relay_init(&s->relay, heard);
    if (s->of_workers.in_vain > 0)
        s->relay.kept = kept;
    else
        text_release(&kept);
    s->ended = s->workers < 0 ? err_exit_code(err) : 0;
}

/* What Open MPI said, when no worker had a word of its own. */
static void tell_reason(const Supervisor *s)
{
    const char *kept = s->relay.kept.data;
    if (s->relay.error || !kept || !*kept)
        return;
    log_plain("Open MPI says:");
    for (const char *line = kept; *line; line += strcspn(line, "\n") + 1)
        if (*line != '\n')
            log_plain("  %.*s", (int)strcspn(line, "\n"), line);
    if (strstr(kept, "/dev/shm"))
        log_plain(
            "  try: make room in /dev/shm, where Open MPI keeps 4 MB a rank (df /dev/shm; in a container --shm-size=1g)");
}

/* The workers ended with s->ended, which is no good end: again, or not. */
static bool again(Supervisor *s, Err *err)
{
    const bool chance = workers_again(s->ended);
    const bool more = chance && count_death(s, &s->of_workers);
    if (more) {
        log_warn("workers", "mpirun ended with code %d, starting the workers again", s->ended);
        start_workers(s, err);
        return s->workers > 0;
    }
    tell_reason(s);
    if (chance) {
        err_set(err, ERR_IO, "the workers ended %d times before a step was made, at last with code %d",
                s->of_workers.in_vain, s->ended);
        err_hint(err, "their reason is above; once it is mended, the same command goes on");
    }
    return false;
}

static void end_workers(Supervisor *s, double patience)
{
    const double until = clock_now() + patience;
    while (s->workers > 0 && process_ended(s->workers) < 0) {
        if (clock_now() < until) {
            relay_pump(&s->relay, 0.01);
            continue;
        }
        kill(-s->workers, SIGKILL);
        process_wait(s->workers, 5);
        break;
    }
    s->workers = -1;
    relay_pump(&s->relay, 0);
}

/* ---- the server -------------------------------------------------------------------------------- */

/* At the address that the workers know; it goes on from its log. */
static bool start_server(Supervisor *s, Err *err)
{
    const char **words = xcalloc((size_t)s->count + 1, sizeof *words);
    char *address = xprintf("--ps.address=%s", s->server->address);
    int count = 0;
    for (int i = 0; i < s->count; i++)
        if (strcmp(s->words[i], "--overwrite") != 0)
            words[count++] = s->words[i];
    words[count++] = address;
    free(s->server->address);
    const bool ok = serve_start(s->server, words, count, err);
    free(address);
    free(words);
    return ok;
}

/* The server died with this code: its next start, or its last end. False: *code is the run's. */
static bool serve_again(Supervisor *s, int *code, Err *err)
{
    log_warn("server", "lora_ps ended with code %d, starting it again", *code);
    for (;;) {
        if (start_server(s, err)) {
            if (count_death(s, &s->of_server))
                return true;
            kill(s->server->pid, SIGTERM);
            process_wait(s->server->pid, 30);
            break;
        }
        if (!supervise_server_died(s->server->code) || err->kind != ERR_NONE) {
            *code = err->kind != ERR_NONE ? err_exit_code(err) : s->server->code;
            return false;
        }
        if (++s->of_server.in_vain >= STARTS_IN_VAIN)
            break;
    }
    err_set(err, ERR_IO, "lora_ps died %d times before a step was made, at last with code %d (128 and a signal)",
            s->of_server.in_vain, *code);
    err_hint(err, *code == 128 + SIGKILL ? "is there memory enough? the kernel's log tells whom it has killed"
                                         : "the same command goes on");
    *code = err_exit_code(err);
    return false;
}

/* ---- both --------------------------------------------------------------------------------------- */

static void pass_signals(Supervisor *s)
{
    if (s->told == interrupts)
        return;
    s->told = interrupts;
    kill(s->server->pid, last_signal);
    if (s->told > 1 && s->workers > 0)
        kill(-s->workers, SIGKILL);
}

/* False: nobody works any more, nor will. */
static bool watch_workers(Supervisor *s, Err *err)
{
    const int code = s->workers > 0 ? process_ended(s->workers) : -1;
    if (code >= 0) {
        s->workers = -1;
        s->ended = code;
        relay_pump(&s->relay, 0);
    }
    return s->workers > 0 || s->ended == 0 || s->told > 0 || (code >= 0 && again(s, err));
}

int supervise(ServerProcess *server, const char *const *words, int count, int64_t ranks, Err *err)
{
    Supervisor s = { .server = server,
                     .words = words,
                     .count = count,
                     .ranks = ranks,
                     .workers = -1,
                     .of_server = { -1, 0 },
                     .of_workers = { -1, 0 } };
    int verdict;
    relay_init(&s.relay, -1);
    start_workers(&s, err);
    for (;;) {
        verdict = process_ended(server->pid);
        if (verdict >= 0 && (s.told > 0 || !supervise_server_died(verdict) || !serve_again(&s, &verdict, err)))
            break;
        pass_signals(&s);
        if (!watch_workers(&s, err)) {
            kill(server->pid, SIGTERM); /* nobody will work for it */
            process_wait(server->pid, 30);
            verdict = err->kind != ERR_NONE ? err_exit_code(err) : s.ended;
            break;
        }
        relay_pump(&s.relay, 0.02);
    }
    if (err->kind != ERR_NONE && s.workers > 0)
        kill(s.workers, SIGTERM); /* they would wait for a server that does not come back */
    end_workers(&s, 20);
    relay_release(&s.relay);
    if (interrupts > 0)
        log_tidy();
    return verdict;
}
