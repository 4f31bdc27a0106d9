#include "launch/describe.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN = 100 }; /* bytes of a first line */

typedef struct Beginning {
    const char *bytes;
    size_t size;
    const char *kind;
} Beginning;

#define BEGINS(text) text, sizeof(text) - 1

static const Beginning beginnings[] = {
    { BEGINS("GGUF"), "GGUF model (llama.cpp); models are read from safetensors files" },
    { BEGINS("PAR1"), "Parquet table" },
    { BEGINS("ARROW1"), "Arrow table" },
    { BEGINS("PK\003\004"), "zip archive; PyTorch's .bin, .pt and .pth files are such" },
    { BEGINS("\x80\x02"), "Python pickle; PyTorch's older .bin and .pt files are such" },
    { BEGINS("\x89PNG"), "PNG image" },
    { BEGINS("\xff\xd8\xff"), "JPEG image" },
    { BEGINS("\x1f\x8b"), "gzip archive" },
    { BEGINS("\x28\xb5\x2f\xfd"), "Zstandard archive" },
};

typedef struct Ending {
    const char *name, *kind;
} Ending;

static const Ending endings[] = {
    { ".csv", "table of comma-separated values" },
    { ".tsv", "table of tab-separated values" },
    { ".jsonl", "JSON Lines, a record a line" },
    { ".json", "JSON" },
    { ".conll", "words with tags, one a line" },
    { ".yaml", "YAML" },
    { ".yml", "YAML" },
    { ".md", "Markdown text" },
};

bool describe_is_safetensors(const char *path)
{
    FileMap map;
    Err none = { 0 };
    if (text_ends_any(path, ".safetensors"))
        return true;
    if (!file_map(&map, path, &none))
        return false;
    uint64_t header = 0;
    if (map.size > 8)
        memcpy(&header, map.data, 8); /* little-endian, as this machine */
    const bool is = map.size > 8 && header <= map.size - 8 && map.data[8] == '{';
    file_unmap(&map);
    return is;
}

static const char *kind_of(const char *path, const FileMap *map, bool text)
{
    for (size_t i = 0; i < LENGTH(beginnings); i++)
        if (map->size >= beginnings[i].size && memcmp(map->data, beginnings[i].bytes, beginnings[i].size) == 0)
            return beginnings[i].kind;
    if (map->size == 0)
        return "empty file";
    for (size_t i = 0; text && i < LENGTH(endings); i++)
        if (text_ends_any(path, endings[i].name))
            return endings[i].kind;
    return text ? "text" : "binary data of an unknown kind";
}

static void add_first_line(json_t *out, const char *line, size_t n)
{
    const size_t shown = n > SHOWN ? SHOWN : n;
    json_object_set_new(out, "first line", json_stringn(line, text_utf8_valid(line, shown)));
}

/* The keys of a JSON object. False: it is another thing, or none. */
static bool add_keys(json_t *out, const FileMap *map)
{
    json_t *value = json_loadb(map->data, map->size, JSON_DECODE_ANY, NULL);
    const bool is = json_is_object(value);
    json_t *keys = json_array();
    const char *key;
    json_t *of_key;
    json_object_foreach(value, key, of_key)
    {
        json_array_append_new(keys, json_string(key));
    }
    if (is)
        json_object_set(out, "keys", keys);
    json_decref(keys);
    json_decref(value);
    return is;
}

static void add_text(json_t *out, const char *path, const FileMap *map)
{
    json_int_t lines = 0;
    for (const char *at = map->data, *end = at + map->size; at < end; lines++) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        at = line_end ? line_end + 1 : end;
    }
    json_object_set_new(out, "lines", json_integer(lines));
    if (text_ends_any(path, ".json") && add_keys(out, map))
        return;
    const char *line_end = memchr(map->data, '\n', map->size);
    size_t n = line_end ? (size_t)(line_end - map->data) : map->size;
    n -= n > 0 && map->data[n - 1] == '\r';
    add_first_line(out, map->data, n);
}

json_t *describe_file(const char *path, Err *err)
{
    FileMap map;
    if (!file_map(&map, path, err))
        return NULL;
    const bool text =
        map.size > 0 && text_utf8_valid(map.data, map.size) == map.size && !memchr(map.data, '\0', map.size);
    json_t *out = json_object();
    json_object_set_new(out, "kind", json_string(kind_of(path, &map, text)));
    json_object_set_new(out, "bytes", json_integer((json_int_t)map.size));
    if (text)
        add_text(out, path, &map);
    file_unmap(&map);
    return out;
}
