/* rows_driver FILE TEXT PAIR LABEL - the rows of a file as our readers give them, a JSON list a row: text, pair and
 * label of the columns so named ("-": none), or {"error": ...}. For tests/interop/readers.py. */
#include "worker/data/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *text(const char *bytes, size_t n)
{
    return bytes ? json_stringn(bytes, n) : json_null();
}

static bool print(void *self, const Record *r, Err *bad, Err *err)
{
    (void)self;
    (void)err;
    json_t *row = bad->kind != ERR_NONE ? json_pack("{s:s}", "error", bad->what)
                                        : json_pack("[o, o, o]", text(r->text, r->text_size),
                                                    text(r->pair, r->pair_size), text(r->label, r->label_size));
    char *line = json_dumps(row, JSON_COMPACT);
    puts(line);
    free(line);
    json_decref(row);
    return true;
}

static const char *name(const char *word)
{
    return strcmp(word, "-") == 0 ? NULL : word;
}

int main(int argc, char **argv)
{
    Err err = { 0 };
    if (argc != 5)
        return 2;
    const RecordColumns columns = {
        .kind = ROWS_LABELLED, .text = argv[2], .pair = name(argv[3]), .label = name(argv[4]), .labelled = true
    };
    if (!records_read(argv[1], &columns, print, NULL, &err)) {
        err_print(&err, stderr);
        return err_exit_code(&err);
    }
    return 0;
}
