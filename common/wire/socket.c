#include "common/wire/socket.h"

#include "common/base/address.h"
#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/base/text.h"
#include "common/wire/gate.h"
#include "common/wire/guard.h"
#include "common/wire/outgoing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zmq.h>

enum {
    HIGH_WATER = 8, /* whole messages in ZeroMQ's queue of a peer, each way */
    LINGER_MS = 2000, /* what a closed socket may still take to send */
    PORT_TRIES = 64, /* for a free pair of ports */
    MOST_SOCKETS = 4, /* in one wire_wait */
    SEAL = 33 /* bytes that CURVE adds to a frame: a command's name, nonce, authenticator, flags */
};

/* libzmq 4.3.4 has it, but says so only among its drafts: with a domain and nobody who answers for it, all are refused. */
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif

struct WireContext {
    void *zmq;
    bool secure;
    WireKeys keys;
    Gate *gate; /* of a server with keys; owned */
};

struct WireSocket {
    void *zmq;
    bool router;
    bool blocked; /* DEALER: the last send found no room */
    size_t most_tensor;
    char endpoint[256];
    Guard *guard; /* ROUTER; owned */
    int descriptor; /* that the last part came by */
    Gate *gate; /* ROUTER with keys: the context's */
    Handshake *handshake; /* DEALER; owned */
    size_t seal; /* bytes of a frame beyond ours */
    Outgoing *waiting; /* what its peers did not take yet, owned, oldest first */
    int64_t out, in; /* bytes */
};

/* ---- life ---------------------------------------------------------------------------------- */

static bool zmq_failed(Err *err, const char *what)
{
    return err_set(err, ERR_IO, "%s: %s", what, zmq_strerror(zmq_errno()));
}

WireContext *wire_context_open(Err *err)
{
    void *zmq = zmq_ctx_new();
    if (!zmq) {
        zmq_failed(err, "cannot start ZeroMQ");
        return NULL;
    }
    WireContext *context = xcalloc(1, sizeof *context);
    context->zmq = zmq;
    return context;
}

void wire_context_close(WireContext *context)
{
    if (!context)
        return;
    gate_close(context->gate);
    explicit_bzero(&context->keys, sizeof context->keys);
    while (zmq_ctx_term(context->zmq) != 0 && zmq_errno() == EINTR)
        continue;
    free(context);
}

bool wire_secure(WireContext *context, const WireKeys *keys, const char *folder, Err *err)
{
    REQUIRE(keys->server == (folder != NULL) && !context->secure);
    context->keys = *keys;
    context->secure = true;
    return !keys->server || (context->gate = gate_open(context->zmq, folder, err));
}

static bool set_int(void *zmq, int option, int value)
{
    return zmq_setsockopt(zmq, option, &value, sizeof value) == 0;
}

/* Keepalive finds a dead host within 25 s; heartbeats of ours find a silent one sooner. */
static bool set_common(void *zmq)
{
    const int64_t most = WIRE_FRAME_BYTES + WIRE_HEADER_BYTES;
    return set_int(zmq, ZMQ_LINGER, LINGER_MS) && set_int(zmq, ZMQ_SNDHWM, HIGH_WATER) &&
           set_int(zmq, ZMQ_RCVHWM, HIGH_WATER) && set_int(zmq, ZMQ_TCP_KEEPALIVE, 1) &&
           set_int(zmq, ZMQ_TCP_KEEPALIVE_IDLE, 10) && set_int(zmq, ZMQ_TCP_KEEPALIVE_INTVL, 5) &&
           set_int(zmq, ZMQ_TCP_KEEPALIVE_CNT, 3) && set_int(zmq, ZMQ_TCP_MAXRT, 15000) &&
           zmq_setsockopt(zmq, ZMQ_MAXMSGSIZE, &most, sizeof most) == 0;
}

static bool set_dealer(void *zmq)
{
    uint64_t id[2] = { rng_entropy(), rng_entropy() };
    ((unsigned char *)id)[0] |= 1; /* a first byte of zero is ZeroMQ's own */
    return zmq_setsockopt(zmq, ZMQ_ROUTING_ID, id, sizeof id) == 0 && set_int(zmq, ZMQ_IMMEDIATE, 1) &&
           set_int(zmq, ZMQ_RECONNECT_IVL, 100) && set_int(zmq, ZMQ_RECONNECT_IVL_MAX, 2000);
}

static bool set_key(void *zmq, int option, const uint8_t key[KEY_BYTES])
{
    return zmq_setsockopt(zmq, option, key, KEY_BYTES) == 0;
}

static bool set_keys(void *zmq, const WireKeys *keys)
{
    if (!set_key(zmq, ZMQ_CURVE_SECRETKEY, keys->secret_key))
        return false;
    if (keys->server)
        return set_int(zmq, ZMQ_CURVE_SERVER, 1) && set_int(zmq, ZMQ_ZAP_ENFORCE_DOMAIN, 1) &&
               zmq_setsockopt(zmq, ZMQ_ZAP_DOMAIN, GATE_DOMAIN, strlen(GATE_DOMAIN)) == 0;
    return set_key(zmq, ZMQ_CURVE_PUBLICKEY, keys->public_key) && set_key(zmq, ZMQ_CURVE_SERVERKEY, keys->server_key);
}

/* Who watches the peers of a ROUTER, or the server of a DEALER. */
static bool watch(WireSocket *socket, const WireContext *context, Err *err)
{
    if (socket->router)
        return (socket->guard = guard_open(context->zmq, socket->zmq, err));
    return (socket->handshake = handshake_open(context->zmq, socket->zmq, context->secure, err));
}

static WireSocket *socket_new(WireContext *context, bool router, bool ipv6, Err *err)
{
    WireSocket *socket = xcalloc(1, sizeof *socket);
    socket->router = router;
    socket->gate = context->gate;
    socket->seal = context->secure ? SEAL : 0;
    socket->zmq = zmq_socket(context->zmq, router ? ZMQ_ROUTER : ZMQ_DEALER);
    if (!socket->zmq || !set_common(socket->zmq) || !set_int(socket->zmq, ZMQ_IPV6, ipv6) ||
        !(router ? set_int(socket->zmq, ZMQ_ROUTER_MANDATORY, 1) : set_dealer(socket->zmq)) ||
        (context->secure && !set_keys(socket->zmq, &context->keys)))
        zmq_failed(err, "cannot open a ZeroMQ socket");
    else if (watch(socket, context, err))
        return socket;
    wire_close(socket);
    return NULL;
}

void wire_close(WireSocket *socket)
{
    if (!socket)
        return;
    while (socket->waiting) {
        Outgoing *next = socket->waiting->next;
        outgoing_free(socket->waiting);
        socket->waiting = next;
    }
    guard_close(socket->guard);
    handshake_close(socket->handshake);
    if (socket->zmq)
        zmq_close(socket->zmq);
    free(socket);
}

void wire_limit(WireSocket *socket, size_t most_tensor)
{
    socket->most_tensor = most_tensor;
}

const char *wire_endpoint(const WireSocket *socket)
{
    return socket->endpoint;
}

bool wire_gone(WireSocket *socket, WireId *id)
{
    size_t size;
    REQUIRE(socket->guard);
    *id = (WireId){ 0 };
    if (!guard_gone(socket->guard, id->bytes, &size))
        return false;
    id->size = (uint8_t)size;
    return true;
}

Door wire_door(WireSocket *socket, Err *err)
{
    REQUIRE(socket->handshake);
    return handshake_door(socket->handshake, err);
}

void wire_traffic(const WireSocket *socket, int64_t *out, int64_t *in)
{
    const int64_t segments = 4, segment = 1514, acknowledgement = 66;
    *out = socket->out + socket->in / (segments * segment) * acknowledgement;
    *in = socket->in + socket->out / (segments * segment) * acknowledgement;
}

/* ---- binding and connecting ---------------------------------------------------------------- */

/* 0, or ZeroMQ's error number. */
static int bind_at(WireSocket *socket, const char *host, int port)
{
    char *address = port > 0 ? xprintf("tcp://%s:%d", host, port) : xprintf("tcp://%s:*", host);
    size_t size = sizeof socket->endpoint;
    const bool ok = zmq_bind(socket->zmq, address) == 0 &&
                    zmq_getsockopt(socket->zmq, ZMQ_LAST_ENDPOINT, socket->endpoint, &size) == 0;
    free(address);
    return ok ? 0 : zmq_errno();
}

static bool bind_failed(Err *err, const Address *to, int port, int why)
{
    err_set(err, ERR_IO, "cannot listen: %s", zmq_strerror(why));
    if (why == EADDRINUSE)
        err_hint(err, "another program has port %d; a server takes its port and the next", port);
    else if (why == ENODEV || why == EADDRNOTAVAIL || why == EINVAL)
        err_hint(err, "a server listens at a number or a network card of its own machine; tcp://*:%d is all of them",
                 to->port);
    return err_at(err, "tcp://%s:%d", to->host, port);
}

/* Binds data at the address and control behind it. *taken: one of the two was in use. */
static bool bind_both(WireContext *context, const Address *to, WireSocket **data, WireSocket **control, bool *taken,
                      Err *err)
{
    /* ZeroMQ binds to numbers and network cards, not to names. */
    const char *host = strcasecmp(to->host, "localhost") == 0 ? "127.0.0.1" : to->host;
    int port = to->port;
    *taken = false;
    *control = NULL;
    *data = socket_new(context, true, to->ipv6, err);
    if (!*data || !(*control = socket_new(context, true, to->ipv6, err)))
        goto fail;
    int why = bind_at(*data, host, port);
    if (why == 0) {
        if (port == 0) {
            const char *colon = strrchr((*data)->endpoint, ':');
            port = colon ? (int)strtol(colon + 1, NULL, 10) : 0;
        }
        port++;
        why = bind_at(*control, host, port);
    }
    if (why == 0)
        return true;
    *taken = why == EADDRINUSE;
    bind_failed(err, to, port, why);
fail:
    wire_close(*data);
    wire_close(*control);
    *data = *control = NULL;
    return false;
}

bool wire_bind_pair(WireContext *context, const char *address, WireSocket **data, WireSocket **control, Err *err)
{
    Address to;
    if (!address_read(&to, address, err))
        return false;
    bool ok = false, taken = true;
    for (int i = 0; !ok && taken && i < (to.port == 0 ? PORT_TRIES : 1); i++) {
        *err = (Err){ 0 };
        ok = bind_both(context, &to, data, control, &taken, err);
    }
    if (ok)
        *err = (Err){ 0 };
    address_release(&to);
    return ok;
}

static WireSocket *connect_to(WireContext *context, const Address *to, int port, bool ipv6, Err *err)
{
    WireSocket *socket = socket_new(context, false, ipv6, err);
    char *one = xprintf("tcp://%s:%d", to->host, port);
    if (socket && zmq_connect(socket->zmq, one) != 0) {
        zmq_failed(err, "cannot connect");
        err_at(err, "%s", one);
        wire_close(socket);
        socket = NULL;
    }
    free(one);
    return socket;
}

bool wire_connect_pair(WireContext *context, const char *address, WireSocket **data, WireSocket **control, Err *err)
{
    Address to;
    *data = *control = NULL;
    if (!address_read(&to, address, err))
        return false;
    if (to.port == 0 || strcmp(to.host, "*") == 0) {
        err_set(err, ERR_INPUT, "'%s' names no %s", address, to.port == 0 ? "port" : "host");
        err_hint(err, "the server says at its start where it listens");
    } else {
        const bool ipv6 = address_needs_ipv6(&to);
        if ((*data = connect_to(context, &to, to.port, ipv6, err)))
            *control = connect_to(context, &to, to.port + 1, ipv6, err);
    }
    address_release(&to);
    if (*control)
        return true;
    wire_close(*data);
    *data = NULL;
    return false;
}

/* ---- sending ------------------------------------------------------------------------------- */

static int64_t on_the_wire(size_t size)
{
    const int64_t bytes = (int64_t)size + (size < 256 ? 2 : 9);
    return bytes + (bytes + 1447) / 1448 * 66;
}

/* 0: all parts are ZeroMQ's now. Else its error number. ZeroMQ decides about a whole message at its
 * first frame, so one that fails there has left nothing behind. */
static int try_send(WireSocket *socket, Outgoing *waiting)
{
    if (socket->router && zmq_send(socket->zmq, waiting->to.bytes, waiting->to.size, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0)
        return zmq_errno();
    for (int i = 0; i < waiting->count; i++) {
        const size_t size = zmq_msg_size(&waiting->parts[i]);
        const int more = i + 1 < waiting->count ? ZMQ_SNDMORE : 0;
        if (zmq_msg_send(&waiting->parts[i], socket->zmq, ZMQ_DONTWAIT | more) < 0)
            return zmq_errno();
        socket->out += on_the_wire(size + socket->seal);
    }
    return 0;
}

bool wire_same_id(const WireId *a, const WireId *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* Sends what peers take by now, each peer's in its order; what peers that are gone should have had
 * is dropped. */
static void flush(WireSocket *socket)
{
    const WireId *full = NULL; /* ZeroMQ is not asked again for the same peer */
    for (Outgoing **at = &socket->waiting; *at;) {
        Outgoing *waiting = *at;
        if (full && wire_same_id(full, &waiting->to)) {
            at = &waiting->next;
            continue;
        }
        const int why = try_send(socket, waiting);
        if (why == EAGAIN) {
            full = &waiting->to;
            at = &waiting->next;
            continue;
        }
        *at = waiting->next;
        outgoing_free(waiting);
    }
}

WireSent wire_send_shared(WireSocket *socket, const WireId *to, const Msg *msg, const WireBytes *bytes, Err *err)
{
    REQUIRE(socket->router == (to != NULL));
    char *header;
    size_t header_size;
    int heavy = 0;
    const int queued = to ? outgoing_count(socket->waiting, to, &heavy) : 0;
    if (queued >= WIRE_QUEUE || (msg->size > 0 && heavy >= WIRE_HEAVY))
        return WIRE_LATER;
    if (!msg_encode_header(msg, &header, &header_size, err))
        return WIRE_BAD;
    Outgoing *waiting = outgoing_new(to, header, header_size, msg, bytes);
    const int why = queued > 0 ? EAGAIN : try_send(socket, waiting);
    if (why == EAGAIN && socket->router) {
        Outgoing **last = &socket->waiting;
        while (*last)
            last = &(*last)->next;
        *last = waiting;
        return WIRE_SENT;
    }
    socket->blocked = why == EAGAIN;
    outgoing_free(waiting);
    return why == 0 ? WIRE_SENT : WIRE_LATER;
}

WireSent wire_send(WireSocket *socket, const WireId *to, const Msg *msg, Err *err)
{
    return wire_send_shared(socket, to, msg, NULL, err);
}

/* ---- receiving ----------------------------------------------------------------------------- */

/* False: nothing is there. */
static bool take_part(WireSocket *socket, zmq_msg_t *part)
{
    zmq_msg_init(part);
    int n;
    do
        n = zmq_msg_recv(part, socket->zmq, ZMQ_DONTWAIT);
    while (n < 0 && zmq_errno() == EINTR);
    if (n < 0) {
        zmq_msg_close(part);
        return false;
    }
    return true;
}

/* A part that came over the wire: all but a ROUTER's first. */
static bool next_part(WireSocket *socket, zmq_msg_t *part)
{
    if (!take_part(socket, part))
        return false;
    const size_t size = zmq_msg_size(part) + socket->seal;
    socket->in += on_the_wire(size);
    if (socket->guard)
        guard_count(socket->guard, socket->descriptor = zmq_msg_get(part, ZMQ_SRCFD), size);
    return true;
}

/* Reads and forgets the rest of a message. */
static void drain(WireSocket *socket, bool more)
{
    zmq_msg_t part;
    while (more && next_part(socket, &part)) {
        more = zmq_msg_more(&part);
        zmq_msg_close(&part);
    }
}

static bool receive_tensor(WireSocket *socket, Msg *msg, bool *more, Err *err)
{
    size_t filled = 0;
    zmq_msg_t part;
    while (*more && next_part(socket, &part)) {
        const size_t n = zmq_msg_size(&part);
        *more = zmq_msg_more(&part);
        const bool fits = n > 0 && n <= msg->size - filled;
        if (fits)
            memcpy((char *)msg->data + filled, zmq_msg_data(&part), n);
        zmq_msg_close(&part);
        if (!fits)
            return err_set(err, ERR_INPUT, "%s message with frames that are not the announced", msg_name(msg->type));
        filled += n;
    }
    return filled == msg->size ||
           err_set(err, ERR_INPUT, "%s message with %zu bytes of %zu", msg_name(msg->type), filled, msg->size);
}

/* Whoever was let in may have been struck off the list since. */
static bool is_let_in(WireSocket *socket, zmq_msg_t *part, Err *err)
{
    if (!socket->gate || gate_lets(socket->gate, zmq_msg_gets(part, "User-Id")))
        return true;
    guard_cut(socket->guard, socket->descriptor, "its key is not allowed any more");
    return err_set(err, ERR_INPUT, "message of a client whose key is not allowed any more");
}

static bool receive_body(WireSocket *socket, Msg *msg, bool *more, Err *err)
{
    zmq_msg_t part;
    if (!*more || !next_part(socket, &part))
        return err_set(err, ERR_INPUT, "message without a header");
    *more = zmq_msg_more(&part);
    size_t tensor;
    uint64_t checksum;
    bool ok = is_let_in(socket, &part, err) && msg_decode_header(msg, zmq_msg_data(&part), zmq_msg_size(&part),
                                                                 socket->most_tensor, &tensor, &checksum, err);
    zmq_msg_close(&part);
    if (!ok)
        return false;
    if (tensor > 0)
        ok = (msg->data = mem_alloc(tensor, err)) != NULL;
    ok = ok && receive_tensor(socket, msg, more, err);
    if (ok && tensor > 0 && digest_fast(msg->data, tensor) != checksum)
        ok = err_set(err, ERR_INPUT, "%s message with a wrong checksum", msg_name(msg->type));
    if (!ok)
        msg_release(msg);
    return ok;
}

static void keep_id(WireId *id, zmq_msg_t *part)
{
    const size_t n = zmq_msg_size(part);
    *id = (WireId){ 0 };
    if (n > sizeof id->bytes) /* ZeroMQ allows 255; ours have 16 */
        return;
    id->size = (uint8_t)n;
    memcpy(id->bytes, zmq_msg_data(part), n);
}

WireReceived wire_receive(WireSocket *socket, Msg *msg, WireId *from, Err *err)
{
    *msg = (Msg){ 0 };
    *err = (Err){ 0 };
    bool more = true;
    if (socket->router) {
        zmq_msg_t id;
        if (!take_part(socket, &id)) {
            guard_empty(socket->guard);
            return WIRE_NOTHING;
        }
        more = zmq_msg_more(&id);
        keep_id(from, &id);
        zmq_msg_close(&id);
        if (from->size == 0)
            err_set(err, ERR_INPUT, "message of a peer with a long name");
    } else {
        int events = 0;
        size_t size = sizeof events;
        if (zmq_getsockopt(socket->zmq, ZMQ_EVENTS, &events, &size) != 0 || !(events & ZMQ_POLLIN))
            return WIRE_NOTHING;
    }
    const bool ok = err->kind == ERR_NONE && receive_body(socket, msg, &more, err);
    if (ok && !more) {
        if (socket->guard)
            guard_name(socket->guard, socket->descriptor, from->bytes, from->size);
        return WIRE_MESSAGE;
    }
    if (ok) {
        err_set(err, ERR_INPUT, "%s message with more frames than announced", msg_name(msg->type));
        msg_release(msg);
    }
    drain(socket, more);
    guard_fault(socket->guard, socket->descriptor);
    return WIRE_MALFORMED;
}

void wire_wait(WireSocket *const *sockets, int count, int fd, double seconds)
{
    zmq_pollitem_t items[MOST_SOCKETS + 2];
    REQUIRE(count <= MOST_SOCKETS);
    Gate *gate = count > 0 ? sockets[0]->gate : NULL;
    if (gate)
        gate_answer(gate);
    for (int i = 0; i < count; i++) {
        flush(sockets[i]);
        if (sockets[i]->guard && seconds > 0.02)
            seconds = 0.02;
        if (sockets[i]->guard)
            guard_look(sockets[i]->guard, sockets[i]->most_tensor + WIRE_HEADER_BYTES);
        items[i] = (zmq_pollitem_t){ .socket = sockets[i]->zmq, .events = ZMQ_POLLIN };
        if (sockets[i]->blocked)
            items[i].events |= ZMQ_POLLOUT;
        sockets[i]->blocked = false;
        /* A ROUTER cannot say which peer has room again: look every few milliseconds. */
        if (sockets[i]->waiting && seconds > 0.005)
            seconds = 0.005;
    }
    if (fd >= 0)
        items[count++] = (zmq_pollitem_t){ .fd = fd, .events = ZMQ_POLLIN };
    if (gate)
        items[count++] = (zmq_pollitem_t){ .socket = gate_socket(gate), .events = ZMQ_POLLIN };
    zmq_poll(items, count, seconds > 0 ? (long)(seconds * 1e3 + 0.999) : 0);
}
