#include "launch/cmd_encode.h"

#include "common/base/err.h"
#include "common/base/text.h"
#include "common/model/arch.h"
#include "worker/tokenizer/tokenizer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: lora encode --model=DIR [--max_length=N] [FILE]\n"
    "\n"
    "Prints one JSON line an input line: {\"input_ids\": [...], \"token_type_ids\": [...]}.\n"
    "A TAB separates a text pair. Without FILE, or with -, reads standard input.\n"
    "\n"
    "  --model=DIR      a model folder, or a hub name in the local Hugging Face cache\n"
    "  --max_length=N   cut to N tokens, special ones included (longest_first, right side)\n"
    "  --help           this text\n";

typedef struct EncodeOptions {
    const char *model, *file; /* file NULL: standard input */
    int64_t max_length;       /* 0: no limit */
    bool help;
} EncodeOptions;

static bool parse_length(int64_t *value, const char *text, Err *err)
{
    char *rest;
    errno = 0;
    const long long number = strtoll(text, &rest, 10);
    if (errno != 0 || rest == text || *rest != '\0' || number < 1) {
        err_set(err, ERR_INPUT, "'%s' is not a whole number from 1", text);
        return err_at(err, "--max_length");
    }
    *value = number;
    return true;
}

static bool parse_option(EncodeOptions *o, const char *word, Err *err)
{
    static const char model[] = "--model=", length[] = "--max_length=";
    if (strcmp(word, "--help") == 0)
        o->help = true;
    else if (text_starts(word, model))
        o->model = word + strlen(model);
    else if (text_starts(word, length))
        return parse_length(&o->max_length, word + strlen(length), err);
    else if (word[0] == '-' && word[1] != '\0') {
        err_set(err, ERR_INPUT, "unknown option '%s'", word);
        return err_hint(err, "lora encode --help");
    } else if (o->file) {
        return err_set(err, ERR_INPUT, "more than one file: '%s' and '%s'", o->file, word);
    } else
        o->file = word;
    return true;
}

static bool parse(EncodeOptions *o, int argc, char **argv, Err *err)
{
    for (int i = 1; i < argc; i++)
        if (!parse_option(o, argv[i], err))
            return false;
    if (!o->help && (!o->model || o->model[0] == '\0')) {
        err_set(err, ERR_INPUT, "no --model");
        return err_hint(err, "lora encode --model=DIR FILE");
    }
    if (o->file && strcmp(o->file, "-") == 0)
        o->file = NULL;
    return true;
}

static void add_list(Text *out, const char *name, const int32_t *values, int64_t count)
{
    text_addf(out, "\"%s\": [", name);
    for (int64_t i = 0; i < count; i++)
        text_addf(out, i > 0 ? ", %d" : "%d", values[i]);
    text_add(out, "]", 1);
}

static bool encode_line(const Tokenizer *tokenizer, const char *line, size_t n, int64_t max_length,
                        Encoding *encoding, Text *out, Err *err)
{
    const size_t valid = text_utf8_valid(line, n);
    if (valid != n)
        return err_set(err, ERR_INPUT, "not valid UTF-8 (byte %zu of the line)", valid + 1);
    const char *tab = memchr(line, '\t', n);
    const size_t first = tab ? (size_t)(tab - line) : n;
    if (!tokenizer_encode(tokenizer, line, first, tab ? tab + 1 : NULL, tab ? n - first - 1 : 0,
                          max_length, encoding, err))
        return false;
    text_clear(out);
    text_add(out, "{", 1);
    add_list(out, "input_ids", encoding->ids, encoding->count);
    if (tokenizer_has_types(tokenizer)) {
        text_add(out, ", ", 2);
        add_list(out, "token_type_ids", encoding->types, encoding->count);
    }
    text_add(out, "}\n", 2);
    return true;
}

static bool encode_stream(const Tokenizer *tokenizer, FILE *in, const char *name,
                          int64_t max_length, Err *err)
{
    Encoding encoding = { 0 };
    Text out = { 0 };
    char *line = NULL;
    size_t room = 0;
    bool ok = true;
    int64_t number = 0;
    ssize_t size = 0;
    while (ok && (size = getline(&line, &room, in)) >= 0) {
        size_t n = (size_t)size;
        number++;
        if (n > 0 && line[n - 1] == '\n')
            n--;
        if (n > 0 && line[n - 1] == '\r')
            n--;
        ok = encode_line(tokenizer, line, n, max_length, &encoding, &out, err);
        if (!ok)
            err_at(err, "%s:%lld", name, (long long)number);
        else if (fwrite(out.data, 1, out.size, stdout) != out.size)
            ok = err_errno(err, "cannot write to standard output");
    }
    if (ok && ferror(in))
        ok = err_errno(err, "cannot read '%s'", name);
    if (ok && fflush(stdout) != 0)
        ok = err_errno(err, "cannot write to standard output");
    free(line);
    text_release(&out);
    encoding_release(&encoding);
    return ok;
}

/* A file that is not there is the user's mistake, not the disk's. */
static FILE *open_input(const char *path, Err *err)
{
    FILE *in = path ? fopen(path, "rb") : stdin;
    if (!in) {
        const bool missing = errno == ENOENT;
        err_errno(err, "cannot open '%s'", path);
        if (missing)
            err->kind = ERR_INPUT;
    }
    return in;
}

static bool run(const EncodeOptions *o, Err *err)
{
    char *folder = model_find(o->model, err);
    Tokenizer *tokenizer = folder ? tokenizer_open(folder, err) : NULL;
    FILE *in = tokenizer ? open_input(o->file, err) : NULL;
    const bool ok = in && encode_stream(tokenizer, in, o->file ? o->file : "standard input",
                                        o->max_length, err);
    if (in && in != stdin)
        fclose(in);
    tokenizer_close(tokenizer);
    free(folder);
    return ok;
}

int cmd_encode(int argc, char **argv)
{
    EncodeOptions options = { 0 };
    Err err = { 0 };
    const bool parsed = parse(&options, argc, argv, &err);
    if (parsed && options.help) {
        fputs(help, stdout);
        return 0;
    }
    if (parsed && run(&options, &err))
        return 0;
    err_print(&err, stderr);
    return err_exit_code(&err);
}
