#include "launch/cmd_encode.h"

#include "common/base/err.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/model/arch.h"
#include "launch/command.h"
#include "worker/tokenizer/tokenizer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct EncodeOptions {
    const char *model, *file; /* file NULL: standard input */
    const char *length; /* max_length as it was given, or NULL */
    int64_t max_length; /* 0: no limit */
    bool offsets, decode, json;
} EncodeOptions;

/* What the lines go through. */
typedef struct Work {
    const EncodeOptions *o;
    const Tokenizer *tokenizer; /* borrowed */
    Encoding encoding;
    Text out, decoded;
} Work;

static void add_list(Text *out, const char *name, const int32_t *values, int64_t count)
{
    text_addf(out, "\"%s\": [", name);
    for (int64_t i = 0; i < count; i++)
        text_addf(out, i > 0 ? ", %d" : "%d", values[i]);
    text_add(out, "]", 1);
}

static void add_offsets(Text *out, const Encoding *encoding)
{
    text_adds(out, ", \"offsets\": [");
    for (int64_t i = 0; i < encoding->count; i++)
        text_addf(out, i > 0 ? ", [%d, %d]" : "[%d, %d]", encoding->offsets[2 * i], encoding->offsets[2 * i + 1]);
    text_adds(out, "], ");
    add_list(out, "words", encoding->words, encoding->count);
}

/* The ids as text again, without special tokens. */
static void add_decoded(Work *work)
{
    text_clear(&work->decoded);
    tokenizer_decode(work->tokenizer, work->encoding.ids, work->encoding.count, true, &work->decoded);
    json_t *string = json_stringn(work->decoded.data, work->decoded.size);
    char *quoted = json_dumps(string, JSON_ENCODE_ANY);
    REQUIRE(quoted);
    text_addf(&work->out, ", \"text\": %s", quoted);
    free(quoted);
    json_decref(string);
}

/* pair NULL: a single text. */
static bool encode_pair(Work *work, const char *text, size_t n, const char *pair, size_t pair_n, Err *err)
{
    Encoding *encoding = &work->encoding;
    Text *out = &work->out;
    if (!tokenizer_encode(work->tokenizer, text, n, pair, pair_n, work->o->max_length, encoding, err))
        return false;
    text_clear(out);
    text_add(out, "{", 1);
    add_list(out, "input_ids", encoding->ids, encoding->count);
    if (tokenizer_has_types(work->tokenizer)) {
        text_add(out, ", ", 2);
        add_list(out, "token_type_ids", encoding->types, encoding->count);
    }
    if (work->o->offsets)
        add_offsets(out, encoding);
    if (work->o->decode)
        add_decoded(work);
    text_add(out, "}\n", 2);
    return true;
}

static bool encode_line(Work *work, const char *line, size_t n, Err *err)
{
    const size_t valid = text_utf8_valid(line, n);
    if (valid != n)
        return err_set(err, ERR_INPUT, "not valid UTF-8 (byte %zu of the line)", valid + 1);
    const char *tab = memchr(line, '\t', n);
    const size_t first = tab ? (size_t)(tab - line) : n;
    return encode_pair(work, line, first, tab ? tab + 1 : NULL, tab ? n - first - 1 : 0, err);
}

/* "text", or ["text", "pair"]. */
static bool encode_json(Work *work, const char *line, size_t n, Err *err)
{
    json_t *value = json_loadb(line, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    const json_t *text = json_is_array(value) ? json_array_get(value, 0) : value;
    const json_t *pair = json_array_get(value, 1);
    bool ok = json_is_string(text) && (!json_is_array(value) || json_is_string(pair));
    if (!ok)
        err_set(err, ERR_INPUT, "not a JSON string, nor a list of two");
    else
        ok = encode_pair(work, json_string_value(text), json_string_length(text), json_string_value(pair),
                         json_string_length(pair), err);
    json_decref(value);
    return ok;
}

static bool encode_stream(Work *work, FILE *in, const char *name, Err *err)
{
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
        ok = work->o->json ? encode_json(work, line, n, err) : encode_line(work, line, n, err);
        if (!ok)
            err_at(err, "%s:%lld", name, (long long)number);
        else if (fwrite(work->out.data, 1, work->out.size, stdout) != work->out.size)
            ok = err_errno(err, "cannot write to standard output");
    }
    if (ok && ferror(in))
        ok = err_errno(err, "cannot read '%s'", name);
    if (ok && fflush(stdout) != 0)
        ok = err_errno(err, "cannot write to standard output");
    free(line);
    return ok;
}

/* A file that is not there is the user's mistake, not the disk's. */
static FILE *open_input(const char *path, Err *err)
{
    FILE *in = path ? fopen(path, "rb") : stdin;
    if (!in && !file_exists(path)) {
        file_missing(path, "file", NULL, err);
        err_at(err, "%s", path);
    } else if (!in) {
        err_errno(err, "cannot open '%s'", path);
    }
    return in;
}

static bool encode(const EncodeOptions *o, Err *err)
{
    /* A folder may hold a tokenizer alone. */
    char *folder = file_is_folder(o->model) ? xstrdup(o->model) : model_find(o->model, err);
    Tokenizer *tokenizer = folder ? tokenizer_open(folder, err) : NULL;
    FILE *in = tokenizer ? open_input(o->file, err) : NULL;
    Work work = { .o = o, .tokenizer = tokenizer };
    const bool ok = in && encode_stream(&work, in, o->file ? o->file : "standard input", err);
    text_release(&work.out);
    text_release(&work.decoded);
    encoding_release(&work.encoding);
    if (in && in != stdin)
        fclose(in);
    tokenizer_close(tokenizer);
    free(folder);
    return ok;
}

/* Fills *o from the words; what they lend lives in argv. */
static bool check(EncodeOptions *o, const Arguments *arguments, Err *err)
{
    if (!o->model || o->model[0] == '\0') {
        err_set(err, ERR_INPUT, "no --model");
        return err_hint(err, "lora encode --model=DIR FILE");
    }
    if (o->length && !option_int("max_length", o->length, 1, INT32_MAX, &o->max_length, err))
        return false;
    if (arguments->positional_count == 1 && strcmp(arguments->positionals[0], "-") != 0)
        o->file = arguments->positionals[0];
    return true;
}

static bool run(void *self, const Arguments *arguments, Err *err)
{
    EncodeOptions *o = self;
    return check(o, arguments, err) && encode(o, err);
}

int cmd_encode(int argc, char **argv)
{
    EncodeOptions o = { 0 };
    bool help = false;
    const Option own[] = {
        { "model", "DIR", "a model folder, or a hub name in the local cache", &o.model, NULL },
        { "max_length", "N", "at most N tokens with the special ones; longest_first", &o.length, NULL },
        { "offsets", NULL, "offsets in characters, and the word of each token", NULL, &o.offsets },
        { "decode", NULL, "the text that the ids stand for", NULL, &o.decode },
        { "json", NULL, "each line is a JSON string, or a list of two", NULL, &o.json },
        { "help", NULL, "this text", NULL, &help },
    };
    const OptionTable table = { "lora encode",
                                "[FILE]",
                                "prints the token ids of each line (a TAB separates a text pair)",
                                own,
                                sizeof(own) / sizeof(own[0]),
                                false,
                                0 };
    return command_main(&(Command){ &table, &help, 0, 1, run, &o }, argc, argv);
}
