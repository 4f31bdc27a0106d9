#include "worker/data/records.h"

#include "common/base/file.h"
#include "worker/data/records_parts.h"

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

static void check_utf8(const Record *r, Err *bad)
{
    const size_t at = text_utf8_valid(r->text, r->text_size);
    if (at < r->text_size)
        err_set(bad, ERR_INPUT, "byte %zu of the text is not valid UTF-8", at + 1);
    else if (r->pair && text_utf8_valid(r->pair, r->pair_size) < r->pair_size)
        err_set(bad, ERR_INPUT, "the second text is not valid UTF-8");
    else if (bad_words(&r->words))
        err_set(bad, ERR_INPUT, "a word is not valid UTF-8");
    else
        return;
    err_hint(bad, "convert the file (iconv -t UTF-8), or set data.skip_bad_rows: true");
}

bool records_give(const RecordReader *reader, const Record *record, Err *bad)
{
    if (bad->kind == ERR_NONE)
        check_utf8(record, bad);
    if (bad->kind != ERR_NONE && !bad->where[0]) {
        if (record->line > 0)
            err_at(bad, "%s:%lld", record->file, (long long)record->line);
        else
            err_at(bad, "%s", record->file);
    }
    return reader->visit(reader->self, record, bad, reader->err);
}

/* ---- plain text ---------------------------------------------------------------- */

/* Every line is a row, its newline included. */
static bool read_lines(RecordReader *reader)
{
    FileMap map;
    if (!file_map(&map, reader->path, reader->err))
        return false;
    bool ok = true;
    int64_t line = 0;
    for (size_t at = 0; ok && at < map.size;) {
        const char *end = memchr(map.data + at, '\n', map.size - at);
        const size_t n = end ? (size_t)(end - map.data) - at + 1 : map.size - at;
        Err bad = { 0 };
        const Record r = { .text = map.data + at, .text_size = n, .file = reader->path, .line = ++line };
        ok = records_give(reader, &r, &bad);
        at += n;
    }
    file_unmap(&map);
    return ok;
}

/* ---- folders of class folders ----------------------------------------------------- */

static bool read_text_file(RecordReader *reader, const char *path, const char *label)
{
    Err bad = { 0 };
    FileMap map;
    if (!file_map(&map, path, reader->err))
        return false;
    const Record r = { .text = map.data ? map.data : "", .text_size = map.size, .label = label, .file = path };
    const bool ok = records_give(reader, &r, &bad);
    file_unmap(&map);
    return ok;
}

static bool give_image(RecordReader *reader, const char *folder, const char *name)
{
    Err bad = { 0 };
    char *inside = path_join(folder, name);
    const Record r = { .text = "", .label = folder, .image = inside, .file = reader->path };
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
        else if (ok && !image && text_ends(names[i], ".txt"))
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

typedef struct Format {
    const char *ending; /* "/": a folder */
    bool (*read)(RecordReader *reader);
} Format;

static const Format formats[] = {
    { ".jsonl", records_jsonl }, { ".tsv", records_tsv },    { ".csv", records_csv },
    { ".conll", records_conll }, { ".txt", read_lines },     { "/", read_folder },
};

static bool holds(RowKind kind, const char *ending)
{
    static const char *const endings[] = {
        [ROWS_LABELLED] = ".csv .tsv .jsonl /", [ROWS_WORDS] = ".conll .jsonl",
        [ROWS_TEXTS] = ".csv .tsv .jsonl",      [ROWS_BLOCKS] = ".txt .csv .tsv .jsonl",
        [ROWS_COMPLETIONS] = ".csv .tsv .jsonl", [ROWS_MESSAGES] = ".jsonl",
        [ROWS_IMAGES] = "/",
    };
    const char *at = strstr(endings[kind], ending);
    const size_t n = strlen(ending);
    return at && (at[n] == ' ' || at[n] == '\0');
}

static bool refuse(const RecordReader *reader, bool known)
{
    static const char *const hints[] = {
        [ROWS_LABELLED] = "name it .csv, .tsv or .jsonl, or give a folder with a folder of .txt files a class",
        [ROWS_WORDS] = "name it .conll (a word a line, its tag last, a blank line between sentences) or .jsonl",
        [ROWS_TEXTS] = "name it .csv, .tsv or .jsonl, or cut plain text into blocks: data.block_size: 512",
        [ROWS_BLOCKS] = "name it .txt, .csv, .tsv or .jsonl",
        [ROWS_COMPLETIONS] = "name it .csv, .tsv or .jsonl",
        [ROWS_MESSAGES] = "name it .jsonl: an object a line, with a list of {role, content}",
        [ROWS_IMAGES] = "give a folder with a folder of images a class",
    };
    err_set(reader->err, ERR_INPUT,
            known ? "this kind of file does not hold what the task learns from"
                  : "what kind of data this is cannot be told from its name");
    err_at(reader->err, "%s", reader->path);
    return err_hint(reader->err, "%s", hints[reader->columns->kind]);
}

bool records_read(const char *path, const RecordColumns *columns, RecordVisit visit, void *self, Err *err)
{
    RecordReader reader = { path, columns, visit, self, err };
    const bool folder = file_is_folder(path);
    if (!folder && !file_exists(path)) {
        err_set(err, ERR_INPUT, "no such file");
        return err_at(err, "%s", path);
    }
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const char *ending = formats[i].ending;
        if (folder ? strcmp(ending, "/") == 0 : text_ends(path, ending))
            return holds(columns->kind, ending) ? formats[i].read(&reader) : refuse(&reader, true);
    }
    return refuse(&reader, false);
}
