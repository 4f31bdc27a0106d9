#include "common/wire/message.h"

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/scan.h"

#include <math.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

/* The header is a flat map. Which keys a message has follows from its type, and it has exactly
 * those: a key too many, too few or twice is an error. A table says all of it once, for both
 * directions. */
typedef enum { FIELD_U64, FIELD_INT, FIELD_REAL, FIELD_BOOL, FIELD_NAME, FIELD_TEXT, FIELD_RANGES } FieldKind;

typedef struct Field {
    const char *key;
    FieldKind kind;
    size_t offset;
    uint32_t types; /* bit t: messages of type t have it */
    int64_t min, max; /* FIELD_INT */
} Field;

/* What Msg has no field for: how many bytes of tensor follow, of which kind, and their XXH3. */
typedef struct Header {
    Msg msg;
    uint64_t version, type;
    int64_t size;
    uint64_t checksum;
} Header;

#define BIT(t) (1u << MSG_##t)
#define ALL ((1u << MSG_TYPES) - 1)
#define TENSOR (WORK_TENSOR | BIT(VALUES))
#define WORK_TENSOR (BIT(LEASE) | BIT(PUSH) | BIT(EVAL))
#define WORK (WORK_TENSOR | BIT(ACK) | BIT(NEED))
#define TEXTS (BIT(ASK) | BIT(RUN) | BIT(HELLO) | BIT(WELCOME) | BIT(FOLLOW) | BIT(REFUSE) | BIT(LEASE) | BIT(STATUS))
#define MOST_COUNT ((int64_t)1 << 48) /* of anything: small enough that sums cannot overflow */

#define AT(f) offsetof(Header, msg.f)
/* clang-format off */
static const Field fields[] = {
    { "v",        FIELD_U64,    offsetof(Header, version), ALL, 0, 0 },
    { "type",     FIELD_U64,    offsetof(Header, type),    ALL, 0, 0 },
    { "run",      FIELD_U64,    AT(run),       ALL, 0, 0 },
    { "client",   FIELD_U64,    AT(client),    ALL, 0, 0 },
    { "plan",     FIELD_U64,    AT(plan),      BIT(HELLO) | WORK_TENSOR, 0, 0 },
    { "step",     FIELD_INT,    AT(step),      WORK | BIT(PULL) | BIT(VALUES), -1, MOST_COUNT },
    { "version",  FIELD_INT,    AT(version),   BIT(LEASE) | BIT(PUSH), 0, MOST_COUNT },
    { "at",       FIELD_INT,    AT(at),        BIT(PUSH) | BIT(ACK) | BIT(NEED) | BIT(PULL) | BIT(VALUES), -1, MOST_COUNT },
    { "turn",     FIELD_INT,    AT(turn),      BIT(PULL) | BIT(LEASE), 0, MOST_COUNT },
    { "again",    FIELD_BOOL,   AT(again),     BIT(PULL) | BIT(PUSH) | BIT(EVAL) | BIT(VALUES), 0, 0 },
    { "ranges",   FIELD_RANGES, 0,             WORK, 0, 0 },
    { "kind",     FIELD_INT,    AT(kind),      BIT(LEASE) | BIT(ACK) | BIT(NEED), LEASE_TRAIN, LEASE_STOP },
    { "code",     FIELD_INT,    AT(code),      BIT(LEASE), 0, 255 },
    { "weight",   FIELD_REAL,   AT(weight),    BIT(PUSH), 0, 0 },
    { "tokens",   FIELD_INT,    AT(tokens),    BIT(PUSH), 0, MOST_COUNT },
    { "loss",     FIELD_REAL,   AT(loss),      BIT(PUSH), 0, 0 },
    { "seconds",  FIELD_REAL,   AT(seconds),   BIT(PUSH) | BIT(EVAL), 0, 0 },
    { "rss",      FIELD_INT,    AT(rss_bytes), BIT(BEAT) | BIT(HELLO) | BIT(PUSH) | BIT(EVAL), 0, MOST_COUNT },
    { "plan_seconds", FIELD_REAL, AT(foreseen.seconds), BIT(BEAT), 0, 0 },
    { "plan_memory",  FIELD_INT,  AT(foreseen.memory),  BIT(BEAT), 0, MOST_COUNT },
    { "plan_bytes",   FIELD_INT,  AT(foreseen.bytes),   BIT(BEAT), 0, MOST_COUNT },
    { "known",    FIELD_BOOL,   AT(known),     BIT(BEAT), 0, 0 },
    { "place",    FIELD_INT,    AT(place),     BIT(PULL) | BIT(PUSH) | BIT(EVAL), PLACE_WIRE, PLACE_ALL },
    { "values_at",  FIELD_NAME, AT(memory.values),     BIT(WELCOME), 0, 0 },
    { "values_key", FIELD_U64,  AT(memory.values_key), BIT(WELCOME) | WORK_TENSOR, 0, 0 },
    { "sums_at",    FIELD_NAME, AT(memory.sums),       BIT(WELCOME), 0, 0 },
    { "sums_key",   FIELD_U64,  AT(memory.sums_key),   BIT(WELCOME) | BIT(PUSH), 0, 0 },
    { "base",     FIELD_U64,    AT(facts.base_digest),   BIT(HELLO), 0, 0 },
    { "slots",    FIELD_U64,    AT(facts.slot_hash),     BIT(HELLO), 0, 0 },
    { "data",     FIELD_U64,    AT(facts.data_digest),   BIT(HELLO), 0, 0 },
    { "eval_data", FIELD_U64,   AT(facts.eval_digest),   BIT(HELLO), 0, 0 },
    { "slot_size",     FIELD_INT, AT(facts.slot_size),     BIT(HELLO), 1, (int64_t)1 << 36 },
    { "examples",      FIELD_INT, AT(facts.examples),      BIT(HELLO), 0, MOST_COUNT },
    { "longest",       FIELD_INT, AT(facts.longest),       BIT(HELLO), 0, MOST_COUNT },
    { "eval_chunks",   FIELD_INT, AT(facts.eval_chunks),   BIT(HELLO), 0, 1 << 24 },
    { "eval_examples", FIELD_INT, AT(facts.eval_examples), BIT(HELLO), 0, MOST_COUNT },
    { "eval_width",    FIELD_INT, AT(facts.eval_width),    BIT(HELLO), 0, (int64_t)1 << 24 },
    { "ranks",         FIELD_INT, AT(facts.ranks),         BIT(HELLO), 1, 1 << 20 },
    { "job_ranks",     FIELD_INT, AT(facts.job_ranks),     BIT(HELLO), 1, 1 << 20 },
    { "job",           FIELD_U64, AT(facts.job),           BIT(HELLO), 0, 0 },
    { "host",          FIELD_NAME, AT(facts.host),         BIT(HELLO), 0, 0 },
    { "arithmetic",    FIELD_NAME, AT(facts.arithmetic),   BIT(HELLO), 0, 0 },
    { "fingerprint",   FIELD_U64,  AT(facts.fingerprint),  BIT(HELLO), 0, 0 },
    { "text",     FIELD_TEXT,   AT(text),      TEXTS, 0, 0 },
    { "size",     FIELD_INT,    offsetof(Header, size),     TENSOR, 0, MOST_COUNT },
    { "sum",      FIELD_U64,    offsetof(Header, checksum), TENSOR, 0, 0 },
};
/* clang-format on */
enum { FIELDS = sizeof fields / sizeof *fields };

static const char *const names[MSG_TYPES] = {
    "ASK",    "RUN",  "HELLO", "WELCOME", "FOLLOW", "REFUSE", "PULL", "LEASE",
    "VALUES", "PUSH", "EVAL",  "ACK",     "NEED",   "BEAT",   "BYE",  "STATUS"
};

const char *msg_name(MsgType type)
{
    return (unsigned)type < MSG_TYPES ? names[type] : "?";
}

int64_t msg_piece(int64_t size, int64_t at)
{
    if (at < 0 || at >= size || at % WIRE_PIECE != 0)
        return 0;
    return size - at < WIRE_PIECE ? size - at : WIRE_PIECE;
}

void msg_lend_piece(Msg *msg, const float *values, int64_t size)
{
    const int64_t piece = msg_piece(size, msg->at);
    if (piece == 0)
        return;
    msg->data = (void *)(uintptr_t)(values + msg->at);
    msg->size = (size_t)piece * sizeof(float);
}

void msg_release(Msg *msg)
{
    free(msg->text);
    free(msg->data);
    *msg = (Msg){ 0 };
}

/* Bytes of one number of a message's tensor: metric sums are f64, values f32; of gradients ps.wire_dtype says it. */
static int64_t item_bytes(MsgType type)
{
    return type == MSG_EVAL ? (int64_t)sizeof(double) : type == MSG_PUSH ? 1 : (int64_t)sizeof(float);
}

/* ---- writing ------------------------------------------------------------------------------- */

/* kind, code and place are ints in Msg, all other FIELD_INTs int64_t. */
static bool is_narrow(const Field *field)
{
    return field->offset == AT(kind) || field->offset == AT(code) || field->offset == AT(place);
}

static int64_t get_int(const Header *header, const Field *field)
{
    const char *at = (const char *)header + field->offset;
    return is_narrow(field) ? *(const int *)(const void *)at : *(const int64_t *)(const void *)at;
}

static void pack_ranges(msgpack_packer *packer, const Msg *msg)
{
    msgpack_pack_array(packer, (size_t)msg->range_count * 2);
    for (int i = 0; i < msg->range_count; i++) {
        msgpack_pack_int64(packer, msg->range[i].begin);
        msgpack_pack_int64(packer, msg->range[i].end);
    }
}

static void pack_text(msgpack_packer *packer, const char *text)
{
    if (!text) {
        msgpack_pack_nil(packer);
        return;
    }
    msgpack_pack_str(packer, strlen(text));
    msgpack_pack_str_body(packer, text, strlen(text));
}

static void pack_field(msgpack_packer *packer, const Header *header, const Field *field)
{
    const void *at = (const char *)header + field->offset;
    msgpack_pack_str(packer, strlen(field->key));
    msgpack_pack_str_body(packer, field->key, strlen(field->key));
    switch (field->kind) {
    case FIELD_U64:
        msgpack_pack_uint64(packer, *(const uint64_t *)at);
        break;
    case FIELD_INT:
        msgpack_pack_int64(packer, get_int(header, field));
        break;
    case FIELD_REAL:
        msgpack_pack_double(packer, *(const double *)at);
        break;
    case FIELD_BOOL:
        (*(const bool *)at ? msgpack_pack_true : msgpack_pack_false)(packer);
        break;
    case FIELD_NAME:
        pack_text(packer, at);
        break;
    case FIELD_TEXT:
        pack_text(packer, *(char *const *)at);
        break;
    case FIELD_RANGES:
        pack_ranges(packer, &header->msg);
        break;
    }
}

bool msg_encode_header(const Msg *msg, char **out, size_t *out_size, Err *err)
{
    REQUIRE((unsigned)msg->type < MSG_TYPES && msg->range_count <= WIRE_RANGES);
    const bool tensor = TENSOR >> msg->type & 1;
    REQUIRE(tensor || msg->size == 0);
    const Header header = { .msg = *msg,
                            .version = WIRE_PROTOCOL,
                            .type = msg->type,
                            .size = (int64_t)msg->size,
                            .checksum = tensor ? digest_fast(msg->data, msg->size) : 0 };
    msgpack_sbuffer buffer;
    msgpack_sbuffer_init(&buffer);
    msgpack_packer packer;
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    size_t count = 0;
    for (int i = 0; i < FIELDS; i++)
        count += fields[i].types >> msg->type & 1;
    msgpack_pack_map(&packer, count);
    for (int i = 0; i < FIELDS; i++)
        if (fields[i].types >> msg->type & 1)
            pack_field(&packer, &header, &fields[i]);
    if (buffer.size > WIRE_HEADER_BYTES) {
        err_set(err, ERR_INPUT, "a %s message of %zu bytes: at most %d travel", msg_name(msg->type), buffer.size,
                WIRE_HEADER_BYTES);
        msgpack_sbuffer_destroy(&buffer);
        return err_hint(err, "shorten the run file (long lists of names)");
    }
    *out_size = buffer.size;
    *out = msgpack_sbuffer_release(&buffer);
    return true;
}

/* ---- reading ------------------------------------------------------------------------------- */

static bool bad(Err *err, const char *key, const char *what)
{
    return err_set(err, ERR_INPUT, "message key '%s' %s", key, what);
}

static bool get_whole(const msgpack_object *value, int64_t *out)
{
    if (value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
        *out = value->via.i64;
        return true;
    }
    *out = (int64_t)value->via.u64;
    return value->type == MSGPACK_OBJECT_POSITIVE_INTEGER && value->via.u64 <= INT64_MAX;
}

static bool read_ranges(Msg *msg, const msgpack_object *value, Err *err)
{
    if (value->type != MSGPACK_OBJECT_ARRAY || value->via.array.size % 2 != 0 ||
        value->via.array.size > 2 * WIRE_RANGES)
        return bad(err, "ranges", "is not a list of pairs");
    msg->range_count = (int)(value->via.array.size / 2);
    for (int i = 0; i < msg->range_count; i++) {
        Range *range = &msg->range[i];
        if (!get_whole(&value->via.array.ptr[2 * i], &range->begin) ||
            !get_whole(&value->via.array.ptr[2 * i + 1], &range->end) || range->begin < 0 ||
            range->begin >= range->end || range->end > MOST_COUNT)
            return bad(err, "ranges", "holds a range that is none");
    }
    return true;
}

static bool read_text(Msg *msg, const msgpack_object *value, Err *err)
{
    if (value->type == MSGPACK_OBJECT_NIL)
        return true;
    if (value->type != MSGPACK_OBJECT_STR)
        return bad(err, "text", "is not a text");
    const char *bytes = value->via.str.ptr;
    const size_t n = value->via.str.size;
    if ((n > 0 && memchr(bytes, '\0', n)) || text_utf8_valid(bytes, n) != n)
        return bad(err, "text", "is not UTF-8");
    msg->text = xstrndup(bytes, n);
    return true;
}

/* Into name[WIRE_NAME]. It is printed, so it holds nothing but visible ASCII. */
static bool read_name(char *name, const char *key, const msgpack_object *value, Err *err)
{
    if (value->type != MSGPACK_OBJECT_STR || value->via.str.size >= WIRE_NAME)
        return bad(err, key, "is not a short text");
    for (uint32_t i = 0; i < value->via.str.size; i++)
        if (value->via.str.ptr[i] <= ' ' || value->via.str.ptr[i] > '~')
            return bad(err, key, "is not a name");
    memcpy(name, value->via.str.ptr, value->via.str.size);
    return true;
}

static bool read_int(Header *header, const Field *field, const msgpack_object *value, Err *err)
{
    void *at = (char *)header + field->offset;
    int64_t whole;
    if (!get_whole(value, &whole) || whole < field->min || whole > field->max)
        return bad(err, field->key, "is not a number in its range");
    if (is_narrow(field))
        *(int *)at = (int)whole;
    else
        *(int64_t *)at = whole;
    return true;
}

static bool read_field(Header *header, const Field *field, const msgpack_object *value, Err *err)
{
    void *at = (char *)header + field->offset;
    switch (field->kind) {
    case FIELD_U64:
        if (value->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
            return bad(err, field->key, "is not a whole number");
        *(uint64_t *)at = value->via.u64;
        return true;
    case FIELD_INT:
        return read_int(header, field, value, err);
    case FIELD_REAL:
        if (value->type != MSGPACK_OBJECT_FLOAT64)
            return bad(err, field->key, "is not a real number");
        *(double *)at = value->via.f64;
        return true;
    case FIELD_BOOL:
        if (value->type != MSGPACK_OBJECT_BOOLEAN)
            return bad(err, field->key, "is neither true nor false");
        *(bool *)at = value->via.boolean;
        return true;
    case FIELD_NAME:
        return read_name(at, field->key, value, err);
    case FIELD_TEXT:
        return read_text(&header->msg, value, err);
    case FIELD_RANGES:
        return read_ranges(&header->msg, value, err);
    }
    return false;
}

static int field_of(const msgpack_object *key)
{
    if (key->type != MSGPACK_OBJECT_STR)
        return -1;
    for (int i = 0; i < FIELDS; i++)
        if (strlen(fields[i].key) == key->via.str.size &&
            memcmp(fields[i].key, key->via.str.ptr, key->via.str.size) == 0)
            return i;
    return -1;
}

/* Protocol version and type come first, in this order, in every version there will ever be: what
 * else a header holds depends on them. */
static bool read_kind(Header *header, const msgpack_object_map *map, Err *err)
{
    for (uint32_t i = 0; i < 2; i++) {
        if (i >= map->size || field_of(&map->ptr[i].key) != (int)i)
            return err_set(err, ERR_INPUT, "message without version and type");
        if (!read_field(header, &fields[i], &map->ptr[i].val, err))
            return false;
        if (i == 0 && header->version != WIRE_PROTOCOL)
            return err_set(err, ERR_REFUSED, "protocol version %d here, %llu there", WIRE_PROTOCOL,
                           (unsigned long long)header->version);
    }
    if (header->type >= MSG_TYPES)
        return bad(err, "type", "is none that is known");
    header->msg.type = (MsgType)header->type;
    return true;
}

static bool read_map(Header *header, const msgpack_object_map *map, Err *err)
{
    if (!read_kind(header, map, err))
        return false;
    uint64_t seen = 3; /* v, type */
    for (uint32_t i = 2; i < map->size; i++) {
        const int f = field_of(&map->ptr[i].key);
        if (f < 0 || !(fields[f].types >> header->msg.type & 1))
            return err_set(err, ERR_INPUT, "%s message with a key that it has not", msg_name(header->msg.type));
        if (seen >> f & 1)
            return bad(err, fields[f].key, "comes twice");
        seen |= (uint64_t)1 << f;
        if (!read_field(header, &fields[f], &map->ptr[i].val, err))
            return false;
    }
    for (int f = 0; f < FIELDS; f++)
        if ((fields[f].types >> header->msg.type & 1) && !(seen >> f & 1))
            return bad(err, fields[f].key, "is missing");
    return true;
}

/* What no single key can tell. A loss may be NaN: that is the run's fault to report, not the
 * message's. */
static bool check_whole(const Header *header, size_t most_tensor, Err *err)
{
    const Msg *msg = &header->msg;
    if ((BIT(PUSH) | BIT(EVAL) | BIT(ACK) | BIT(NEED)) >> msg->type & 1 && msg->range_count != 1)
        return bad(err, "ranges", "is not one range");
    if (!(msg->seconds >= 0 && isfinite(msg->seconds)))
        return bad(err, "seconds", "is not a time");
    if ((uint64_t)header->size > most_tensor)
        return err_set(err, ERR_INPUT, "%s message with %lld bytes of tensor: at most %zu fit", msg_name(msg->type),
                       (long long)header->size, most_tensor);
    if (msg->again && header->size > 0)
        return bad(err, "again", "comes with what it asks for");
    if (header->size % item_bytes(msg->type) != 0)
        return bad(err, "size", "is not a whole number of items");
    return true;
}

bool msg_decode_header(Msg *msg, const char *bytes, size_t size, size_t most_tensor, size_t *tensor_size,
                       uint64_t *checksum, Err *err)
{
    *msg = (Msg){ 0 };
    if (size > WIRE_HEADER_BYTES || !scan_header(bytes, size))
        return err_set(err, ERR_INPUT, "%zu bytes that are no message header", size);
    Header header = { 0 };
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t offset = 0;
    const bool whole = msgpack_unpack_next(&unpacked, bytes, size, &offset) == MSGPACK_UNPACK_SUCCESS &&
                       offset == size && unpacked.data.type == MSGPACK_OBJECT_MAP;
    const bool ok = whole ? read_map(&header, &unpacked.data.via.map, err) && check_whole(&header, most_tensor, err)
                          : err_set(err, ERR_INPUT, "%zu bytes that are no message header", size);
    msgpack_unpacked_destroy(&unpacked);
    if (!ok) {
        msg_release(&header.msg);
        return false;
    }
    if (header.msg.type == MSG_EVAL)
        header.msg.kind = LEASE_EVAL;
    *msg = header.msg;
    msg->size = *tensor_size = (size_t)header.size;
    *checksum = header.checksum;
    return true;
}
