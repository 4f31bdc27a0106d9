/* fan_in_bench CLIENTS BYTES MESSAGES [curve] - what libzmq alone does: as many DEALERs of one process send MESSAGES messages of a
 * header and BYTES each to the ROUTER of another, which adds them up as floats and answers each with a word, which its sender waits
 * for. Prints GB/s of what was added. That is what `join_many ... work` is to be compared with. */
#include "common/base/clock.h"
#include "common/base/mem.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

enum { HEADER = 200, KEY = 41 };

typedef struct Probe {
    int clients, messages;
    size_t size;
    bool curve;
    char public_key[KEY], secret_key[KEY];
    char address[64];
    void *context; /* of the senders */
} Probe;

static void make_server_secure(const Probe *probe, void *socket)
{
    const int yes = 1;
    REQUIRE(!probe->curve || (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &yes, sizeof yes) == 0 &&
                              zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, probe->secret_key, KEY) == 0));
}

static void make_client_secure(const Probe *probe, void *socket)
{
    REQUIRE(!probe->curve || (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, probe->public_key, KEY) == 0 &&
                              zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, probe->public_key, KEY) == 0 &&
                              zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, probe->secret_key, KEY) == 0));
}

static void *sender_main(void *arg)
{
    const Probe *probe = arg;
    void *socket = zmq_socket(probe->context, ZMQ_DEALER);
    char header[HEADER] = { 0 }, word[HEADER];
    char *bytes = xcalloc(probe->size, 1);
    make_client_secure(probe, socket);
    REQUIRE(zmq_connect(socket, probe->address) == 0);
    for (int i = 0; i < probe->messages; i++) {
        REQUIRE(zmq_send(socket, header, HEADER, ZMQ_SNDMORE) == HEADER);
        REQUIRE(zmq_send(socket, bytes, probe->size, 0) == (int)probe->size);
        REQUIRE(zmq_recv(socket, word, HEADER, 0) >= 0);
    }
    free(bytes);
    zmq_close(socket);
    return NULL;
}

static void send_all(Probe *probe)
{
    pthread_t *threads = xcalloc((size_t)probe->clients, sizeof *threads);
    probe->context = zmq_ctx_new();
    for (int i = 0; i < probe->clients; i++)
        REQUIRE(pthread_create(&threads[i], NULL, sender_main, probe) == 0);
    for (int i = 0; i < probe->clients; i++)
        pthread_join(threads[i], NULL);
    zmq_ctx_term(probe->context);
    free(threads);
}

/* Seconds from the first message's end to the last one's. */
static double add_all(const Probe *probe, void *router)
{
    const int64_t n = (int64_t)(probe->size / sizeof(float));
    float *sum = xcalloc((size_t)n, sizeof *sum);
    double start = 0;
    for (int64_t i = 0; i < (int64_t)probe->clients * probe->messages; i++) {
        char id[256], header[HEADER];
        zmq_msg_t data;
        const int size = zmq_recv(router, id, sizeof id, 0);
        REQUIRE(size > 0 && zmq_recv(router, header, HEADER, 0) == HEADER);
        zmq_msg_init(&data);
        REQUIRE(zmq_msg_recv(&data, router, 0) == (int)probe->size);
        const char *bytes = zmq_msg_data(&data);
        for (int64_t k = 0; k < n; k++) {
            float x;
            memcpy(&x, bytes + (size_t)k * sizeof x, sizeof x);
            sum[k] += x;
        }
        zmq_msg_close(&data);
        zmq_send(router, id, (size_t)size, ZMQ_SNDMORE);
        zmq_send(router, header, HEADER, 0);
        start = start > 0 ? start : clock_now();
    }
    free(sum);
    return clock_now() - start;
}

int main(int argc, char **argv)
{
    Probe probe = { 0 };
    int where[2];
    if (argc < 4 || (probe.clients = atoi(argv[1])) < 1 || (probe.messages = atoi(argv[3])) < 2) {
        fprintf(stderr, "fan_in_bench: CLIENTS BYTES MESSAGES [curve]\n");
        return 2;
    }
    probe.size = strtoul(argv[2], NULL, 10) / sizeof(float) * sizeof(float);
    probe.curve = argc == 5 && strcmp(argv[4], "curve") == 0;
    REQUIRE(zmq_curve_keypair(probe.public_key, probe.secret_key) == 0 && pipe(where) == 0);
    const pid_t child = fork(); /* before there is a context here */
    if (child == 0) {
        REQUIRE(read(where[0], probe.address, sizeof probe.address) > 0);
        send_all(&probe);
        _exit(0);
    }
    void *context = zmq_ctx_new(), *router = zmq_socket(context, ZMQ_ROUTER);
    size_t room = sizeof probe.address;
    make_server_secure(&probe, router);
    REQUIRE(zmq_bind(router, "tcp://127.0.0.1:*") == 0);
    REQUIRE(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, probe.address, &room) == 0);
    REQUIRE(write(where[1], probe.address, sizeof probe.address) == (ssize_t)sizeof probe.address);
    const double seconds = add_all(&probe, router);
    const double count = (double)probe.clients * probe.messages - 1;
    printf("%.3f GB/s\n", count * (double)probe.size / seconds / 1e9);
    zmq_close(router);
    waitpid(child, NULL, 0);
    zmq_ctx_term(context);
    return 0;
}
