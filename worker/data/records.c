#include "worker/data/records.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "worker/data/records_parts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- one row, whatever the format ------------------------------------------ */

static bool bad_words(const WordList *words)
{
    for (int64_t i = 0; i < words->count; i++)
        if (text_utf8_valid(words->text[i], words->size[i]) < words->size[i])
            return true;
    return false;
}

/* A label goes into the run file and the model's config. */
static void check_label(const Record *r, Err *bad)
{
    if (r->label && strlen(r->label) < r->label_size)
        err_set(bad, ERR_INPUT, "the label has a NUL in it");
}

static void check_utf8(const Record *r, Err *bad)
{
    const size_t at = text_utf8_valid(r->text, r->text_size);
    if (at < r->text_size)
        err_set(bad, ERR_INPUT, "byte %zu of the text is not valid UTF-8", at + 1);
    else if (r->pair && text_utf8_valid(r->pair, r->pair_size) < r->pair_size)
        err_set(bad, ERR_INPUT, "the second text is not valid UTF-8");
    else if (bad_words(&r->words))
        err_set(bad, ERR_INPUT, "a word is not valid UTF-8");
    else if (r->label && text_utf8_valid(r->label, r->label_size) < r->label_size)
        err_set(bad, ERR_INPUT, "the label is not valid UTF-8");
    else
        return;
    err_hint(bad, "convert the file (iconv -t UTF-8), or set data.skip_bad_rows: true");
}

bool records_give(const RecordReader *reader, const Record *record, Err *bad)
{
    if (bad->kind == ERR_NONE)
        check_utf8(record, bad);
    if (bad->kind == ERR_NONE)
        check_label(record, bad);
    if (bad->kind != ERR_NONE && !bad->where[0]) {
        if (record->line > 0)
            err_at(bad, "%s:%lld", record->file, (long long)record->line);
        else
            err_at(bad, "%s", record->file);
    }
    return reader->visit(reader->self, record, bad, reader->err);
}

void records_fill(Record *record, Text *filled, const RecordColumns *columns, FormField field, void *self, Err *bad)
{
    text_clear(filled);
    if (!form_fill(columns->form, field, self, filled, bad))
        return;
    record->text = filled->data ? filled->data : "";
    record->text_size = filled->size;
}

/* ---- plain text ---------------------------------------------------------------- */

/* Every line is a row, its newline included. */
static bool read_lines(RecordReader *reader)
{
    Source source;
    if (!source_open(&source, reader->path, reader->err))
        return false;
    bool ok = true;
    int64_t number = 0;
    size_t at = 0, n;
    for (const char *line; ok && (line = source_line(&source, &at, &n));) {
        Err bad = { 0 };
        const Record r = { .text = line, .text_size = n, .file = reader->path, .line = ++number };
        ok = records_give(reader, &r, &bad);
    }
    source_close(&source);
    return ok;
}

/* ---- folders of class folders ----------------------------------------------------- */

static bool read_text_file(RecordReader *reader, const char *path, const char *label)
{
    Err bad = { 0 };
    Source source;
    if (!source_open(&source, path, reader->err))
        return false;
    const Record r = {
        .text = source.data, .text_size = source.size, .label = label, .label_size = strlen(label), .file = path
    };
    const bool ok = records_give(reader, &r, &bad);
    source_close(&source);
    return ok;
}

static bool give_image(RecordReader *reader, const char *folder, const char *name)
{
    Err bad = { 0 };
    char *inside = path_join(folder, name);
    const Record r = {
        .text = "", .label = folder, .label_size = strlen(folder), .image = inside, .file = reader->path
    };
    const bool ok = records_give(reader, &r, &bad);
    free(inside);
    return ok;
}

/* The files of one class, by name. */
static bool read_class(RecordReader *reader, const char *folder, const char *label)
{
    size_t count;
    char **names = folder_list(folder, &count, reader->err);
    bool ok = names != NULL;
    for (size_t i = 0; i < count; i++) {
        const bool image = reader->columns->kind == ROWS_IMAGES;
        char *path = path_join(folder, names[i]);
        if (ok && image && names[i][0] != '.' && !file_is_folder(path))
            ok = give_image(reader, label, names[i]);
        else if (ok && !image && source_ends(names[i], ".txt"))
            ok = read_text_file(reader, path, label);
        free(path);
        free(names[i]);
    }
    free(names);
    return ok;
}

static bool read_folder(RecordReader *reader)
{
    size_t count;
    char **names = folder_list(reader->path, &count, reader->err);
    bool ok = names != NULL;
    for (size_t i = 0; i < count; i++) {
        char *path = path_join(reader->path, names[i]);
        /* IMDb's unlabelled reviews lie beside the classes */
        const bool beside = reader->columns->kind == ROWS_LABELLED && strcmp(names[i], "unsup") == 0;
        if (ok && names[i][0] != '.' && file_is_folder(path) && !beside)
            ok = read_class(reader, path, names[i]);
        free(path);
        free(names[i]);
    }
    free(names);
    return ok;
}

/* ---- which file holds what ----------------------------------------------------------- */

#define HOLDS(kind) (1u << (kind))
#define HOLDS_TEXTS                                                                                                    \
    (HOLDS(ROWS_LABELLED) | HOLDS(ROWS_TEXTS) | HOLDS(ROWS_BLOCKS) | HOLDS(ROWS_COMPLETIONS) | HOLDS(ROWS_COLUMNS) |   \
     HOLDS(ROWS_SOURCES))

typedef struct Format {
    const char *ending; /* "/": a folder */
    bool (*read)(RecordReader *reader);
    unsigned holds; /* kinds of rows */
} Format;

static const Format formats[] = {
    { ".jsonl", records_json, HOLDS_TEXTS | HOLDS(ROWS_QUESTIONS) | HOLDS(ROWS_WORDS) | HOLDS(ROWS_MESSAGES) },
    { ".json", records_json, HOLDS_TEXTS | HOLDS(ROWS_QUESTIONS) | HOLDS(ROWS_WORDS) | HOLDS(ROWS_MESSAGES) },
    { ".csv", records_csv, HOLDS_TEXTS | HOLDS(ROWS_QUESTIONS) },
    { ".tsv", records_tsv, HOLDS_TEXTS | HOLDS(ROWS_QUESTIONS) },
    { ".conll", records_conll, HOLDS(ROWS_WORDS) },
    { ".txt", read_lines, HOLDS(ROWS_BLOCKS) },
    { "/", read_folder, HOLDS(ROWS_LABELLED) | HOLDS(ROWS_IMAGES) },
};

/* NULL: it cannot be told. */
static const Format *format_of(const char *path)
{
    const bool folder = file_is_folder(path);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const char *ending = formats[i].ending;
        if (folder ? strcmp(ending, "/") == 0 : source_ends(path, ending))
            return &formats[i];
    }
    return NULL;
}

bool records_holds(const char *path, RowKind kind)
{
    const Format *format = format_of(path);
    return format && format->holds & HOLDS(kind);
}

static bool refuse_kind(const char *path, RowKind kind, bool known, Err *err)
{
    static const char *const hints[] = {
        [ROWS_LABELLED] = "name it .csv, .tsv, .jsonl or .json, or give a folder with a folder of .txt files a class",
        [ROWS_WORDS] = "name it .conll (a word a line, its tag last, a blank line between sentences), .jsonl or .json",
        [ROWS_TEXTS] = "name it .csv, .tsv, .jsonl or .json, or cut plain text into blocks: data.block_size: 512",
        [ROWS_BLOCKS] = "name it .txt, .csv, .tsv, .jsonl or .json",
        [ROWS_COMPLETIONS] = "name it .csv, .tsv, .jsonl or .json",
        [ROWS_SOURCES] = "name it .csv, .tsv, .jsonl or .json",
        [ROWS_MESSAGES] = "name it .jsonl or .json: objects with a list of {role, content}",
        [ROWS_COLUMNS] = "name it .csv, .tsv, .jsonl or .json",
        [ROWS_IMAGES] = "give a folder with a folder of images a class",
        [ROWS_QUESTIONS] = "name it .json (SQuAD's own, or a list of rows), .jsonl, .csv or .tsv",
    };
    err_set(err, ERR_INPUT,
            known ? "this kind of file does not hold what the task learns from"
                  : "what kind of data this is cannot be told from its name");
    err_at(err, "%s", path);
    return err_hint(err, "%s", hints[kind]);
}

/* ---- what `lora import` makes rows of -------------------------------------------------- */

static bool is_hub_part(const char *name)
{
    return *name && name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] == '\0';
}

/* The path is by the run file's folder, which is there: what lies below it may be OWNER/NAME. Owned, or NULL. */
static char *hub_name(const char *path)
{
    char *folder = path_folder(path), *above = path_folder(folder), *name = NULL;
    const bool one = file_is_folder(folder), two = !one && file_is_folder(above);
    if (is_hub_part(path_name(path)) && (one || (two && is_hub_part(path_name(folder)))))
        name = one ? xstrdup(path_name(path)) : xprintf("%s/%s", path_name(folder), path_name(path));
    free(folder);
    free(above);
    return name;
}

/* As a shell takes it for one word. */
static void add_word(Text *command, const char *word, size_t n)
{
    bool plain = n > 0;
    for (size_t i = 0; i < n; i++)
        plain = plain && (isalnum((unsigned char)word[i]) || strchr("/._-+=:@%", word[i]));
    text_adds(command, plain ? " " : " '");
    for (size_t i = 0; i < n; i++)
        text_add(command, word[i] == '\'' ? "'\\''" : word + i, word[i] == '\'' ? 4 : 1);
    text_adds(command, plain ? "" : "'");
}

/* stem[0, n) is what the new file is called, before its ending. */
static bool refuse_foreign(const char *path, const char *what, const char *stem, size_t n, Err *err)
{
    Text command = { 0 }, out = { 0 };
    text_addf(&out, "%.*s.jsonl", (int)n, stem);
    add_word(&command, path, strlen(path));
    add_word(&command, out.data, out.size);
    err_set(err, ERR_INPUT, "%s", what);
    err_at(err, "%s", path);
    err_hint(err, "make rows of it, and name what comes out: lora import%s", command.data);
    text_release(&command);
    text_release(&out);
    return false;
}

/* Folders that `datasets` has written hold Arrow files and these. */
static bool is_saved_set(const char *path)
{
    static const char *const names[] = { "dataset_dict.json", "dataset_info.json", "state.json" };
    bool any = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *inside = path_join(path, names[i]);
        any = any || file_exists(inside);
        free(inside);
    }
    return any;
}

static bool refuse_missing(const char *path, bool known, Err *err)
{
    char *hub = known ? NULL : hub_name(path), *hint = NULL;
    if (hub)
        hint = xprintf("a data set of the hub is fetched by: lora import %s %s.jsonl", hub, path_name(hub));
    file_missing(path, known ? "file" : "file or folder", hint, err);
    free(hint);
    free(hub);
    return err_at(err, "%s", path);
}

const char *records_format(const char *path, RowKind kind, Err *err)
{
    const Format *format = format_of(path);
    const char *name = path_name(path);
    const bool folder = file_is_folder(path);
    const bool columnar = !folder && (text_ends_any(path, ".parquet") || text_ends_any(path, ".arrow"));
    bool ok = false;
    if (!folder && !file_exists(path))
        refuse_missing(path, format || columnar, err);
    else if (columnar)
        refuse_foreign(path, "Parquet and Arrow files are not read directly", name, (size_t)(strrchr(name, '.') - name),
                       err);
    else if (folder && is_saved_set(path))
        refuse_foreign(path, "a folder that the library `datasets` wrote is not read directly", name, strlen(name),
                       err);
    else
        ok = (format && format->holds & HOLDS(kind)) || refuse_kind(path, kind, format != NULL, err);
    return ok ? format->ending : NULL;
}

bool records_read(const char *path, const RecordColumns *columns, RecordVisit visit, void *self, Err *err)
{
    RecordReader reader = { path, columns, visit, self, err };
    return records_format(path, columns->kind, err) && format_of(path)->read(&reader);
}
