#include "ps/tensorboard.h"

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "ps/run_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Fields of tensorflow's event.proto and summary.proto, and the wire types that they have. */
enum { EVENT_TIME = 1, EVENT_STEP, EVENT_VERSION, EVENT_SUMMARY = 5, EVENT_SESSION = 7 };
enum { SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_NUMBER = 2, SESSION_STATUS = 1, SESSION_START = 1 };
enum { AS_VARINT, AS_DOUBLE, AS_BYTES, AS_FLOAT = 5 };

/* ---- bytes ------------------------------------------------------------------------------------ */

uint32_t tensorboard_crc(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint32_t crc = ~0U;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
    }
    return ~crc;
}

/* TFRecord's: the checksum of data that holds checksums would be a bad one. */
static uint32_t masked(const void *data, size_t size)
{
    const uint32_t crc = tensorboard_crc(data, size);
    return (crc >> 15 | crc << 17) + 0xa282ead8U;
}

void tensorboard_record(Text *out, const void *event, size_t size)
{
    const uint64_t length = size;
    const uint32_t of_length = masked(&length, sizeof length), of_event = masked(event, size);
    text_add(out, (const char *)&length, sizeof length);
    text_add(out, (const char *)&of_length, sizeof of_length);
    text_add(out, event, size);
    text_add(out, (const char *)&of_event, sizeof of_event);
}

static void add_varint(Text *out, uint64_t value)
{
    do {
        const char byte = (char)((value & 127) | (value > 127 ? 128 : 0));
        text_add(out, &byte, 1);
        value >>= 7;
    } while (value > 0);
}

static void add_key(Text *out, int field, int wire)
{
    add_varint(out, (uint64_t)field << 3 | (uint64_t)wire);
}

static void add_bytes(Text *out, int field, const char *bytes, size_t size)
{
    add_key(out, field, AS_BYTES);
    add_varint(out, size);
    text_add(out, bytes, size);
}

/* ---- events ----------------------------------------------------------------------------------- */

static void begin_event(Text *event, int64_t step)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const double seconds = (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
    add_key(event, EVENT_TIME, AS_DOUBLE);
    text_add(event, (const char *)&seconds, sizeof seconds);
    add_key(event, EVENT_STEP, AS_VARINT);
    add_varint(event, (uint64_t)step);
}

static void end_event(Text *out, Text *event)
{
    tensorboard_record(out, event->data, event->size);
    text_release(event);
}

static void add_head(Text *out, int64_t step)
{
    static const char version[] = "brain.Event:2";
    Text event = { 0 }, session = { 0 };
    begin_event(&event, 0);
    add_bytes(&event, EVENT_VERSION, version, strlen(version));
    end_event(out, &event);
    begin_event(&event, step);
    add_key(&session, SESSION_STATUS, AS_VARINT);
    add_varint(&session, SESSION_START);
    add_bytes(&event, EVENT_SESSION, session.data, session.size);
    end_event(out, &event);
    text_release(&session);
}

static void add_value(Text *summary, const char *tag, double number)
{
    Text value = { 0 };
    const float single = (float)number;
    add_bytes(&value, VALUE_TAG, tag, strlen(tag));
    add_key(&value, VALUE_NUMBER, AS_FLOAT);
    text_add(&value, (const char *)&single, sizeof single);
    add_bytes(summary, SUMMARY_VALUE, value.data, value.size);
    text_release(&value);
}

static void add_line(Text *out, const json_t *line)
{
    Text event = { 0 }, summary = { 0 };
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)line, key, value)
    {
        if (strcmp(key, "step") == 0 || !json_is_number(value))
            continue;
        const bool eval = text_starts(key, "eval_");
        char *tag = xprintf("%s/%s", eval ? "eval" : "train", key + (eval ? strlen("eval_") : 0));
        add_value(&summary, tag, json_number_value(value));
        free(tag);
    }
    begin_event(&event, json_integer_value(json_object_get(line, "step")));
    add_bytes(&event, EVENT_SUMMARY, summary.data, summary.size);
    end_event(out, &event);
    text_release(&summary);
}

/* ---- the file ------------------------------------------------------------------------------------ */

/* events.out.tfevents.TIME.HOST, by which TensorBoard knows it, and orders them. */
static char *new_path(const Run *run, Err *err)
{
    char host[256] = "", *folder = path_join(run->folder, "tensorboard"), *path = NULL;
    if (gethostname(host, sizeof host - 1) != 0 || !host[0])
        snprintf(host, sizeof host, "host");
    if (folder_make(folder, err))
        path = xprintf("%s/events.out.tfevents.%010lld.%s.%d", folder, (long long)time(NULL), host, (int)getpid());
    free(folder);
    return path;
}

void tensorboard_add(Run *run, const json_t *line)
{
    Err err = { 0 };
    Text out = { 0 };
    if (!run->config.train.tensorboard || run->events_failed)
        return;
    if (!run->events_path) {
        run->events_path = new_path(run, &err);
        add_head(&out, json_integer_value(json_object_get(line, "step")));
    }
    add_line(&out, line);
    FILE *file = run->events_path ? fopen(run->events_path, "ae") : NULL;
    bool ok = file && fwrite(out.data, 1, out.size, file) == out.size;
    ok = (!file || fclose(file) == 0) && ok;
    if (!ok) {
        log_warn("save", "events for TensorBoard end here: %s", err.kind != ERR_NONE ? err.what : strerror(errno));
        run->events_failed = true;
    }
    text_release(&out);
}
