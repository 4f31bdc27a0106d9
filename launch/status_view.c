#include "launch/status_view.h"

#include "common/base/file.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { EVENTS = 8 };

/* ---- lines ------------------------------------------------------------------------------------- */

static void add_line(Text *out, const char *key, const json_t *value)
{
    if (json_is_string(value)) {
        text_addf(out, "%-28s %s\n", key, json_string_value(value));
        return;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    text_addf(out, "%-28s %s\n", key, text ? text : "?");
    free(text);
}

/* Objects as "traffic.up"; lists are for others. */
static void add_lines(Text *out, const json_t *status, const char *before)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)status, key, value)
    {
        char *name = xprintf("%s%s%s", before, *before ? "." : "", key);
        if (json_is_object(value))
            add_lines(out, value, name);
        else if (!json_is_array(value))
            add_line(out, name, value);
        free(name);
    }
}

/* ---- workers ------------------------------------------------------------------------------------- */

static void add_cell(Text *out, const json_t *row, const char *key, int digits)
{
    const json_t *value = json_object_get(row, key);
    char cell[64] = "-";
    if (json_is_number(value))
        snprintf(cell, sizeof cell, "%.*f", digits, json_number_value(value));
    else if (json_is_string(value))
        snprintf(cell, sizeof cell, "%s", json_string_value(value));
    text_addf(out, " %12s", cell);
}

static void add_workers(Text *out, const json_t *workers)
{
    static const struct {
        const char *title, *key;
        int digits;
    } columns[] = {
        { "state", "state", 0 },   { "ranks", "ranks", 0 },     { "pieces/s", "pieces_per_second", 2 },
        { "lag", "lag", 0 },       { "silent s", "silent", 1 }, { "pieces", "pieces", 0 },
        { "memory", "memory", 0 },
    };
    if (json_array_size(workers) == 0)
        return;
    text_addf(out, "\n%-24s", "worker");
    for (size_t c = 0; c < LENGTH(columns); c++)
        text_addf(out, " %12s", columns[c].title);
    text_adds(out, "\n");
    for (size_t i = 0; i < json_array_size(workers); i++) {
        const json_t *row = json_array_get(workers, i);
        const char *host = json_string_value(json_object_get(row, "host")),
                   *client = json_string_value(json_object_get(row, "client"));
        char name[128];
        snprintf(name, sizeof name, "%.15s %.8s", host ? host : "?", client ? client : "?");
        text_addf(out, "%-24s", name);
        for (size_t c = 0; c < LENGTH(columns); c++)
            add_cell(out, row, columns[c].key, columns[c].digits);
        text_adds(out, "\n");
    }
}

static void add_events(Text *out, const json_t *events)
{
    const size_t count = json_array_size(events);
    for (size_t i = count > EVENTS ? count - EVENTS : 0; i < count; i++) {
        const json_t *event = json_array_get(events, i);
        const time_t at = (time_t)json_number_value(json_object_get(event, "time"));
        struct tm parts;
        localtime_r(&at, &parts);
        text_addf(out, "%s%02d:%02d:%02d %-5s %s %s\n", i == 0 || i + EVENTS == count ? "\n" : "", parts.tm_hour,
                  parts.tm_min, parts.tm_sec, json_string_value(json_object_get(event, "level")),
                  json_string_value(json_object_get(event, "area")), json_string_value(json_object_get(event, "text")));
    }
}

void status_view(Text *out, const json_t *status)
{
    add_lines(out, status, "");
    add_workers(out, json_object_get(status, "workers"));
    add_events(out, json_object_get(status, "events"));
}

/* ---- a folder alone -------------------------------------------------------------------------------- */

/* The last line of metrics.jsonl that is whole; NULL: there is none. */
static json_t *newest_line(const char *folder)
{
    Err none = { 0 };
    size_t size = 0;
    char *path = path_join(folder, "metrics.jsonl"), *text = file_exists(path) ? file_read(path, &size, &none) : NULL;
    json_t *last = NULL;
    while (!last && size > 0) {
        while (size > 0 && text[size - 1] == '\n')
            size--;
        size_t begin = size;
        while (begin > 0 && text[begin - 1] != '\n')
            begin--;
        last = json_loadb(text + begin, size - begin, 0, NULL);
        size = begin;
    }
    free(text);
    free(path);
    return last;
}

json_t *status_of_folder(const char *folder, Err *err)
{
    char *path = path_join(folder, "summary.json"), *log = path_join(folder, "wal/log");
    const bool complete = file_exists(path) && !file_exists(log);
    json_t *status = json_object(), *figures = NULL;
    json_object_set_new(status, "state", json_string(complete ? "complete" : "stopped"));
    json_object_set_new(status, "complete", json_boolean(complete));
    if (complete)
        figures = json_file(path, err);
    else
        figures = newest_line(folder);
    if (figures)
        json_object_update(status, figures);
    if (figures && complete)
        json_object_set(status, "step", json_object_get(figures, "steps"));
    json_object_set_new(status, "output_dir", json_string(folder));
    json_decref(figures);
    free(log);
    free(path);
    if (err->kind == ERR_NONE)
        return status;
    json_decref(status);
    return NULL;
}
