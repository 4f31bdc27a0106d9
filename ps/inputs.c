#include "ps/inputs.h"

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of all files together that are digested, as workers wait meanwhile; of the rest the size is known. */
static const size_t most_digested = (size_t)1 << 30;

enum { MOST_SAID = 5 }; /* files of a refusal */

static json_t *in_hex(uint64_t number)
{
    return json_sprintf("%08x%08x", (unsigned)(number >> 32), (unsigned)number);
}

/* *left: bytes that may yet be digested. */
static json_t *note(const StringList *files, size_t *left)
{
    json_t *list = json_array();
    for (int i = 0; i < files->count; i++) {
        FileMap map = { 0 };
        if (file_is_folder(files->items[i]) || !file_map(&map, files->items[i], NULL))
            continue;
        const size_t digested = map.size < *left ? map.size : *left;
        json_t *one =
            json_pack("{s:s, s:I, s:I, s:o}", "file", files->items[i], "bytes", (json_int_t)map.size, "digested",
                      (json_int_t)digested, "digest", in_hex(digest_fast(map.data ? map.data : "", digested)));
        if (one) /* else its name is not UTF-8 */
            json_array_append_new(list, one);
        *left -= digested;
        file_unmap(&map);
    }
    return list;
}

void inputs_note(const Run *run)
{
    Err err = { 0 };
    size_t left = most_digested;
    json_t *all = json_object();
    json_object_set_new(all, "data.train", note(&run->config.data.train, &left));
    json_object_set_new(all, "data.validation", note(&run->config.data.validation, &left));
    char *path = path_join(run->folder, INPUTS_FILE);
    if (!json_write(path, all, &err))
        log_warn("save", "a refusal of other data will not say what was changed: %s", err.what);
    free(path);
    json_decref(all);
}

/* How `file` is another now; false: it is not, as far as is known. */
static bool add_change(const json_t *one, const char *file, Text *out)
{
    Err none = { 0 };
    FileMap map = { 0 };
    const size_t bytes = (size_t)json_get_int(one, "bytes", 0, &none),
                 digested = (size_t)json_get_int(one, "digested", 0, &none);
    if (none.kind != ERR_NONE || !file_map(&map, file, NULL))
        return false;
    json_t *now = map.size >= digested ? in_hex(digest_fast(map.data ? map.data : "", digested)) : NULL;
    const bool begins_alike = json_equal(now, json_object_get(one, "digest"));
    const size_t size = map.size;
    json_decref(now);
    file_unmap(&map);
    if (begins_alike && size == bytes)
        return false;
    if (begins_alike && size > bytes && digested == bytes)
        text_addf(out, "; %s has %zu bytes more at its end than when the run began, %zu then", file, size - bytes,
                  bytes);
    else if (size != bytes)
        text_addf(out, "; %s is another than when the run began: %zu bytes now, %zu then", file, size, bytes);
    else
        text_addf(out, "; %s is another than when the run began, of as many bytes", file);
    return true;
}

void inputs_add_changes(const Run *run, const char *key, Text *out)
{
    Err none = { 0 };
    char *path = path_join(run->folder, INPUTS_FILE);
    json_t *all = file_exists(path) ? json_file(path, &none) : NULL;
    const json_t *list = json_object_get(all, key);
    int said = 0, more = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        Text change = { 0 };
        const char *file = json_get_string(one, "file", NULL, &none);
        if (file && add_change(one, file, &change)) {
            if (said < MOST_SAID)
                said++, text_adds(out, change.data);
            else
                more++;
        }
        text_release(&change);
    }
    if (more > 0)
        text_addf(out, "; and %d files more", more);
    json_decref(all);
    free(path);
}
