#include "worker/tokenizer/pretokenizer.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

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
        cut_bert(pre->text, pre->pieces.data[i], &pre->next);
}

/* ---- splitting at a class of characters ------------------------------------ */

/* Whether the piece ends between two characters that are at places to split, or not. */
static bool ends_between(SplitBehavior behavior, bool before, bool behind)
{
    switch (behavior) {
    case SPLIT_MERGED_WITH_PREVIOUS:
        return before;
    case SPLIT_MERGED_WITH_NEXT:
        return behind;
    case SPLIT_CONTIGUOUS:
        return before != behind;
    case SPLIT_REMOVED:
    case SPLIT_ISOLATED:
        break;
    }
    return before || behind;
}

static void cut_at(SplitBehavior behavior, bool (*here)(int32_t), const char *text, Piece piece,
                   Pieces *out)
{
    const size_t end = piece.at + piece.size;
    size_t start = piece.at, at = piece.at;
    bool before = false; /* of the character that ends at `at` */
    while (at < end) {
        const size_t character = at;
        const bool behind = here(unicode_next(text, &at));
        if (character > start && ends_between(behavior, before, behind)) {
            if (!(before && behavior == SPLIT_REMOVED))
                pieces_add(out, start, character - start);
            start = character;
        }
        before = behind;
    }
    if (end > start && !(before && behavior == SPLIT_REMOVED))
        pieces_add(out, start, end - start);
}

static void split(const PreTokenizerOp *op, PreText *pre, bool (*here)(int32_t))
{
    for (size_t i = 0; i < pre->pieces.count; i++)
        cut_at(op->behavior, here, pre->text, pre->pieces.data[i], &pre->next);
}

static bool read_punctuation(PreTokenizerOp *op, const json_t *settings, Err *err)
{
    static const struct {
        const char *name;
        SplitBehavior behavior;
    } behaviors[] = {
        { "Removed", SPLIT_REMOVED },
        { "Isolated", SPLIT_ISOLATED },
        { "Contiguous", SPLIT_CONTIGUOUS },
        { "MergedWithPrevious", SPLIT_MERGED_WITH_PREVIOUS },
        { "MergedWithNext", SPLIT_MERGED_WITH_NEXT },
    };
    const char *name = json_get_string(settings, "behavior", "Isolated", err);
    for (size_t i = 0; i < LENGTH(behaviors); i++)
        if (strcmp(behaviors[i].name, name) == 0) {
            op->behavior = behaviors[i].behavior;
            return err->kind == ERR_NONE;
        }
    return err_set(err, ERR_INPUT, "pre_tokenizer 'Punctuation' has unknown behavior '%s'", name);
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
        cut_words(pre->text, pre->pieces.data[i], &pre->next);
}

/* ---- the list -------------------------------------------------------------- */

static const PreTokenizerKind kinds[] = {
    { "BertPreTokenizer", NULL, run_bert },
    { "Digits", read_digits, run_digits },
    { "Punctuation", read_punctuation, run_punctuation },
    { "Whitespace", NULL, run_whitespace },
    { "WhitespaceSplit", NULL, run_whitespace_split },
};

static bool read_one(PreTokenizer *pretokenizer, const json_t *spec, const char *name, Err *err)
{
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        if (strcmp(kinds[i].name, name) != 0)
            continue;
        pretokenizer->ops =
            xrealloc(pretokenizer->ops, (pretokenizer->count + 1) * sizeof(pretokenizer->ops[0]));
        PreTokenizerOp *op = &pretokenizer->ops[pretokenizer->count++];
        *op = (PreTokenizerOp){ .kind = &kinds[i] };
        return !kinds[i].read || kinds[i].read(op, spec, err);
    }
    return err_set(err, ERR_INPUT, "pre_tokenizer type '%s' is not supported yet", name);
}

bool pretokenizer_read(PreTokenizer *pretokenizer, const json_t *spec, Err *err)
{
    if (!spec || json_is_null(spec))
        return true;
    const char *name = json_get_string(spec, "type", NULL, err);
    if (!name)
        return err->kind == ERR_NONE ? err_set(err, ERR_INPUT, "the pre_tokenizer has no 'type'")
                                     : false;
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
    free(pretokenizer->ops);
    *pretokenizer = (PreTokenizer){ 0 };
}

void pretokenizer_run(const PreTokenizer *pretokenizer, const char *text, size_t n, PreText *pre)
{
    pre->text = text;
    pre->pieces.count = 0;
    if (n > 0)
        pieces_add(&pre->pieces, 0, n);
    for (size_t i = 0; i < pretokenizer->count; i++) {
        const PreTokenizerOp *op = &pretokenizer->ops[i];
        pre->next.count = 0;
        op->kind->run(op, pre);
        const Pieces made = pre->next;
        pre->next = pre->pieces;
        pre->pieces = made;
    }
}
