/* Ports and folders: what is looked at by taking it for a moment. */
#include "launch/doctor.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/wire/socket.h"
#include "worker/data/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ---- ports ------------------------------------------------------------------------------------ */

/* A message from a client's socket to the server's. */
static bool pass_message(WireContext *context, WireSocket *server, const char *address, Err *err)
{
    WireSocket *data = NULL, *control = NULL;
    const Msg ask = { .type = MSG_STATUS, .client = rng_entropy() };
    WireReceived received = WIRE_NOTHING;
    bool ok = wire_connect_pair(context, address, &data, &control, err);
    WireSent sent = WIRE_LATER;
    for (const double until = clock_now() + 5; ok && received == WIRE_NOTHING && clock_now() < until;) {
        if (sent == WIRE_LATER)
            sent = wire_send(data, NULL, &ask, err);
        wire_wait(&server, 1, -1, 0.02);
        Msg msg;
        WireId from;
        received = wire_receive(server, &msg, &from, err);
        msg_release(&msg);
    }
    if (ok && received != WIRE_MESSAGE)
        ok = err_set(err, ERR_IO, "a message to a port of our own does not arrive") &&
             err_hint(err, "is the loopback interface up? ip link set lo up");
    wire_close(data);
    wire_close(control);
    return ok && received == WIRE_MESSAGE;
}

/* The server's address as the run has it, else any pair on loopback. */
void check_ports(const Patient *patient, Finding *finding)
{
    const char *given = patient->config ? patient->config->ps.address : NULL,
               *address = given ? given : "tcp://127.0.0.1:0";
    WireSocket *data = NULL, *control = NULL;
    Err err = { 0 };
    WireContext *context = wire_context_open(&err);
    bool ok = context && wire_bind_pair(context, address, &data, &control, &err);
    if (ok && !given)
        ok = pass_message(context, data, wire_endpoint(data), &err);
    if (ok)
        text_addf(&finding->said, "%s and the next are free", wire_endpoint(data));
    else
        finding_fail(finding, &err);
    if (!ok && !err.hint[0])
        finding_set(finding, HEALTH_FAIL,
                    given ? "another ps.address, or end what listens there: ss -ltnp"
                          : "is the loopback interface up? ip link set lo up");
    wire_close(data);
    wire_close(control);
    wire_context_close(context);
}

/* ---- folders ---------------------------------------------------------------------------------- */

/* The folder, or the nearest above it that is there. Owned. */
static char *nearest(const char *folder)
{
    char *path = path_absolute(folder);
    while (!file_exists(path) && strcmp(path, "/") != 0) {
        char *above = path_folder(path);
        free(path);
        path = above;
    }
    return path;
}

/* A file, for a moment. errno where it cannot be. */
static bool can_write(const char *folder)
{
    char *path = path_join(folder, "lora-doctor-XXXXXX"), block[4096] = { 1 };
    const int fd = mkstemp(path);
    const bool ok = fd >= 0 && write(fd, block, sizeof block) == (ssize_t)sizeof block && fsync(fd) == 0;
    const int code = errno;
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    free(path);
    errno = code;
    return ok;
}

/* least: bytes that must be free. remedy: one thing to do. */
static void check_folder(const char *folder, int64_t least, const char *remedy, Finding *finding)
{
    char *there = nearest(folder);
    struct statvfs fs = { 0 };
    const bool known = statvfs(there, &fs) == 0;
    const double room = (double)fs.f_bavail * (double)fs.f_frsize;
    if (!can_write(there)) {
        text_addf(&finding->said, "cannot write in '%s': %s", there, strerror(errno));
        finding_set(finding, HEALTH_FAIL, "%s", remedy);
    } else {
        text_addf(&finding->said, "%s: %.0f MB are free", folder, room / 1e6);
        if (least > 0)
            text_addf(&finding->said, ", the run needs %.1f at the least", (double)least / 1e6);
        if (known && room < (double)least)
            finding_set(finding, HEALTH_FAIL, "%s", remedy);
    }
    free(there);
}

void check_temporary(const Patient *patient, Finding *finding)
{
    (void)patient;
    const int64_t least = 1 << 20; /* Open MPI's sockets and small files */
    const char *given = getenv("TMPDIR");
    check_folder(given && *given ? given : "/tmp", least, "set TMPDIR to a folder with room that you may write in",
                 finding);
}

void check_cache(const Patient *patient, Finding *finding)
{
    (void)patient;
    char *folder = cache_folder();
    check_folder(folder, 0, "set LORA_CACHE to a folder with room that you may write in: encoded data is kept there",
                 finding);
    free(folder);
}

void check_output(const Patient *patient, Finding *finding)
{
    if (!patient->config)
        text_adds(&finding->said, "name a run file to look at its output_dir too");
    else
        check_folder(patient->config->train.output_dir, patient->needs->disk, "another train.output_dir, or make room",
                     finding);
}
