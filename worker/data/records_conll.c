/* records_conll - .conll files: a word a line, the word in the first column and its tag in the last,
 * columns between spaces or tabs, a blank line behind each sentence. Lines that begin with
 * -DOCSTART- stand between documents and are no words. */
#include "common/base/mem.h"
#include "worker/data/records_parts.h"

#include <stdlib.h>
#include <string.h>

typedef struct Sentence {
    int64_t line; /* of its first word */
    size_t count, room;
    const char **text; /* [count] into the source */
    size_t *size;
    size_t *tag; /* [count] offsets into tags */
    Text tags; /* '\0' behind each */
    const char **tag_text;
    Err bad; /* of the first line that is wrong */
} Sentence;

static void sentence_release(Sentence *s)
{
    free(s->text);
    free(s->size);
    free(s->tag);
    free(s->tag_text);
    text_release(&s->tags);
}

static void reserve(Sentence *s)
{
    if (s->count < s->room)
        return;
    s->room = s->room ? 2 * s->room : 64;
    s->text = xrealloc(s->text, s->room * sizeof *s->text);
    s->size = xrealloc(s->size, s->room * sizeof *s->size);
    s->tag = xrealloc(s->tag, s->room * sizeof *s->tag);
    s->tag_text = xrealloc(s->tag_text, s->room * sizeof *s->tag_text);
}

static bool is_gap(char c)
{
    return c == ' ' || c == '\t';
}

/* line[0, n) has no gap at either end. */
static void add_word(Sentence *s, const char *line, size_t n, int64_t number, const RecordReader *reader)
{
    size_t word = 0, last = n;
    while (word < n && !is_gap(line[word]))
        word++;
    while (last > word && !is_gap(line[last - 1]))
        last--;
    if (reader->columns->labelled && word == n && s->bad.kind == ERR_NONE) {
        err_set(&s->bad, ERR_INPUT, "the word has no tag behind it");
        err_at(&s->bad, "%s:%lld", reader->path, (long long)number);
        err_hint(&s->bad, "a line is a word, a space or tab, and its tag");
    }
    reserve(s);
    if (s->count == 0)
        s->line = number;
    s->text[s->count] = line;
    s->size[s->count] = word;
    s->tag[s->count++] = s->tags.size;
    if (word < n)
        text_add(&s->tags, line + last, n - last);
    text_add(&s->tags, "", 1);
}

static bool end_sentence(RecordReader *reader, Sentence *s)
{
    if (s->count == 0)
        return true;
    for (size_t i = 0; i < s->count; i++)
        s->tag_text[i] = s->tags.data + s->tag[i];
    const Record r = {
        .text = "",
        .words = { s->text, s->size, (int64_t)s->count },
        .tags = reader->columns->labelled ? s->tag_text : NULL,
        .line_a_word = true,
        .file = reader->path,
        .line = s->line,
    };
    const bool ok = records_give(reader, &r, &s->bad);
    text_clear(&s->tags);
    s->count = 0;
    s->bad = (Err){ 0 };
    return ok;
}

bool records_conll(RecordReader *reader)
{
    static const char between[] = "-DOCSTART-";
    Source source;
    if (!source_open(&source, reader->path, reader->err))
        return false;
    Sentence s = { 0 };
    bool ok = true;
    int64_t line = 0;
    size_t at = 0, n;
    for (const char *text; ok && (text = source_line(&source, &at, &n));) {
        line++;
        while (n > 0 && (is_gap(text[n - 1]) || text[n - 1] == '\n' || text[n - 1] == '\r'))
            n--;
        while (n > 0 && is_gap(*text))
            text++, n--;
        if (n == 0 || (n >= sizeof between - 1 && memcmp(text, between, sizeof between - 1) == 0))
            ok = end_sentence(reader, &s);
        else
            add_word(&s, text, n, line, reader);
    }
    ok = ok && end_sentence(reader, &s);
    sentence_release(&s);
    source_close(&source);
    return ok;
}
