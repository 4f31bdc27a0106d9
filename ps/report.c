#include "ps/report.h"

#include "common/base/clock.h"
#include "common/base/process.h"
#include "ps/events.h"
#include "ps/history.h"
#include "ps/rounds.h"
#include "ps/run_state.h"
#include "ps/trust.h"

#include <math.h>
#include <stdlib.h>

enum { REPORT_RUNS = 4096 }; /* of pieces, at the most */

static void set(json_t *to, const char *key, json_t *value)
{
    REQUIRE(json_object_set_new(to, key, value ? value : json_null()) == 0);
}

static void set_int(json_t *to, const char *key, int64_t value)
{
    set(to, key, json_integer(value));
}

static void set_real(json_t *to, const char *key, double value)
{
    set(to, key, isfinite(value) ? json_real(value) : NULL);
}

static json_t *hex(uint64_t number)
{
    return json_sprintf("%016llx", (unsigned long long)number);
}

/* ---- the run ----------------------------------------------------------------------------------- */

static const char *state_of(const CoreLook *look)
{
    static const char *const names[] = { "waiting", "training", "evaluating", "over", "paused" };
    return names[look->phase];
}

/* The newest entry of the history with this key; its value, or null. */
static json_t *newest(const Run *run, const char *key)
{
    const json_t *entry = history_last_with(run, key);
    return entry ? json_incref(json_object_get(entry, key)) : NULL;
}

static void add_progress(json_t *to, const Run *run, double now)
{
    const RunState *s = &run->state;
    const Progress *p = &run->progress;
    const double done = (double)(s->version - p->first), left = (double)(run->total - s->version);
    set_int(to, "step", s->version);
    set_int(to, "total_steps", run->total);
    set_real(to, "epoch", history_epoch(run));
    set_real(to, "epochs", run->per_epoch > 0 ? (double)run->total / (double)run->per_epoch : 0);
    set(to, "loss", newest(run, "loss"));
    set(to, "learning_rate", newest(run, "learning_rate"));
    set(to, "grad_norm", newest(run, "grad_norm"));
    set_int(to, "tokens", s->tokens);
    set_real(to, "tokens_per_second", s->seconds > 0 ? (double)s->tokens / s->seconds : 0);
    set_real(to, "seconds", s->seconds);
    set(to, "seconds_left", done > 0 && p->start > 0 ? json_real((now - p->start) / done * left) : NULL);
    set_int(to, "micro_batches", run->M);
    set(to, "complete", json_boolean(run->complete));
    const size_t entries = json_array_size(s->history);
    set(to, "last", entries > 0 ? json_incref(json_array_get(s->history, entries - 1)) : NULL);
    const json_t *evaluation = history_last_with(run, "eval_loss");
    set(to, "evaluation", evaluation ? json_incref((json_t *)(uintptr_t)evaluation) : NULL);
    set(to, "best",
        s->best_step >= 0 ? json_pack("{s:I, s:f}", "step", (json_int_t)s->best_step, "value", s->best) : NULL);
    if (run->store.allocator.table) {
        set_int(to, "budget", allocator_count(&run->store.allocator));
        set_int(to, "triplets", run->adapted.table->triplets);
    }
}

static void add_durable(json_t *to, const Run *run)
{
    json_t *durable = json_object();
    set(durable, "checkpoint", run->saved >= 0 ? json_integer(run->saved) : NULL);
    set_int(durable, "log_bytes", run->wal.fd >= 0 ? run->wal.size : 0);
    set_int(durable, "missing_lines", run->missing_lines);
    set(to, "durable", durable);
    set_real(durable, "sync_seconds", run->wal.sync_seconds);
    if (run->wal.broken)
        set(to, "degraded", json_sprintf("steps are not durable: %s", run->wal.why));
    else if (run->wal.sync_seconds > WAL_SLOW)
        set(to, "degraded", json_sprintf("the disk is slow: a sync of the log takes %.1f s", run->wal.sync_seconds));
    else
        set(to, "degraded", NULL);
}

static void add_costs(json_t *to, const Run *run)
{
    const Costs *costs = &run->costs;
    json_t *traffic = json_object(), *memory = json_object();
    set_int(traffic, "up", costs->up);
    set_int(traffic, "down", costs->down);
    set_int(traffic, "shared_up", costs->placed_up);
    set_int(traffic, "shared_down", costs->placed_down);
    set_real(traffic, "full_fine_tuning", costs_of_full(run));
    set_real(traffic, "share", costs_share(run));
    set(to, "traffic", traffic);
    set_int(memory, "server", process_memory());
    set_int(memory, "server_most", costs->server_bytes);
    set_int(memory, "workers_most", costs->worker_bytes);
    set(to, "memory", memory);
}

/* ---- who works ----------------------------------------------------------------------------------- */

static const char *state_of_client(const CoreLook *look, const Client *client, double now)
{
    if (client->gone)
        return "gone";
    if (client->quarantined_until > now)
        return "quarantined";
    if (rounds_of(look->rounds, client->id))
        return "working";
    return client->late ? "late" : "waiting";
}

static json_t *worker_row(const CoreLook *look, const Client *client, const ReportServer *server, double now)
{
    json_t *row = json_object();
    const double ranks = client->facts.ranks > 0 ? (double)client->facts.ranks : 1;
    set(row, "client", hex(client->id));
    set(row, "host", json_string(client->facts.host));
    set(row, "job", hex(client->facts.job));
    set_int(row, "ranks", client->facts.ranks);
    set(row, "state", json_string(state_of_client(look, client, now)));
    set_int(row, "pieces", rounds_count(look->rounds, client->id));
    set(row, "pieces_per_second", client->speed > 0 ? json_real(client->speed * ranks) : NULL);
    set(row, "lag", client->held >= 0 ? json_integer(look->version - client->held) : NULL);
    set_real(row, "silent", now > client->seen ? now - client->seen : 0);
    set_int(row, "strikes", client->strikes);
    set_int(row, "memory", server->memory_of ? server->memory_of(server->self, client->id) : 0);
    return row;
}

static void add_workers(json_t *to, const CoreLook *look, const ReportServer *server, double now)
{
    const Clients *clients = look->clients;
    json_t *workers = json_array();
    for (int i = 0; i < clients->count && i < REPORT_WORKERS; i++)
        json_array_append_new(workers, worker_row(look, &clients->items[i], server, now));
    set_int(to, "clients", clients->count);
    set_int(to, "ranks", clients_ranks(clients));
    set_int(to, "quarantined", trust_quarantined(clients, now));
    set(to, "workers", workers);
}

static int place_of(const Clients *clients, uint64_t id)
{
    for (int i = 0; id != 0 && i < clients->count && i < REPORT_WORKERS; i++)
        if (clients->items[i].id == id)
            return i;
    return -1;
}

/* Pieces of one owner that lie side by side are one run. */
static void add_pieces(json_t *to, const CoreLook *look)
{
    const bool open = (look->phase == PHASE_TRAIN || look->phase == PHASE_EVAL) && look->rounds->count > 0;
    const Leases *leases = open ? &look->rounds->items[0].leases : NULL;
    json_t *pieces = json_object(), *runs = json_array();
    int64_t done = 0;
    for (int64_t i = 0, begin = 0; open && i < leases->n; i++) {
        const LeasePiece *piece = &leases->pieces[i], *next = i + 1 < leases->n ? piece + 1 : NULL;
        done += piece->done;
        if (next && next->owner == piece->owner && next->done == piece->done)
            continue;
        if (json_array_size(runs) < REPORT_RUNS)
            json_array_append_new(runs, json_pack("[I, I, i, b]", (json_int_t)begin, (json_int_t)(i + 1),
                                                  place_of(look->clients, piece->owner), (int)piece->done));
        begin = i + 1;
    }
    set_int(pieces, "total", open ? leases->n : 0);
    set_int(pieces, "done", done);
    set(pieces, "runs", runs);
    set(to, "pieces", pieces);
}

/* ---- all of it ------------------------------------------------------------------------------------- */

json_t *report_json(const Run *run, const PsCore *core, const ReportServer *server, double now)
{
    const CoreLook look = core_look(core);
    json_t *to = json_object(), *refused = json_object();
    if (server->answer || server->refusal)
        set(to, server->refusal ? "refusal" : "answer",
            json_string(server->refusal ? server->refusal : server->answer));
    set(to, "state", json_string(state_of(&look)));
    set(to, "draining", json_boolean(run->draining));
    add_progress(to, run, now);
    add_durable(to, run);
    add_workers(to, &look, server, now);
    add_pieces(to, &look);
    add_costs(to, run);
    set_int(refused, "malformed", server->malformed);
    set_int(refused, "absurd", run->absurd);
    set_int(refused, "differing", look.differing);
    set(to, "refused", refused);
    set(to, "run", hex(run->id));
    set(to, "output_dir", json_string(run->folder));
    set(to, "address", json_string(server->address));
    set_real(to, "started", server->started);
    set(to, "events", events_json());
    return to;
}

char *report_text(const Run *run, const PsCore *core, const ReportServer *server, double now)
{
    json_t *report = report_json(run, core, server, now);
    char *text = json_dumps(report, JSON_COMPACT);
    REQUIRE(text);
    json_decref(report);
    return text;
}
