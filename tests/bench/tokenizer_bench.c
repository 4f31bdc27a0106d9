/* How fast a tokenizer is on a text, on one core: tokenizer_bench MODEL FILE [SECONDS]. */
#include "common/base/clock.h"
#include "common/base/file.h"
#include "worker/tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

typedef struct Counts {
    double bytes, lines, tokens;
} Counts;

static bool encode_lines(const Tokenizer *tokenizer, const FileMap *map, Encoding *encoding, Counts *counts, Err *err)
{
    for (size_t at = 0; at < map->size;) {
        const char *end = memchr(map->data + at, '\n', map->size - at);
        const size_t n = (end ? (size_t)(end - map->data) : map->size) - at;
        if (!tokenizer_encode(tokenizer, map->data + at, n, NULL, 0, 0, encoding, err))
            return false;
        counts->bytes += (double)n;
        counts->lines += 1;
        counts->tokens += (double)encoding->count;
        at += n + 1;
    }
    return true;
}

static bool measure(const Tokenizer *tokenizer, const char *path, double least, Err *err)
{
    FileMap map = { 0 };
    Encoding encoding = { 0 };
    Counts counts = { 0 };
    double seconds = 0;
    bool ok = file_map(&map, path, err);
    const double start = clock_now();
    while (ok && seconds < least) {
        ok = encode_lines(tokenizer, &map, &encoding, &counts, err);
        seconds = clock_now() - start;
    }
    if (ok)
        printf("%s: %.1f MB/s, %.2f million tokens/s, %.0f lines/s\n", path, counts.bytes / seconds * 1e-6,
               counts.tokens / seconds * 1e-6, counts.lines / seconds);
    encoding_release(&encoding);
    file_unmap(&map);
    return ok;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fputs("usage: tokenizer_bench MODEL FILE [SECONDS]\n", stderr);
        return 2;
    }
    Err err = { 0 };
    Tokenizer *tokenizer = tokenizer_open(argv[1], &err);
    const bool ok = tokenizer && measure(tokenizer, argv[2], argc > 3 ? atof(argv[3]) : 2.0, &err);
    tokenizer_close(tokenizer);
    if (!ok)
        err_print(&err, stderr);
    return err_exit_code(&err);
}
