#include "worker/data/source.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>
#include <zstd.h>

/* ---- unpacking ------------------------------------------------------------------------ */

/* What is unpacked, growing: its size is known only at the end. */
typedef struct Unpacked {
    char *data;
    size_t size, room;
} Unpacked;

static bool reserve(Unpacked *u, Err *err)
{
    if (u->size < u->room)
        return true;
    const size_t room = u->room ? 2 * u->room : 1 << 16;
    char *data = realloc(u->data, room);
    if (!data)
        return err_set(err, ERR_MEMORY, "no room for %zu MB of unpacked text", room >> 20);
    u->data = data;
    u->room = room;
    return true;
}

static bool damaged(bool short_of, const char *why, Err *err)
{
    if (short_of)
        err_set(err, ERR_INPUT, "the packed file ends too early");
    else
        err_set(err, ERR_INPUT, "the packed file is damaged: %s", why);
    return err_hint(err, "copy or pack it again");
}

/* Members follow each other; zeros may fill up the end, as Python's gzip has it. */
static bool unpack_gzip(Unpacked *out, const FileMap *in, Err *err)
{
    enum { GZIP = 16 + MAX_WBITS, MOST = 1 << 30 };
    z_stream z = { 0 };
    size_t at = 0;
    int code = Z_OK;
    REQUIRE(inflateInit2(&z, GZIP) == Z_OK);
    bool ok = true;
    while (ok) {
        const size_t given = in->size - at < MOST ? in->size - at : MOST;
        if (!(ok = reserve(out, err)))
            break;
        const size_t room = out->room - out->size < MOST ? out->room - out->size : MOST;
        z.next_in = (Bytef *)(uintptr_t)(in->data + at);
        z.avail_in = (uInt)given;
        z.next_out = (Bytef *)(out->data + out->size);
        z.avail_out = (uInt)room;
        code = inflate(&z, Z_NO_FLUSH);
        at += given - z.avail_in;
        out->size += room - z.avail_out;
        if (code == Z_STREAM_END) {
            while (at < in->size && in->data[at] == '\0')
                at++;
            if (at == in->size)
                break;
            inflateReset(&z);
        } else if (code != Z_OK) {
            ok = damaged(at == in->size && code == Z_BUF_ERROR, z.msg ? z.msg : "not gzip's format", err);
        }
    }
    inflateEnd(&z);
    return ok;
}

static bool unpack_zstd(Unpacked *out, const FileMap *in, Err *err)
{
    ZSTD_DStream *z = ZSTD_createDStream();
    REQUIRE(z);
    ZSTD_inBuffer from = { in->data, in->size, 0 };
    size_t left = 1; /* 0: at the end of a frame */
    bool ok = true;
    while (ok && (from.pos < from.size || left > 0)) {
        if (!(ok = reserve(out, err)))
            break;
        ZSTD_outBuffer to = { out->data, out->room, out->size };
        const size_t before = from.pos;
        left = ZSTD_decompressStream(z, &to, &from);
        const bool stuck = from.pos == before && to.pos == out->size;
        out->size = to.pos;
        if (ZSTD_isError(left))
            ok = damaged(false, ZSTD_getErrorName(left), err);
        else if (stuck && left > 0 && from.pos == from.size)
            ok = damaged(true, NULL, err);
    }
    ZSTD_freeDStream(z);
    return ok;
}

/* ---- opening ---------------------------------------------------------------------------- */

/* Text of two bytes a letter would be told as a thousand other faults. */
static bool check_encoding(const Source *source, Err *err)
{
    if (source->size < 2 || (memcmp(source->data, "\xFF\xFE", 2) != 0 && memcmp(source->data, "\xFE\xFF", 2) != 0))
        return true;
    err_set(err, ERR_INPUT, "the file is UTF-16");
    return err_hint(err, "convert it: iconv -f UTF-16 -t UTF-8");
}

bool source_open(Source *source, const char *path, Err *err)
{
    *source = (Source){ .data = "" };
    if (!file_map(&source->map, path, err))
        return false;
    const bool gzip = text_ends_any(path, ".gz"), zstd = text_ends_any(path, ".zst");
    Unpacked unpacked = { 0 };
    bool ok = true;
    if (gzip || zstd) {
        ok = gzip ? unpack_gzip(&unpacked, &source->map, err) : unpack_zstd(&unpacked, &source->map, err);
        file_unmap(&source->map);
        source->unpacked = unpacked.data;
        source->data = unpacked.data ? unpacked.data : "";
        source->size = unpacked.size;
    } else if (source->map.data) {
        source->data = source->map.data;
        source->size = source->map.size;
    }
    if (!ok || !check_encoding(source, err)) {
        source_close(source);
        return err_at(err, "%s", path);
    }
    if (source->size >= 3 && memcmp(source->data, "\xEF\xBB\xBF", 3) == 0) {
        source->data += 3;
        source->size -= 3;
    }
    return true;
}

void source_close(Source *source)
{
    file_unmap(&source->map);
    free(source->unpacked);
    *source = (Source){ .data = "" };
}

const char *source_line(const Source *source, size_t *at, size_t *n)
{
    const char *line = source->data + *at;
    const size_t left = source->size - *at;
    const char *end = left > 0 ? memchr(line, '\n', left) : NULL;
    *n = end ? (size_t)(end - line) + 1 : left;
    *at += *n;
    return left > 0 ? line : NULL;
}

bool source_ends(const char *path, const char *ending)
{
    size_t n = strlen(path);
    n -= text_ends_any(path, ".gz") ? 3 : text_ends_any(path, ".zst") ? 4 : 0;
    const size_t k = strlen(ending);
    return n >= k && strncasecmp(path + n - k, ending, k) == 0;
}
