#include "worker/tokenizer/pretokenizer.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

/* ---- BertPreTokenizer ------------------------------------------------------ */

typedef enum { BERT_WORD, BERT_SPACE, BERT_PUNCTUATION } BertClass;

static BertClass bert_class(int32_t c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 0x4E00 && c <= 0x9FFF))
        return BERT_WORD;
    if (unicode_is_space(c))
        return BERT_SPACE;
    return unicode_is_punctuation(c) ? BERT_PUNCTUATION : BERT_WORD;
}

static void cut_bert(const char *text, Piece piece, Pieces *out)
{
    const size_t end = piece.at + piece.size;
    size_t word = piece.at; /* where the word that is being read starts */
    for (size_t at = piece.at; at < end;) {
        const size_t start = at;
        const BertClass class = bert_class(unicode_next(text, &at));
        if (class == BERT_WORD)
            continue;
        if (start > word)
            pieces_add(out, word, start - word);
        if (class == BERT_PUNCTUATION)
            pieces_add(out, start, at - start);
        word = at;
    }
    if (end > word)
        pieces_add(out, word, end - word);
}

static void run_bert(const PreTokenizerOp *op, PreText *pre)
{
    (void)op;
    for (size_t i = 0; i < pre->pieces.count; i++)
        cut_bert(pre->text->data, pre->pieces.data[i], &pre->next);
}

/* ---- splitting at a class of characters ------------------------------------ */

/* Adds a segment for each character of the class and each run between. */
static void find_class(bool (*here)(int32_t), const char *text, size_t n, Segments *out)
{
    size_t start = 0;
    for (size_t at = 0; at < n;) {
        const size_t character = at;
        if (!here(unicode_next(text, &at)))
            continue;
        if (character > start)
            segments_add(out, start, character, false);
        segments_add(out, character, at, true);
        start = at;
    }
    if (n > start)
        segments_add(out, start, n, false);
}

static void split(const PreTokenizerOp *op, PreText *pre, bool (*here)(int32_t))
{
    for (size_t i = 0; i < pre->pieces.count; i++) {
        const Piece piece = pre->pieces.data[i];
        pre->segments.count = 0;
        find_class(here, pre->text->data + piece.at, piece.size, &pre->segments);
        split_segments(&pre->segments, op->behavior, piece.at, &pre->next);
    }
}

static bool read_punctuation(PreTokenizerOp *op, const json_t *settings, Err *err)
{
    return split_behavior_read(&op->behavior, settings, "pre_tokenizer 'Punctuation'", err);
}

static void run_punctuation(const PreTokenizerOp *op, PreText *pre)
{
    split(op, pre, unicode_is_punctuation);
}

static bool read_digits(PreTokenizerOp *op, const json_t *settings, Err *err)
{
    const bool individual = json_get_bool(settings, "individual_digits", false, err);
    op->behavior = individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS;
    return err->kind == ERR_NONE;
}

static void run_digits(const PreTokenizerOp *op, PreText *pre)
{
    split(op, pre, unicode_is_numeric);
}

static void run_whitespace_split(const PreTokenizerOp *op, PreText *pre)
{
    split(op, pre, unicode_is_space); /* op->behavior is 0: removed */
}

/* ---- Whitespace: \w+|[^\w\s]+ ---------------------------------------------- */

typedef enum { CLASS_SPACE, CLASS_WORD, CLASS_REST } WordClass;

static WordClass word_class(int32_t c)
{
    if (unicode_is_space(c))
        return CLASS_SPACE;
    return unicode_is_word(c) ? CLASS_WORD : CLASS_REST;
}

static void cut_words(const char *text, Piece piece, Pieces *out)
{
    const size_t end = piece.at + piece.size;
    size_t start = piece.at;
    WordClass before = CLASS_SPACE;
    for (size_t at = piece.at; at < end;) {
        const size_t character = at;
        const WordClass class = word_class(unicode_next(text, &at));
        if (class == before)
            continue;
        if (before != CLASS_SPACE)
            pieces_add(out, start, character - start);
        start = character;
        before = class;
    }
    if (before != CLASS_SPACE)
        pieces_add(out, start, end - start);
}

static void run_whitespace(const PreTokenizerOp *op, PreText *pre)
{
    (void)op;
    for (size_t i = 0; i < pre->pieces.count; i++)
        cut_words(pre->text->data, pre->pieces.data[i], &pre->next);
}

/* ---- Split, CharDelimiterSplit --------------------------------------------- */

static bool read_split(PreTokenizerOp *op, const json_t *settings, Err *err)
{
    static const char what[] = "pre_tokenizer 'Split'";
    op->invert = json_get_bool(settings, "invert", false, err);
    return split_behavior_read(&op->behavior, settings, what, err) &&
           pattern_read(&op->pattern, json_object_get(settings, "pattern"), what, err);
}

static void run_split(const PreTokenizerOp *op, PreText *pre)
{
    Segments *segments = &pre->segments;
    for (size_t i = 0; i < pre->pieces.count; i++) {
        const Piece piece = pre->pieces.data[i];
        segments->count = 0;
        pattern_find(&op->pattern, pre->text->data + piece.at, piece.size, segments);
        for (size_t k = 0; op->invert && k < segments->count; k++)
            segments->data[k].match = !segments->data[k].match;
        split_segments(segments, op->behavior, piece.at, &pre->next);
    }
}

static bool read_delimiter(PreTokenizerOp *op, const json_t *settings, Err *err)
{
    const char *delimiter = json_get_string(settings, "delimiter", "", err);
    if (delimiter[0] == '\0')
        return err_set(err, ERR_INPUT, "pre_tokenizer 'CharDelimiterSplit' has no 'delimiter'");
    text_adds(&op->pattern.string, delimiter);
    op->behavior = SPLIT_REMOVED;
    return true;
}

/* ---- the list -------------------------------------------------------------- */

static const PreTokenizerKind kinds[] = {
    { "BertPreTokenizer", NULL, run_bert },
    { "ByteLevel", byte_level_read, byte_level_run },
    { "CharDelimiterSplit", read_delimiter, run_split },
    { "Digits", read_digits, run_digits },
    { "Metaspace", metaspace_read, metaspace_run },
    { "Punctuation", read_punctuation, run_punctuation },
    { "Split", read_split, run_split },
    { "Whitespace", NULL, run_whitespace },
    { "WhitespaceSplit", NULL, run_whitespace_split },
};

static bool read_one(PreTokenizer *pretokenizer, const json_t *spec, const char *name, Err *err)
{
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        if (strcmp(kinds[i].name, name) != 0)
            continue;
        pretokenizer->ops = xrealloc(pretokenizer->ops, (pretokenizer->count + 1) * sizeof(pretokenizer->ops[0]));
        PreTokenizerOp *op = &pretokenizer->ops[pretokenizer->count++];
        *op = (PreTokenizerOp){ .kind = &kinds[i] };
        return !kinds[i].read || kinds[i].read(op, spec, err);
    }
    return err_set(err, ERR_INPUT, "pre_tokenizer type '%s' is not supported", name);
}

bool pretokenizer_read(PreTokenizer *pretokenizer, const json_t *spec, Err *err)
{
    if (!spec || json_is_null(spec))
        return true;
    const char *name = json_get_string(spec, "type", NULL, err);
    if (!name)
        return err->kind == ERR_NONE ? err_set(err, ERR_INPUT, "the pre_tokenizer has no 'type'") : false;
    if (strcmp(name, "Sequence") != 0)
        return read_one(pretokenizer, spec, name, err);
    const json_t *list = json_object_get(spec, "pretokenizers");
    if (!json_is_array(list))
        return err_set(err, ERR_INPUT, "pre_tokenizer 'Sequence' has no list 'pretokenizers'");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!pretokenizer_read(pretokenizer, json_array_get(list, i), err))
            return false;
    return true;
}

void pretokenizer_release(PreTokenizer *pretokenizer)
{
    for (size_t i = 0; i < pretokenizer->count; i++)
        pattern_release(&pretokenizer->ops[i].pattern);
    free(pretokenizer->ops);
    *pretokenizer = (PreTokenizer){ 0 };
}

bool pretokenizer_ends_in_bytes(const PreTokenizer *pretokenizer)
{
    const size_t n = pretokenizer->count;
    return n > 0 && pretokenizer->ops[n - 1].kind->run == byte_level_run;
}

void pretokenizer_set_raw(PreTokenizer *pretokenizer)
{
    pretokenizer->ops[pretokenizer->count - 1].raw = true;
}

void pretokenizer_run(const PreTokenizer *pretokenizer, const Aligned *text, PreText *pre)
{
    pre->text = text;
    pre->pieces.count = 0;
    if (text->size > 0)
        pieces_add(&pre->pieces, 0, text->size);
    for (size_t i = 0; i < pretokenizer->count; i++) {
        const PreTokenizerOp *op = &pretokenizer->ops[i];
        pre->next.count = 0;
        op->kind->run(op, pre);
        const Pieces made = pre->next;
        pre->next = pre->pieces;
        pre->pieces = made;
    }
}
