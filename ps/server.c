#include "ps/server.h"

#include "common/base/address.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/wire/socket.h"
#include "ps/costs.h"
#include "ps/events.h"
#include "ps/labels.h"
#include "ps/orders.h"
#include "ps/outgoing_values.h"
#include "ps/piece_tokens.h"
#include "ps/places.h"
#include "ps/prometheus.h"
#include "ps/report.h"
#include "ps/rounds.h"
#include "ps/routes.h"
#include "ps/save.h"
#include "ps/trace.h"
#include "ps/web.h"
#include "ps/world.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const double show_pause = 0.5; /* seconds between two pictures for the status page */
static const double tick = 0.1; /* seconds between core_ticks */
static const double farewell = 1.0; /* seconds that clients have to say BYE at the end */
static const double hearing = 5.0; /* and who ordered the end, to have the answer */
static const double return_time = 5.0; /* and to come back to a server that was killed at the end */
static const int64_t sum_bytes = 256 << 20; /* for gradients that wait for others */
enum { ROUND_MESSAGES = 256 };

typedef struct Server {
    Run *run;
    PsCore *core;
    WireContext *context;
    WireSocket *data, *control;
    Routes routes;
    OutgoingValues values;
    CostsSeen seen; /* but for the bytes of the sockets, what they are now */
    int64_t malformed, malformed_told;
    double told_malformed; /* when */
    double started; /* seconds since 1970 */
    bool takes_orders;
    WireId ordered_by; /* who had it stop, on control; size 0: nobody */
    Web *web; /* NULL: none */
    Trace *trace; /* NULL: none */
    double shown; /* when it was last shown something */
    char *end_text; /* what the core told the clients at the end; owned */
} Server;

/* The number of the signal that came first. */
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    if (interrupted && number == SIGINT) {
        log_bar_leave();
        _exit(130);
    }
    if (!interrupted)
        interrupted = number;
}

static void catch_signals(struct sigaction old[2])
{
    struct sigaction action = { .sa_handler = on_signal };
    sigemptyset(&action.sa_mask);
    interrupted = 0;
    sigaction(SIGTERM, &action, &old[0]);
    sigaction(SIGINT, &action, &old[1]);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write, as a full disk is */
    signal(SIGPIPE, SIG_IGN); /* whoever read our log is gone: no reason to end without a checkpoint */
}

static void restore_signals(const struct sigaction old[2])
{
    sigaction(SIGTERM, &old[0], NULL);
    sigaction(SIGINT, &old[1], NULL);
}

/* ---- answers ------------------------------------------------------------------------------- */

static void answer_with(WireSocket *socket, const WireId *to, const Msg *msg, const WireBytes *bytes)
{
    Err err = { 0 };
    if (wire_send_shared(socket, to, msg, bytes, &err) == WIRE_BAD)
        log_error("server", "cannot answer with %s: %s", msg_name(msg->type), err.what);
}

static void answer_on(WireSocket *socket, const WireId *to, const Msg *msg)
{
    answer_with(socket, to, msg, NULL);
}

/* Work on the data socket, everything else on control; on the other one when only that is known.
 * What cannot be sent now is dropped: the client asks again. */
static void answer(Server *server, const Msg *msg)
{
    const Route *route = routes_find(&server->routes, msg->client);
    if (!route)
        return;
    const bool work =
        msg->type == MSG_LEASE || msg->type == MSG_VALUES || msg->type == MSG_ACK || msg->type == MSG_NEED;
    const bool data = route->data.size > 0 && (work || route->control.size == 0);
    const WireBytes *bytes = msg->size > 0 ? outgoing_values_of(&server->values, msg) : NULL;
    answer_with(data ? server->data : server->control, data ? &route->data : &route->control, msg, bytes);
}

/* Bytes of tensor that a message may bring: gradients, and the metric sums that welcome clients
 * announced. */
static void set_limit(Server *server, int64_t eval_width)
{
    const int64_t size = run_slot_size(server->run);
    const int64_t slots = (size < WIRE_PIECE ? size : WIRE_PIECE) * (int64_t)sizeof(float);
    const int64_t sums = eval_width * (int64_t)sizeof(double);
    wire_limit(server->data, (size_t)(slots > sums ? slots : sums));
}

static void answer_all(Server *server)
{
    Msg reply;
    while (core_reply(server->core, &reply)) {
        Route *route = routes_find(&server->routes, reply.client);
        if (route && reply.type == MSG_WELCOME) {
            route->member = true;
            set_limit(server, route->eval_width);
            places_offer(&reply.memory, route, server->run);
        }
        if (route && reply.type == MSG_LEASE)
            places_lease(&reply, route, server->run, &server->seen);
        if (reply.type == MSG_LEASE && reply.kind == LEASE_STOP && reply.text) {
            free(server->end_text);
            server->end_text = xstrdup(reply.text);
        }
        reply.run = run_id(server->run);
        trace_sent(server->trace, &reply, clock_now());
        answer(server, &reply);
    }
}

/* ---- messages ------------------------------------------------------------------------------ */

static int64_t memory_of(const void *self, uint64_t client)
{
    const Route *route = routes_find(&((const Server *)self)->routes, client);
    return route ? route->rss_bytes : 0;
}

static ReportServer report_of(const Server *server, const OrderAnswer *order)
{
    return (ReportServer){ .started = server->started,
                           .malformed = server->malformed,
                           .address = wire_endpoint(server->data),
                           .refusal = order->refused ? order->said : NULL,
                           .answer = order->refused ? NULL : order->said,
                           .memory_of = memory_of,
                           .self = server };
}

static void answer_status(Server *server, WireSocket *socket, const WireId *from, const Msg *msg)
{
    int64_t ranks;
    const bool workers = core_clients(server->core, &ranks) > 0;
    const OrderAnswer order = orders_take(server->run, msg->text, server->takes_orders, workers);
    const ReportServer report = report_of(server, &order);
    char *text = report_text(server->run, server->core, &report, clock_now());
    const Msg reply = { .type = MSG_STATUS, .run = run_id(server->run), .client = msg->client, .text = text };
    answer_on(socket, from, &reply);
    if (order.stop && !interrupted) {
        interrupted = SIGTERM;
        server->ordered_by = *from;
    }
    free(order.said);
    free(text);
}

/* Another protocol version gets its answer; everything else malformed is counted. */
static void take_malformed(Server *server, WireSocket *socket, const WireId *from, const Err *why)
{
    const double now = clock_now();
    server->malformed++;
    if (why->kind == ERR_REFUSED && from->size > 0) {
        char text[sizeof why->what];
        snprintf(text, sizeof text, "%s", why->what);
        const Msg refuse = { .type = MSG_REFUSE, .text = text };
        answer_on(socket, from, &refuse);
    }
    if (now - server->told_malformed < 1)
        return;
    log_warn("server", "dropped messages=%lld last: %s", (long long)(server->malformed - server->malformed_told),
             why->what);
    server->told_malformed = now;
    server->malformed_told = server->malformed;
}

/* Labels that a worker found, where the run has none yet. False: they are refused, and the worker was told. */
static bool take_labels(Server *server, const Msg *msg)
{
    Err err = { 0 };
    if (!msg->text || (msg->type != MSG_ASK && msg->type != MSG_HELLO) || !labels_wanted(server->run))
        return true;
    if (labels_take(server->run, msg->text, &err)) {
        set_limit(server, 0);
        return true;
    }
    char *text = xprintf("%s%s%s%s%s", err.what, err.where[0] ? " (" : "", err.where, err.where[0] ? ")" : "",
                         err.kind == ERR_REFUSED ? "" : ": these labels do not fit the run");
    const Msg refuse = { .type = MSG_REFUSE, .run = run_id(server->run), .client = msg->client, .text = text };
    log_warn("server", "labels refused: %s", text);
    answer(server, &refuse);
    free(text);
    return false;
}

static void take_message(Server *server, WireSocket *socket, const WireId *from, Msg *msg)
{
    if (msg->type == MSG_STATUS) {
        answer_status(server, socket, from, msg);
        return;
    }
    const double now = clock_now();
    Route *route = routes_note(&server->routes, msg, from, socket == server->data, now);
    if (!route)
        return;
    if (msg->type == MSG_HELLO) {
        route->eval_width = msg->facts.eval_width;
        places_note(route, msg);
    }
    if (msg->rss_bytes > 0)
        route->rss_bytes = msg->rss_bytes;
    if (msg->type == MSG_BEAT && costs_may_foresee(&msg->foreseen))
        route->foreseen = msg->foreseen;
    if (msg->type == MSG_PULL)
        route->in_place = msg->place != PLACE_WIRE;
    if (msg->type == MSG_BYE)
        places_leave(route);
    if (!take_labels(server, msg))
        return;
    const bool placed = msg->type == MSG_PUSH && msg->place == PLACE_ALL && !msg->again;
    if (placed && !places_lend(msg, route, &server->seen)) {
        const Msg unknown = { .type = MSG_BEAT, .run = run_id(server->run), .client = msg->client };
        answer(server, &unknown);
        return;
    }
    if (msg->type == MSG_ASK && msg->text)
        piece_tokens_take(server->run, msg->text);
    const int64_t before = run_version(server->run);
    trace_received(server->trace, msg, now);
    if (places_is_stale(msg, server->run))
        core_useless(server->core, msg);
    else
        core_message(server->core, msg, now);
    if (placed)
        msg->data = NULL;
    trace_handled(server->trace, before, run_version(server->run), now, clock_now());
    answer_all(server);
}

/* Clients whose connection has ended: a process that died is known by that at once. */
static void take_gone(Server *server, double now)
{
    WireId id;
    while (wire_gone(server->control, &id))
        for (int i = 0; i < server->routes.count; i++)
            if (wire_same_id(&server->routes.items[i].control, &id)) {
                places_forget(&server->routes.items[i]);
                core_gone(server->core, server->routes.items[i].client, now);
                answer_all(server);
            }
}

/* Control first, and in turns: neither socket can keep the other, or the clock, waiting. */
static void take_messages(Server *server, WireSocket *socket)
{
    Msg msg;
    WireId from;
    Err err;
    for (int i = 0; i < ROUND_MESSAGES; i++) {
        const WireReceived received = wire_receive(socket, &msg, &from, &err);
        if (received == WIRE_NOTHING)
            return;
        if (received == WIRE_MALFORMED)
            take_malformed(server, socket, &from, &err);
        else
            take_message(server, socket, &from, &msg);
        msg_release(&msg);
    }
}

/* What the page shows from now on. */
static void show(Server *server, double now)
{
    if (!server->web || now < server->shown + show_pause)
        return;
    server->shown = now;
    const ReportServer about = report_of(server, &(OrderAnswer){ 0 });
    json_t *report = report_json(server->run, server->core, &about, now);
    Text metrics = { 0 };
    prometheus_write(&metrics, report);
    web_show(server->web, json_dumps(report, JSON_COMPACT), text_take(&metrics),
             json_string_value(json_object_get(report, "degraded")));
    json_decref(report);
}

/* ---- the loop ------------------------------------------------------------------------------ */

static void count(Server *server)
{
    int64_t ranks, rss = 0, out[2], in[2];
    const int64_t clients = core_clients(server->core, &ranks);
    CostsSeen *seen = &server->seen;
    seen->foreseen = (Foreseen){ 0 };
    for (int i = 0; i < server->routes.count; i++) {
        const Route *route = &server->routes.items[i];
        rss += route->member ? route->rss_bytes : 0;
        if (route->member)
            costs_foresee(&seen->foreseen, &route->foreseen);
    }
    if (clients > seen->clients)
        seen->clients = clients;
    if (ranks > seen->ranks)
        seen->ranks = ranks;
    seen->workers_now = rss;
    if (rss > seen->worker_bytes)
        seen->worker_bytes = rss;
    wire_traffic(server->data, &out[0], &in[0]);
    wire_traffic(server->control, &out[1], &in[1]);
    seen->up = in[0] + in[1];
    seen->down = out[0] + out[1];
    costs_count(server->run, seen);
    if (run_is_draining(server->run) && clients == 0 && !interrupted)
        interrupted = SIGTERM; /* who had the open work is gone */
}

static void show_evaluation(Server *server)
{
    const CoreLook look = core_look(server->core);
    const Leases *leases = look.phase == PHASE_EVAL ? &look.rounds->items[0].leases : NULL;
    run_show_evaluation(server->run, leases ? leases->done : 0, leases ? leases->n : 0);
}

static void serve(Server *server)
{
    WireSocket *const sockets[] = { server->control, server->data };
    double next_tick = 0, now = clock_now();
    const double stay = core_is_over(server->core) ? now + return_time : now;
    while (!interrupted && (!core_is_over(server->core) || (now < stay && server->seen.clients == 0))) {
        now = clock_now();
        if (now >= next_tick) {
            core_tick(server->core, now);
            answer_all(server);
            count(server);
            routes_forget(&server->routes, now);
            show(server, now);
            show_evaluation(server);
            next_tick = now + tick;
        }
        wire_wait(sockets, 2, -1, next_tick - now);
        take_gone(server, now);
        take_messages(server, server->control);
        take_messages(server, server->data);
    }
    count(server);
}

static bool anybody_left(const Server *server)
{
    for (int i = 0; i < server->routes.count; i++)
        if (server->routes.items[i].member)
            return true;
    return false;
}

static void say_stop(Server *server, const Route *route, int code, char *text)
{
    const Msg stop = { .type = MSG_LEASE,
                       .run = run_id(server->run),
                       .client = route->client,
                       .step = run_version(server->run),
                       .kind = LEASE_STOP,
                       .code = code,
                       .text = text };
    answer(server, &stop);
}

static void take_farewells(Server *server, WireSocket *socket, int code, char *text)
{
    Msg msg;
    WireId from;
    Err err;
    WireReceived received;
    while ((received = wire_receive(socket, &msg, &from, &err)) != WIRE_NOTHING) {
        Route *route = NULL;
        if (received == WIRE_MESSAGE && msg.type != MSG_STATUS)
            route = routes_note(&server->routes, &msg, &from, socket == server->data, clock_now());
        if (route && msg.type == MSG_BYE) {
            const Msg bye = { .type = MSG_BYE, .run = run_id(server->run), .client = msg.client };
            answer(server, &bye);
            route->member = false;
        } else if (route && msg.run == run_id(server->run)) { /* others wait for another server */
            say_stop(server, route, code, text);
        }
        msg_release(&msg);
    }
}

/* Everybody hears why it ends and has a moment to say BYE; who asks again meanwhile, hears again.
 */
static void say_farewell(Server *server, int code, char *text, bool tell)
{
    WireSocket *const sockets[] = { server->control, server->data };
    const double until = clock_now() + farewell;
    for (int i = 0; tell && i < server->routes.count; i++)
        if (server->routes.items[i].member)
            say_stop(server, &server->routes.items[i], code, text);
    for (double now = clock_now(); anybody_left(server) && now < until; now = clock_now()) {
        wire_wait(sockets, 2, -1, until - now < tick ? until - now : tick);
        take_farewells(server, server->control, code, text);
        take_farewells(server, server->data, code, text);
    }
}

/* Who ordered the end leaves when it has the answer: what has come in is dropped where ZeroMQ sees the end of the
 * connection before its reader has it. */
static void await_orderer(Server *server, int code, char *text)
{
    const double until = clock_now() + hearing;
    bool gone = server->ordered_by.size == 0;
    for (double now = clock_now(); !gone && now < until; now = clock_now()) {
        WireId id;
        wire_wait(&server->control, 1, -1, tick / 10);
        take_farewells(server, server->control, code, text);
        while (!gone && wire_gone(server->control, &id))
            gone = wire_same_id(&id, &server->ordered_by);
    }
}

static int leave_interrupted(Server *server, Err *err)
{
    const int code = 128 + interrupted; /* as shells count: 130, 143 */
    log_bar_end();
    if (run_is_begun(server->run))
        log_warn("server", "interrupted, checkpoint at step=%lld", (long long)run_version(server->run));
    const bool saved = save_checkpoint(server->run, err);
    char text[] = "the parameter server was interrupted; the same command goes on";
    say_farewell(server, code, text, true);
    await_orderer(server, code, text);
    return saved ? code : err_exit_code(err);
}

static ErrKind kind_of(int code)
{
    const ErrKind kinds[] = { ERR_NONE, ERR_IO, ERR_INPUT, ERR_PEER, ERR_REFUSED, ERR_TRAINING };
    return code >= 0 && code <= 5 ? kinds[code] : ERR_IO;
}

static int leave_drained(Server *server, Err *err)
{
    log_bar_end();
    const bool saved = save_checkpoint(server->run, err);
    log_info("server", "drained at step=%lld", (long long)run_version(server->run));
    say_farewell(server, RUN_DRAINED, server->end_text, false);
    return saved ? RUN_DRAINED : err_exit_code(err);
}

static int leave_complete(Server *server, Err *err)
{
    const int code = core_exit_code(server->core);
    if (code == RUN_DRAINED)
        return leave_drained(server, err);
    places_forget_all(&server->routes);
    if (code == 0 && !run_finish(server->run, err)) {
        say_farewell(server, err_exit_code(err), err->what, true);
        return err_exit_code(err);
    }
    if (code != 0)
        err_set(err, kind_of(code), "%s", server->end_text ? server->end_text : "the run ended with an error");
    say_farewell(server, code, server->end_text, false);
    return code;
}

/* ---- start --------------------------------------------------------------------------------- */

static bool is_loopback(const char *text)
{
    Err none = { 0 };
    Address address = { 0 };
    const bool is = address_read(&address, text, &none) && address.loopback;
    address_release(&address);
    return is;
}

static bool may_listen(const char *text, const ServerOptions *options, Err *err)
{
    Address address;
    if (!address_read(&address, text, err))
        return false;
    address_release(&address);
    const bool ok = options->keys || options->insecure || is_loopback(text);
    if (!ok) {
        err_set(err, ERR_INPUT, "'%s' can be reached by others, and nothing is encrypted", text);
        err_hint(err, "`lora keys new FOLDER`, and ps.keys: FOLDER; or ps.insecure: true on a network that is yours");
    }
    return ok;
}

/* Before the first socket. */
static bool secure(WireContext *context, const char *folder, Err *err)
{
    WireKeys keys;
    return !folder || (keys_read_server(&keys, folder, err) && wire_secure(context, &keys, folder, err));
}

static bool announce(const Server *server, const ServerOptions *options, Err *err)
{
    const char *endpoint = wire_endpoint(server->data);
    log_info("server", "listens at %s and the next port%s", endpoint, options->keys ? ", to clients with a key" : "");
    run_note_address(server->run, endpoint);
    if (!options->ready_file)
        return true;
    char *line = xprintf("%s\n", endpoint);
    const bool ok = file_write(options->ready_file, line, strlen(line), err);
    free(line);
    return ok;
}

/* HOST:PORT, whatever port it got. */
static bool open_web(Server *server, const ServerOptions *options, Err *err)
{
    if (!options->http)
        return true;
    char *metrics = run_metrics_path(server->run);
    server->web = web_open(&(WebOptions){ options->http, metrics, options->insecure }, err);
    free(metrics);
    if (!server->web)
        return err_at(err, "ps.http");
    log_info("server", "status page at http://%.*s:%d/", (int)(strrchr(options->http, ':') - options->http),
             options->http, web_port(server->web));
    return true;
}

static bool server_open(Server *server, Run *run, const ServerOptions *options, Err *err)
{
    const char *address = options->address ? options->address : "tcp://127.0.0.1:*";
    *server = (Server){ .run = run, .started = (double)time(NULL) };
    if (!may_listen(address, options, err) ||
        (options->trace && !(server->trace = trace_open(options->trace, clock_now(), err))))
        return false;
    CoreOptions core = world_options(run);
    core.sum_bytes = sum_bytes;
    core.lease_timeout = options->lease_timeout;
    const CoreWorld world = world_of(run);
    server->core = core_new(&core, &world);
    server->context = wire_context_open(err);
    if (!server->context || !secure(server->context, options->keys, err) ||
        !wire_bind_pair(server->context, address, &server->data, &server->control, err))
        return false;
    server->takes_orders = options->keys || is_loopback(wire_endpoint(server->data));
    set_limit(server, 0);
    return open_web(server, options, err) && announce(server, options, err);
}

static void server_release(Server *server)
{
    web_close(server->web);
    wire_close(server->data);
    wire_close(server->control);
    wire_context_close(server->context);
    core_free(server->core);
    routes_release(&server->routes);
    outgoing_values_release(&server->values);
    free(server->end_text);
    trace_close(server->trace);
}

int server_run(Run *run, const ServerOptions *options, Err *err)
{
    struct sigaction old[2];
    Server server;
    int code;
    catch_signals(old);
    events_start();
    if (server_open(&server, run, options, err)) {
        serve(&server);
        code = interrupted ? leave_interrupted(&server, err) : leave_complete(&server, err);
    } else {
        code = err_exit_code(err);
    }
    server_release(&server);
    events_stop();
    restore_signals(old);
    return code;
}
