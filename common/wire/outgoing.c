#include "common/wire/outgoing.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

struct WireBytes {
    zmq_msg_t message; /* ZeroMQ counts who holds its content */
};

WireBytes *wire_bytes_new(const void *data, size_t size)
{
    WireBytes *bytes = xcalloc(1, sizeof *bytes);
    REQUIRE(zmq_msg_init_size(&bytes->message, size) == 0);
    memcpy(zmq_msg_data(&bytes->message), data, size);
    return bytes;
}

void wire_bytes_free(WireBytes *bytes)
{
    if (bytes)
        zmq_msg_close(&bytes->message);
    free(bytes);
}

static void release_header(void *data, void *hint)
{
    (void)hint;
    free(data);
}

static void share(zmq_msg_t *part, const WireBytes *bytes)
{
    /* ZeroMQ's signature is not const: it counts the holders in the content that both share */
    zmq_msg_t *message = &((WireBytes *)(uintptr_t)bytes)->message;
    REQUIRE(zmq_msg_init(part) == 0 && zmq_msg_copy(part, message) == 0);
}

Outgoing *outgoing_new(const WireId *to, char *header, size_t header_size, const Msg *msg, const WireBytes *bytes)
{
    const size_t frames = (msg->size + WIRE_FRAME_BYTES - 1) / WIRE_FRAME_BYTES;
    Outgoing *outgoing = xcalloc(1, sizeof *outgoing);
    REQUIRE(!bytes || frames == 1);
    outgoing->count = (int)frames + 1;
    outgoing->heavy = frames > 0;
    outgoing->parts = xcalloc((size_t)outgoing->count, sizeof *outgoing->parts);
    if (to)
        outgoing->to = *to;
    REQUIRE(zmq_msg_init_data(&outgoing->parts[0], header, header_size, release_header, NULL) == 0);
    for (size_t i = 0; i < frames; i++) {
        const size_t begin = i * WIRE_FRAME_BYTES;
        const size_t n = msg->size - begin < WIRE_FRAME_BYTES ? msg->size - begin : WIRE_FRAME_BYTES;
        if (bytes) {
            share(&outgoing->parts[1], bytes);
            break;
        }
        REQUIRE(zmq_msg_init_size(&outgoing->parts[i + 1], n) == 0);
        memcpy(zmq_msg_data(&outgoing->parts[i + 1]), (const char *)msg->data + begin, n);
    }
    return outgoing;
}

void outgoing_free(Outgoing *outgoing)
{
    for (int i = 0; i < outgoing->count; i++)
        zmq_msg_close(&outgoing->parts[i]);
    free(outgoing->parts);
    free(outgoing);
}

int outgoing_count(const Outgoing *list, const WireId *to, int *heavy)
{
    int count = 0;
    *heavy = 0;
    for (; list; list = list->next)
        if (wire_same_id(&list->to, to)) {
            count++;
            *heavy += list->heavy;
        }
    return count;
}
