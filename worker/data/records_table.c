/* records_table - .csv and .tsv files: a header row that names the columns, then rows. */
#include "common/base/file.h"
#include "common/base/mem.h"
#include "worker/data/records_parts.h"

#include <csv.h>
#include <stdlib.h>
#include <string.h>

typedef struct Table {
    RecordReader *reader;
    char **names; /* header, owned */
    Text cells;   /* of the current row, '\0' between */
    size_t *ends; /* of each cell in `cells` */
    size_t count, room;
    size_t header_count;
    int text, pair, label; /* column numbers, -1: none */
    int64_t line, row_line; /* now, and where the row began */
    bool in_header, ok, row_open;
} Table;

static void add_cell(Table *t, const char *bytes, size_t n)
{
    if (t->count == t->room) {
        t->room = t->room ? 2 * t->room : 16;
        t->ends = xrealloc(t->ends, t->room * sizeof *t->ends);
    }
    text_add(&t->cells, bytes, n);
    t->ends[t->count++] = t->cells.size;
    text_add(&t->cells, "", 1);
}

static void table_cell(void *bytes, size_t n, void *self)
{
    add_cell(self, bytes, n);
}

static const char *cell(const Table *t, int column, size_t *n)
{
    const size_t begin = column == 0 ? 0 : t->ends[column - 1] + 1;
    *n = t->ends[column] - begin;
    return t->cells.data + begin;
}

static int find_column(Table *t, const char *name, bool needed)
{
    if (!name)
        return -1;
    for (size_t i = 0; i < t->header_count; i++)
        if (strcmp(t->names[i], name) == 0)
            return (int)i;
    if (!needed)
        return -1;
    Text have = { 0 };
    for (size_t i = 0; i < t->header_count; i++)
        text_addf(&have, "%s%s", i ? ", " : "", t->names[i]);
    err_set(t->reader->err, ERR_INPUT, "no column '%s'", name);
    err_at(t->reader->err, "%s:1", t->reader->path);
    err_hint(t->reader->err, "the columns are: %s; set %s", have.data ? have.data : "",
             t->reader->columns->kind == ROWS_COMPLETIONS ? "data.prompt and data.completion"
                                                          : "data.text and data.label");
    text_release(&have);
    t->ok = false;
    return -1;
}

static void table_header(Table *t)
{
    const RecordColumns *c = t->reader->columns;
    t->names = xcalloc(t->count + 1, sizeof *t->names);
    t->header_count = t->count;
    for (size_t i = 0; i < t->count; i++) {
        size_t n;
        const char *name = cell(t, (int)i, &n);
        if (i == 0 && n >= 3 && memcmp(name, "\xEF\xBB\xBF", 3) == 0) /* byte order mark */
            name += 3, n -= 3;
        t->names[i] = xstrndup(name, n);
    }
    t->text = find_column(t, c->text, true);
    if (t->ok)
        t->pair = find_column(t, c->pair, true);
    if (t->ok)
        t->label = find_column(t, c->label, c->labelled);
    t->in_header = false;
}

static void table_row(int end, void *self)
{
    (void)end;
    Table *t = self;
    if (t->ok && t->in_header) {
        table_header(t);
    } else if (t->ok) {
        Record r = { .file = t->reader->path, .line = t->row_line };
        Err bad = { 0 };
        const int most = t->text > t->label ? t->text : t->label;
        if ((int)t->count <= (most > t->pair ? most : t->pair)) {
            err_set(&bad, ERR_INPUT, "the row has %zu columns, the header %zu", t->count, t->header_count);
        } else {
            size_t n;
            r.text = cell(t, t->text, &r.text_size);
            if (t->pair >= 0)
                r.pair = cell(t, t->pair, &r.pair_size);
            if (t->label >= 0)
                r.label = cell(t, t->label, &n);
        }
        t->ok = records_give(t->reader, &r, &bad);
    }
    text_clear(&t->cells);
    t->count = 0;
    t->row_open = false;
}

/* End of a cell that is quoted as a whole ("a ""b"" c" and then a tab or the end), or NULL: in a
 * .tsv a quote is a letter unless it wraps the cell. */
static const char *quoted_end(const char *at, const char *end)
{
    for (const char *c = at + 1; c < end; c++) {
        if (*c != '"')
            continue;
        if (c + 1 < end && c[1] == '"')
            c++;
        else
            return c + 1 == end || c[1] == '\t' ? c : NULL;
    }
    return NULL;
}

static void split_tsv(Table *t, const char *at, const char *end)
{
    for (;;) {
        const char *close = at < end && *at == '"' ? quoted_end(at, end) : NULL;
        if (close) {
            Text plain = { 0 };
            for (const char *c = at + 1; c < close; c++) {
                text_add(&plain, c, 1);
                c += *c == '"';
            }
            add_cell(t, plain.data ? plain.data : "", plain.size);
            text_release(&plain);
            at = close + 1;
        } else {
            const char *tab = memchr(at, '\t', (size_t)(end - at));
            const char *stop = tab ? tab : end;
            add_cell(t, at, (size_t)(stop - at));
            at = stop;
        }
        if (at >= end)
            break;
        at++; /* the tab */
    }
    table_row('\n', t);
}

/* libcsv is fed line by line, so that a row's first line is known. */
static bool read_table(RecordReader *reader, char delimiter)
{
    FileMap map;
    if (!file_map(&map, reader->path, reader->err))
        return false;
    struct csv_parser parser;
    Table t = { .reader = reader, .text = -1, .pair = -1, .label = -1, .in_header = true, .ok = true };
    REQUIRE(csv_init(&parser, CSV_APPEND_NULL) == 0);
    csv_set_delim(&parser, (unsigned char)delimiter);
    csv_set_space_func(&parser, NULL);
    for (size_t at = 0; t.ok && at < map.size;) {
        const char *end = memchr(map.data + at, '\n', map.size - at);
        const size_t n = end ? (size_t)(end - map.data) - at + 1 : map.size - at;
        t.line++;
        if (!t.row_open) {
            t.row_line = t.line;
            t.row_open = true;
        }
        if (delimiter == '\t') {
            size_t k = end ? n - 1 : n;
            if (k > 0 && map.data[at + k - 1] == '\r')
                k--;
            if (k > 0)
                split_tsv(&t, map.data + at, map.data + at + k);
            t.row_open = false;
        } else {
            csv_parse(&parser, map.data + at, n, table_cell, table_row, &t);
        }
        at += n;
    }
    if (t.ok)
        csv_fini(&parser, table_cell, table_row, &t);
    csv_free(&parser);
    for (size_t i = 0; i < t.header_count; i++)
        free(t.names[i]);
    free(t.names);
    free(t.ends);
    text_release(&t.cells);
    file_unmap(&map);
    return t.ok;
}

bool records_csv(RecordReader *reader)
{
    return read_table(reader, ',');
}

bool records_tsv(RecordReader *reader)
{
    return read_table(reader, '\t');
}
