#include "common/wire/gate.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>

static const double look_every = 0.5; /* seconds between two looks at the list */

enum { FRAMES = 7, FRAME_BYTES = 256 }; /* of a question; one of CURVE has seven */

struct Gate {
    void *socket; /* ZeroMQ's REP, owned */
    char *folder, *path; /* of keys, of the list; owned */
    AllowedKeys allowed;
    struct timespec changed; /* of the list as it was read */
    off_t size;
    bool stale; /* what is there now cannot be read */
    double next, told; /* when to look again; when a refusal was last said */
    long long refused; /* since then */
};

static bool has_changed(const Gate *gate, struct stat *st)
{
    if (stat(gate->path, st) != 0)
        *st = (struct stat){ 0 };
    return st->st_mtim.tv_sec != gate->changed.tv_sec || st->st_mtim.tv_nsec != gate->changed.tv_nsec ||
           st->st_size != gate->size;
}

static bool read_list(Gate *gate, Err *err)
{
    struct stat st;
    AllowedKeys allowed;
    has_changed(gate, &st);
    gate->changed = st.st_mtim;
    gate->size = st.st_size;
    gate->stale = !allowed_read(&allowed, gate->folder, err);
    if (gate->stale)
        return false;
    allowed_release(&gate->allowed);
    gate->allowed = allowed;
    return true;
}

static void look(Gate *gate)
{
    struct stat st;
    Err err = { 0 };
    gate->next = clock_now() + look_every;
    if (!has_changed(gate, &st))
        return;
    if (read_list(gate, &err))
        log_info("wire", "clients allowed: %d", gate->allowed.count);
    else
        log_error("wire", "nobody new is let in: %s: %s", err.where, err.what);
}

Gate *gate_open(void *zmq_context, const char *folder, Err *err)
{
    Gate *gate = xcalloc(1, sizeof *gate);
    const int none = 0;
    gate->folder = xstrdup(folder);
    gate->path = allowed_path(folder);
    gate->socket = zmq_socket(zmq_context, ZMQ_REP);
    if (!gate->socket || zmq_setsockopt(gate->socket, ZMQ_LINGER, &none, sizeof none) != 0 ||
        zmq_bind(gate->socket, "inproc://zeromq.zap.01") != 0)
        err_set(err, ERR_IO, "cannot answer for keys: %s", zmq_strerror(zmq_errno()));
    else if (read_list(gate, err))
        return gate;
    gate_close(gate);
    return NULL;
}

void gate_close(Gate *gate)
{
    if (!gate)
        return;
    if (gate->socket)
        zmq_close(gate->socket);
    allowed_release(&gate->allowed);
    free(gate->folder);
    free(gate->path);
    free(gate);
}

void *gate_socket(const Gate *gate)
{
    return gate->socket;
}

/* The frames of a question: version, request id, domain, address, identity, mechanism, and for CURVE the key. Sizes that
 * do not fit are said to be -1. How many there were. */
static int read_question(void *socket, char frame[FRAMES][FRAME_BYTES], int size[FRAMES])
{
    int count = 0, more = 1;
    size_t length = sizeof more;
    while (more) {
        char rest[FRAME_BYTES];
        const int n = zmq_recv(socket, count < FRAMES ? frame[count] : rest, FRAME_BYTES, ZMQ_DONTWAIT);
        if (n < 0)
            return 0;
        if (count < FRAMES)
            size[count] = n <= FRAME_BYTES ? n : -1;
        count++;
        if (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &length) != 0)
            return 0;
    }
    return count;
}

static bool is(const char *frame, int size, const char *text)
{
    return size == (int)strlen(text) && memcmp(frame, text, (size_t)size) == 0;
}

/* Once a second, so that who knocks without end fills no disk. */
static void tell_refused(Gate *gate, const char *hex, const char *address, double now)
{
    gate->refused++;
    if (now - gate->told < 1)
        return;
    log_warn("wire", "refused clients=%lld last: key %s from %s is not allowed", gate->refused, hex, address);
    gate->told = now;
    gate->refused = 0;
}

static void answer(void *socket, const char *request, int request_size, const char *status, const char *why,
                   const char *user)
{
    zmq_send(socket, "1.0", 3, ZMQ_SNDMORE);
    zmq_send(socket, request, (size_t)request_size, ZMQ_SNDMORE);
    zmq_send(socket, status, 3, ZMQ_SNDMORE);
    zmq_send(socket, why, strlen(why), ZMQ_SNDMORE);
    zmq_send(socket, user, strlen(user), ZMQ_SNDMORE);
    zmq_send(socket, "", 0, 0);
}

void gate_answer(Gate *gate)
{
    const double now = clock_now();
    char frame[FRAMES][FRAME_BYTES];
    int size[FRAMES], count;
    if (now >= gate->next)
        look(gate);
    while ((count = read_question(gate->socket, frame, size)) > 0) {
        char hex[KEY_HEX] = "", address[FRAME_BYTES + 1] = "";
        const bool curve = count == FRAMES && is(frame[0], size[0], "1.0") && is(frame[2], size[2], GATE_DOMAIN) &&
                           is(frame[5], size[5], "CURVE") && size[6] == KEY_BYTES;
        if (curve)
            key_print(hex, (const uint8_t *)frame[6]);
        look(gate); /* the list may have become another just now */
        const bool in = curve && !gate->stale && allowed_name(&gate->allowed, (const uint8_t *)frame[6]);
        if (!in) {
            if (count > 3 && size[3] > 0)
                snprintf(address, sizeof address, "%.*s", size[3], frame[3]);
            tell_refused(gate, hex, address, now);
        }
        const int request = count > 1 && size[1] > 0 ? size[1] : 0;
        answer(gate->socket, frame[1], request, in ? "200" : "400", in ? "OK" : "this key is not allowed",
               in ? hex : "");
    }
}

bool gate_lets(const Gate *gate, const char *user)
{
    uint8_t key[KEY_BYTES];
    return user && key_read(key, user) && allowed_name(&gate->allowed, key);
}
