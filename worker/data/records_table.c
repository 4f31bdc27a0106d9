/* records_table - .csv and .tsv files: a header row that names the columns, then rows, read as Python's
 * csv module reads them: blanks belong to a cell, a quote opens one only as its first letter, "" is a
 * quote within.
 *
 * A .tsv file is written in one of two styles, and all of it is read in that one. Quoted: a name of the
 * header is wrapped in quotes; or every cell that has a quote is wrapped, needs it (a tab, line end or
 * quote is inside), and all rows then have as many columns as the header. Else plain, as GLUE's are: a
 * quote is a letter. */
#include "common/base/mem.h"
#include "worker/data/records_parts.h"

#include <stdlib.h>
#include <string.h>

/* ---- rows of cells -------------------------------------------------------------------- */

/* Where a pass over the bytes is, and the row it has read. */
typedef struct Scan {
    const Source *source;
    char delimiter;
    bool quoted; /* quotes mean something */
    size_t at;
    int64_t line; /* of `at`, from 1 */
    int64_t row_line, quote_line; /* where the row began; its last opening quote */
    Text cells; /* of the row, '\0' behind each */
    size_t *ends; /* [count] of each cell in `cells` */
    size_t count, room;
    bool unclosed; /* its last quote is open at the end of the file */
    bool odd; /* it has a quote that neither wraps a cell nor stands doubled in one that is wrapped */
    int64_t wrapped, needless; /* cells in quotes; those without a reason for it */
} Scan;

static void scan_release(Scan *s)
{
    text_release(&s->cells);
    free(s->ends);
}

static const char *cell(const Scan *s, size_t column, size_t *n)
{
    const size_t begin = column == 0 ? 0 : s->ends[column - 1] + 1;
    *n = s->ends[column] - begin;
    return s->cells.data + begin;
}

static void end_cell(Scan *s)
{
    if (s->count == s->room) {
        s->room = s->room ? 2 * s->room : 16;
        s->ends = xrealloc(s->ends, s->room * sizeof *s->ends);
    }
    s->ends[s->count++] = s->cells.size;
    text_add(&s->cells, "", 1);
}

static bool is_end(char c)
{
    return c == '\n' || c == '\r';
}

/* "\n", "\r\n" or "\r" */
static void skip_end(Scan *s)
{
    const char *data = s->source->data;
    if (s->at < s->source->size && is_end(data[s->at])) {
        s->at += data[s->at] == '\r' && s->at + 1 < s->source->size && data[s->at + 1] == '\n';
        s->at++;
        s->line++;
    }
}

/* Letters up to the delimiter or the end of the line. */
static void read_plain(Scan *s)
{
    const char *data = s->source->data;
    const size_t from = s->at;
    for (; s->at < s->source->size && data[s->at] != s->delimiter && !is_end(data[s->at]); s->at++)
        s->odd = s->odd || data[s->at] == '"';
    text_add(&s->cells, data + from, s->at - from);
}

/* From the quote that opens a cell to the one that closes it, and what follows that. */
static void read_wrapped(Scan *s)
{
    const char *data = s->source->data;
    const size_t size = s->source->size;
    bool needed = false;
    s->quote_line = s->line;
    s->wrapped++;
    for (s->at++; s->at < size; s->at++) {
        const char c = data[s->at];
        if (c == '"') {
            if (s->at + 1 >= size || data[s->at + 1] != '"')
                break;
            s->at++;
        }
        needed = needed || c == '"' || c == s->delimiter || is_end(c);
        s->line += c == '\n' || (c == '\r' && (s->at + 1 >= size || data[s->at + 1] != '\n'));
        text_add(&s->cells, &c, 1);
    }
    s->unclosed = s->at >= size;
    s->needless += !needed;
    s->at += !s->unclosed;
    const size_t closed = s->at;
    read_plain(s);
    s->odd = s->odd || s->at > closed;
}

/* The next row that is not an empty line; false: there is none. */
static bool next_row(Scan *s)
{
    const Source *source = s->source;
    text_clear(&s->cells);
    s->count = 0;
    s->unclosed = s->odd = false;
    s->wrapped = s->needless = 0;
    while (s->at < source->size && is_end(source->data[s->at]))
        skip_end(s);
    if (s->at >= source->size)
        return false;
    s->row_line = s->line;
    for (;;) {
        if (s->quoted && s->at < source->size && source->data[s->at] == '"')
            read_wrapped(s);
        else
            read_plain(s);
        end_cell(s);
        if (s->at >= source->size || source->data[s->at] != s->delimiter)
            break;
        s->at++;
    }
    skip_end(s);
    return true;
}

/* The style of a .tsv file. */
static bool is_quoted_style(const Source *source)
{
    Scan s = { .source = source, .delimiter = '\t', .quoted = true, .line = 1 };
    bool quoted = next_row(&s) && !s.unclosed;
    const size_t columns = s.count;
    if (quoted && s.wrapped == 0)
        while (quoted && next_row(&s))
            quoted = !s.unclosed && !s.odd && s.needless == 0 && s.count == columns;
    scan_release(&s);
    return quoted;
}

/* ---- columns ---------------------------------------------------------------------------- */

typedef struct TableFile {
    RecordReader *reader;
    Scan scan;
    char **names; /* header, owned */
    size_t columns;
    int text, pair, label, by; /* column numbers, -1: none */
    int *texts; /* [columns->texts] the same, owned */
    const char **cells; /* of the current row, owned */
    size_t *sizes;
    Text filled; /* the form of the current row */
} TableFile;

static int find_name(const TableFile *t, const char *name)
{
    for (size_t i = 0; i < t->columns; i++)
        if (strcmp(t->names[i], name) == 0)
            return (int)i;
    return -1;
}

static const char *column_keys(const RecordColumns *c)
{
    return c->kind == ROWS_COMPLETIONS || c->kind == ROWS_SOURCES ? "data.prompt and data.completion"
           : c->kind == ROWS_COLUMNS                              ? "data.columns and data.score"
           : c->kind == ROWS_QUESTIONS                            ? "data.question, data.context and data.answers"
                                                                  : "data.text and data.label";
}

static bool no_column(const TableFile *t, const char *name)
{
    const RecordColumns *c = t->reader->columns;
    Err *err = t->reader->err;
    Text have = { 0 };
    for (size_t i = 0; i < t->columns; i++)
        text_addf(&have, "%s%.60s", i ? ", " : "", t->names[i]);
    const char *const wanted[] = { c->text, c->pair, c->label };
    bool any = false;
    for (size_t i = 0; i < 3; i++)
        any = any || (wanted[i] && find_name(t, wanted[i]) >= 0);
    for (int i = 0; c->texts && i < c->texts->count; i++)
        any = any || find_name(t, c->texts->items[i]) >= 0;
    err_set(err, ERR_INPUT, "no column '%s'", name);
    err_at(err, "%s:1", t->reader->path);
    if (any || c->form)
        err_hint(err, "the columns are: %.300s; set %s", have.data, column_keys(c));
    else
        err_hint(err,
                 "the first line names the columns, here: %.250s; set %s, or, if that is a row of data, put a line "
                 "with their names above it",
                 have.data, column_keys(c));
    text_release(&have);
    return false;
}

static bool find_column(const TableFile *t, const char *name, bool needed, int *column)
{
    *column = name ? find_name(t, name) : -1;
    return !name || *column >= 0 || !needed || no_column(t, name);
}

/* Where the texts of a row stand. */
static bool find_texts(TableFile *t, const StringList *names)
{
    bool ok = true;
    if (!names)
        return true;
    t->texts = xcalloc((size_t)names->count, sizeof *t->texts);
    t->cells = xcalloc((size_t)names->count, sizeof *t->cells);
    t->sizes = xcalloc((size_t)names->count, sizeof *t->sizes);
    for (int i = 0; ok && i < names->count; i++)
        ok = find_column(t, names->items[i], true, &t->texts[i]);
    return ok;
}

static bool read_header(TableFile *t)
{
    const RecordColumns *c = t->reader->columns;
    if (t->scan.unclosed) {
        err_set(t->reader->err, ERR_INPUT, "a quote in the header is never closed");
        return err_at(t->reader->err, "%s:%lld", t->reader->path, (long long)t->scan.quote_line);
    }
    t->columns = t->scan.count;
    t->names = xcalloc(t->columns, sizeof *t->names);
    for (size_t i = 0; i < t->columns; i++) {
        size_t n;
        const char *name = cell(&t->scan, i, &n);
        t->names[i] = xstrndup(name, n);
    }
    return find_column(t, c->text, true, &t->text) && find_column(t, c->pair, true, &t->pair) &&
           find_column(t, c->label, c->labelled, &t->label) && find_column(t, c->by, false, &t->by) &&
           find_texts(t, c->texts);
}

/* ---- records ---------------------------------------------------------------------------- */

static bool field(void *self, const char *name, const char **text, size_t *n, Err *err)
{
    const TableFile *t = self;
    const int column = find_name(t, name);
    (void)err;
    if (column >= 0)
        *text = cell(&t->scan, (size_t)column, n);
    return true;
}

static void check_row(const TableFile *t, Err *bad)
{
    const Scan *s = &t->scan;
    if (s->unclosed) {
        err_set(bad, ERR_INPUT, "a quote is opened here and never closed");
        err_at(bad, "%s:%lld", t->reader->path, (long long)s->quote_line);
        err_hint(bad, "close it, or write a quote that is a letter as \"\" in a cell that is quoted as a whole");
    } else if (s->count != t->columns) {
        err_set(bad, ERR_INPUT, "the row has %zu columns, the header %zu", s->count, t->columns);
        if (s->count > t->columns)
            err_hint(bad, s->delimiter == ',' ? "put quotes around a text that has a comma"
                                              : "a text must not have a tab in a file without quotes");
    }
}

static const char *lend(const TableFile *t, int column, size_t *n)
{
    return column >= 0 ? cell(&t->scan, (size_t)column, n) : NULL;
}

static bool give_row(TableFile *t)
{
    const RecordColumns *c = t->reader->columns;
    Record r = { .text = "", .file = t->reader->path, .line = t->scan.row_line };
    Err bad = { 0 };
    check_row(t, &bad);
    if (bad.kind == ERR_NONE) {
        if (t->text >= 0)
            r.text = lend(t, t->text, &r.text_size);
        r.pair = lend(t, t->pair, &r.pair_size);
        r.label = lend(t, t->label, &r.label_size);
        r.by = lend(t, t->by, &r.by_size);
        for (int i = 0; c->texts && i < c->texts->count; i++)
            t->cells[i] = lend(t, t->texts[i], &t->sizes[i]);
        if (c->texts)
            r.words = (WordList){ t->cells, t->sizes, c->texts->count };
        if (c->form)
            records_fill(&r, &t->filled, c, field, t, &bad);
    }
    return records_give(t->reader, &r, &bad);
}

static bool read_table(RecordReader *reader, char delimiter)
{
    Source source;
    if (!source_open(&source, reader->path, reader->err))
        return false;
    TableFile t = { .reader = reader };
    t.scan = (Scan){ .source = &source, .delimiter = delimiter, .line = 1 };
    t.scan.quoted = delimiter == ',' || is_quoted_style(&source);
    bool ok = !next_row(&t.scan) || read_header(&t);
    while (ok && next_row(&t.scan))
        ok = give_row(&t);
    for (size_t i = 0; i < t.columns; i++)
        free(t.names[i]);
    free(t.names);
    free(t.texts);
    free(t.cells);
    free(t.sizes);
    text_release(&t.filled);
    scan_release(&t.scan);
    source_close(&source);
    return ok;
}

bool records_csv(RecordReader *reader)
{
    return read_table(reader, ',');
}

bool records_tsv(RecordReader *reader)
{
    return read_table(reader, '\t');
}
