#include "ps/trace.h"

#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "ps/idmap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SERVER = 1, CLIENTS = 4096 }; /* the process that the server is in the trace; clients that are told of */

/* A client's open lease. */
typedef struct Traced {
    uint64_t id;
    Msg lease; /* without its data */
    double begin, first, last, seconds; /* it was sent; its first, last sum came; that computing took */
    bool open;
} Traced;

struct Trace {
    FILE *file;
    char *path;
    int64_t events;
    double step_begin;
    IdMap ids;
    Traced *clients; /* [count], owned */
    int count;
};

/* ---- the file -------------------------------------------------------------------------------- */

/* Takes the event. The array's end may be left out, so that a trace is one whenever it is read. */
static void put(Trace *trace, json_t *event)
{
    REQUIRE(event);
    char *line = json_dumps(event, JSON_COMPACT);
    json_decref(event);
    if (trace->file && (fprintf(trace->file, "%s,\n", line) < 0 || ++trace->events >= TRACE_EVENTS)) {
        log_warn("trace", "no more events are written: %s path=%s",
                 trace->events >= TRACE_EVENTS ? "there are enough" : strerror(errno), trace->path);
        fclose(trace->file);
        trace->file = NULL;
    }
    free(line);
}

static double micro(double seconds)
{
    return seconds * 1e6;
}

static void put_span(Trace *trace, int process, const char *name, double begin, double end, json_t *more)
{
    put(trace, json_pack("{s:s, s:s, s:i, s:i, s:f, s:f, s:o}", "name", name, "ph", "X", "pid", process, "tid", 1, "ts",
                         micro(begin), "dur", micro(end > begin ? end - begin : 0), "args", more));
}

static void put_name(Trace *trace, int process, const char *name)
{
    put(trace, json_pack("{s:s, s:s, s:i, s:{s:s%}}", "name", "process_name", "ph", "M", "pid", process, "args", "name",
                         name, strlen(name)));
}

Trace *trace_open(const char *path, double now, Err *err)
{
    FILE *file = fopen(path, "ae");
    bool ok = file != NULL;
    if (ok && ftell(file) == 0)
        ok = fputs("[\n", file) >= 0;
    if (!ok) {
        err_errno(err, "cannot write the trace");
        err_at(err, "%s", path);
        if (file)
            fclose(file);
        return NULL;
    }
    Trace *trace = xcalloc(1, sizeof *trace);
    *trace = (Trace){ .file = file, .path = xstrdup(path), .step_begin = now };
    put_name(trace, SERVER, "parameter server");
    return trace;
}

/* ---- clients --------------------------------------------------------------------------------- */

static Traced *find(const Trace *trace, uint64_t client)
{
    const int place = idmap_find(&trace->ids, client);
    return place >= 0 ? &trace->clients[place] : NULL;
}

/* The same in the trace of every server of the run. */
static int process_of(uint64_t client)
{
    return SERVER + 1 + (int)(client % 1000000000);
}

/* NULL: there are too many. */
static Traced *meet(Trace *trace, uint64_t client)
{
    Traced *known = find(trace, client);
    if (known || trace->count >= CLIENTS)
        return known;
    trace->clients = xrealloc(trace->clients, ((size_t)trace->count + 1) * sizeof *trace->clients);
    trace->clients[trace->count] = (Traced){ .id = client };
    idmap_put(&trace->ids, client, trace->count);
    return &trace->clients[trace->count++];
}

static json_t *ranges_json(const Msg *lease)
{
    json_t *ranges = json_array();
    for (int i = 0; i < lease->range_count; i++)
        json_array_append_new(ranges,
                              json_pack("[I, I]", (json_int_t)lease->range[i].begin, (json_int_t)lease->range[i].end));
    return ranges;
}

/* What it has made of its lease; nothing, when no sum came. */
static void close_lease(Trace *trace, Traced *client)
{
    const bool eval = client->lease.kind == LEASE_EVAL;
    const int process = process_of(client->id);
    const double begin = client->first - client->seconds;
    if (client->open && client->first > 0) {
        put_span(trace, process, eval ? "lease of an evaluation" : "lease", client->begin, client->last,
                 json_pack("{s:I, s:o}", eval ? "version" : "step", (json_int_t)client->lease.step + !eval, "pieces",
                           ranges_json(&client->lease)));
        put_span(trace, process, eval ? "evaluate" : "compute", begin > client->begin ? begin : client->begin,
                 client->first, json_pack("{s:f}", "seconds", client->seconds));
    }
    client->open = false;
}

static void take_hello(Trace *trace, const Msg *hello)
{
    if (find(trace, hello->client) || !meet(trace, hello->client))
        return;
    char *name = xprintf("%s, client %016llx, ranks %lld", hello->facts.host, (unsigned long long)hello->client,
                         (long long)hello->facts.ranks);
    put_name(trace, process_of(hello->client), name);
    free(name);
}

/* A gradient in pieces says with each of them what it took: the first one counts. */
static void take_sum(Traced *client, const Msg *msg, double now)
{
    if (!client->open || msg->step != client->lease.step || msg->again)
        return;
    client->seconds += msg->at == 0 ? msg->seconds : 0;
    client->first = client->first > 0 ? client->first : now;
    client->last = now;
}

void trace_received(Trace *trace, const Msg *msg, double now)
{
    Traced *client = trace && trace->file && msg->client != 0 ? find(trace, msg->client) : NULL;
    if (trace && trace->file && msg->type == MSG_HELLO)
        take_hello(trace, msg);
    else if (client && (msg->type == MSG_PUSH || msg->type == MSG_EVAL))
        take_sum(client, msg, now);
    else if (client && ((msg->type == MSG_PULL && msg->at < 0) || msg->type == MSG_BYE))
        close_lease(trace, client);
}

void trace_sent(Trace *trace, const Msg *msg, double now)
{
    Traced *client = trace && trace->file && msg->type == MSG_LEASE ? meet(trace, msg->client) : NULL;
    if (!client)
        return;
    close_lease(trace, client);
    *client = (Traced){ .id = msg->client, .lease = *msg, .begin = now, .open = msg->kind != LEASE_STOP };
    client->lease.data = NULL;
    client->lease.text = NULL;
}

/* ---- the server ------------------------------------------------------------------------------ */

void trace_handled(Trace *trace, int64_t before, int64_t after, double begin, double now)
{
    if (!trace || !trace->file || before == after)
        return;
    char name[32];
    snprintf(name, sizeof name, "step %lld", (long long)after);
    put_span(trace, SERVER, name, trace->step_begin, now, json_object());
    put_span(trace, SERVER, "made", begin, now, json_object());
    trace->step_begin = now;
    if (trace->file)
        fflush(trace->file);
}

void trace_close(Trace *trace)
{
    if (!trace)
        return;
    for (int i = 0; i < trace->count; i++)
        close_lease(trace, &trace->clients[i]);
    if (trace->file && fclose(trace->file) != 0)
        log_warn("trace", "the trace is not whole: %s path=%s", strerror(errno), trace->path);
    idmap_release(&trace->ids);
    free(trace->clients);
    free(trace->path);
    free(trace);
}
