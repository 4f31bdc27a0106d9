/* message - what travels between a worker's node and the parameter server.
 *
 * On the wire: a first frame that is a msgpack map (the header: protocol version, type, run,
 * client, step, range, count, dtype, checksum ...), then the tensor as raw little-endian bytes in
 * frames of at most WIRE_FRAME_BYTES. Headers are checked key by key before they are believed
 * (size, depth, types, ranges, no unknown or repeated key), the tensor's size and XXH3 against
 * the header. No socket here, so that all of it can be fuzzed.
 *
 *   client -> server                              server -> client
 *   ASK     text = run file with the labels that  RUN     text = run file
 *           were found in the data, or none
 *   HELLO   facts, plan, text = run file          WELCOME text = run file with every key fixed; memory, for
 *                                                         clients on the server's machine
 *                                                 FOLLOW  text = the run's arithmetic, which is another
 *                                                         than that of the HELLO: say it again with this
 *                                                 REFUSE  text = what differs
 *   PULL    at = -1, step = version that it has   LEASE   kind, step, version, ranges, the PULL's turn;
 *           (-1 none; parked until there is work),        data = values[] when the client's version is another,
 *                                                         once a turn
 *           turn = which of its PULLs this is
 *           at: a piece of the values of `step`   VALUES  step, at, data = that piece; without data: the
 *                                                         version is another now, PULL anew
 *   PUSH    step, version, range, sums, at,       ACK     step, range, at
 *           data = gradient, or a piece of it
 *   EVAL    step, range, data = metric sums (f64) ACK     step, range, kind = LEASE_EVAL
 *   with `again`, and without data: did this arrive?
 *   PUSH, EVAL                                    ACK     yes, or it is of no use any more
 *                                                 NEED    step, range, at, kind: no, send it
 *   PULL    at                                    VALUES  again: it was sent before this
 *   BEAT                                          BEAT    known = the server knows this client
 *   BYE                                           BYE
 *   STATUS                                        STATUS  text = JSON
 *
 * Values and gradients of more than WIRE_PIECE floats travel in pieces of that size (the last one is shorter), each a
 * message of its own: `at` is where a piece begins. So nobody holds more of them than is on its way.
 *
 * Or they do not travel: the ranks of a client on the server's machine read the values where the server has them, and lay
 * a gradient where the server takes it (`memory`, `place`). The values change there with each step. Who then still computes
 * for the step before has sums that mean nothing; the server has no use for those of a past step, whoever sends them. And
 * a server that was started again, perhaps at an earlier step, has other memory: leases, and pushes that are of use, say
 * which (`memory`'s keys).
 *
 * `run` names the run of which a message speaks, and `plan` what is computed in it (facts_plan): a
 * worker of another run, or one that would compute something else, is refused, and refuses.
 *
 * All requests may be repeated. A message of a client that the server does not know (it was
 * restarted, or took the client for dead) is answered by BEAT with known = false: say HELLO again.
 *
 * Owner: a decoded Msg owns text and data, msg_release frees them; one that is encoded borrows.
 * Threads: any, one at a time a Msg. */
#ifndef COMMON_WIRE_MESSAGE_H
#define COMMON_WIRE_MESSAGE_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

#define WIRE_PROTOCOL 10
#define WIRE_FRAME_BYTES (4 << 20)
#define WIRE_HEADER_BYTES (1088 << 10) /* headers carry run files, of 1 MB at the most */
#ifndef WIRE_PIECE /* the simulation's are small */
#define WIRE_PIECE (1 << 18) /* floats: 1 MB */
#endif
#define WIRE_RANGES 16
#define WIRE_NAME 64 /* room for the name of a host or an arithmetic */

typedef enum {
    MSG_ASK,
    MSG_RUN,
    MSG_HELLO,
    MSG_WELCOME,
    MSG_FOLLOW,
    MSG_REFUSE,
    MSG_PULL,
    MSG_LEASE,
    MSG_VALUES,
    MSG_PUSH,
    MSG_EVAL,
    MSG_ACK,
    MSG_NEED,
    MSG_BEAT,
    MSG_BYE,
    MSG_STATUS,
    MSG_TYPES
} MsgType;

/* LEASE_WAIT does not travel: the server has no work for now. */
typedef enum { LEASE_TRAIN, LEASE_EVAL, LEASE_STOP, LEASE_WAIT } LeaseKind;

/* Micro-batches (training) or chunks (evaluation) [begin, end). */
typedef struct Range {
    int64_t begin, end;
} Range;

/* What a worker's node says of itself in HELLO; the first one fixes the run's, later ones must
 * agree. */
typedef struct HelloFacts {
    uint64_t base_digest, slot_hash;
    uint64_t data_digest, eval_digest; /* of what is trained on, of what is evaluated and how it is cut */
    int64_t slot_size; /* floats in the flat buffer */
    int64_t examples; /* of the training set */
    int64_t longest; /* tokens of its longest example */
    int64_t eval_chunks; /* pieces that the validation set is leased in; 0: none */
    int64_t eval_examples;
    int64_t eval_width; /* doubles that a chunk's metric sums take at the most */
    int64_t ranks; /* that share this client */
    int64_t job_ranks; /* of the whole mpirun */
    uint64_t job; /* the same in all clients of one mpirun */
    char host[WIRE_NAME];
    char arithmetic[WIRE_NAME]; /* its name, by which others follow */
    uint64_t fingerprint; /* of the arithmetic: what it gives */
} HelloFacts;

/* Memory that the server has for a client (common/base/shared_memory.h): values to read, and room for one gradient.
 * Names are "", and keys 0, where there is none. */
typedef struct MemoryOffer {
    char values[WIRE_NAME], sums[WIRE_NAME];
    uint64_t values_key, sums_key; /* sums_key: another offer has another */
} MemoryOffer;

/* What of a client's work lies there: nothing; the values; the gradient, too. */
typedef enum { PLACE_WIRE, PLACE_VALUES, PLACE_ALL } WorkPlace;

/* What a client expects of itself. */
typedef struct Foreseen {
    double seconds; /* of a step, if it alone made all of it; 0: it has not said */
    int64_t memory; /* bytes of its ranks */
    int64_t bytes; /* to the server and back, in a step */
} Foreseen;

typedef struct Msg {
    MsgType type;
    uint64_t run; /* id of the run; 0: not known yet */
    uint64_t plan; /* HELLO, LEASE, PUSH, EVAL: facts_plan; 0: not known yet */
    uint64_t client; /* incarnation: drawn at random when the client starts */
    int64_t at; /* PUSH, ACK, VALUES: first float of the piece; PULL: the same, or -1 for a lease */
    int64_t turn; /* PULL for a lease: counts them; LEASE: of the PULL that it answers */
    bool again; /* PULL, PUSH, EVAL: it was sent before, and this is a word that asks for it; VALUES: the answer */
    int64_t
        step; /* PULL, VALUES: version held, or asked for; LEASE, PUSH, ACK, NEED: whose micro-batches; EVAL: version */
    int64_t version; /* LEASE, PUSH: to compute at, computed at. With ps.mode: sync it is the step */
    Range range[WIRE_RANGES]; /* PUSH, EVAL, ACK: one; LEASE: range_count */
    int range_count;
    LeaseKind kind; /* LEASE; ACK: of which kind was the push (an EVAL is decoded with LEASE_EVAL) */
    double weight; /* PUSH: of what the gradient sums over: how many, or their classes' weights; not negative */
    int64_t tokens; /* PUSH: tokens computed */
    double loss; /* PUSH: sum of losses; may be NaN, which is the run's to report */
    double seconds; /* PUSH, EVAL: time that computing took */
    int64_t rss_bytes; /* BEAT, HELLO, PUSH, EVAL: memory of the client's ranks (sum of Pss) */
    Foreseen foreseen; /* BEAT from the client */
    /* WELCOME. Of it in LEASE, PUSH, EVAL values_key: the values that it is for, or is computed from; in PUSH sums_key:
     * where the gradient lies */
    MemoryOffer memory;
    WorkPlace
        place; /* PULL, PUSH, EVAL; PLACE_ALL: a gradient of more than WIRE_PIECE floats that is not in the message */
    bool known; /* BEAT from the server */
    int code; /* LEASE_STOP: exit code */
    HelloFacts facts; /* HELLO */
    char *text; /* or NULL */
    void *data; /* tensor bytes, or NULL */
    size_t size;
} Msg;

void msg_release(Msg *msg);

/* Frames of a message: header[0, header_size) is malloc'ed; the tensor is msg->data itself. */
MUST_USE bool msg_encode_header(const Msg *msg, char **header, size_t *header_size, Err *err);

/* header: first frame. Tensor bytes are expected to follow: *tensor_size of them
 * (at most most_tensor). Fills all of *msg but data. Another protocol version is ERR_REFUSED,
 * anything else that is wrong ERR_INPUT. */
MUST_USE bool msg_decode_header(Msg *msg, const char *header, size_t size, size_t most_tensor, size_t *tensor_size,
                                uint64_t *checksum, Err *err);

/* Floats of the piece that begins at `at`, of `size` in all; 0: none begins there. */
int64_t msg_piece(int64_t size, int64_t at);

/* Lends it the piece at msg->at of values[size], where one begins there. */
void msg_lend_piece(Msg *msg, const float *values, int64_t size);

const char *msg_name(MsgType type);

#endif
