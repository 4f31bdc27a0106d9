/* The way of a text through the pipeline to an Encoding. */
#include "common/base/mem.h"
#include "worker/tokenizer/byte_level.h"
#include "worker/tokenizer/pipeline.h"

#include <stdlib.h>
#include <string.h>

/* A text on its way. */
typedef struct EncodePass {
    const Tokenizer *tokenizer;
    Scratch *scratch;
    Tokens *out;
    bool words; /* the text is word number `word`; else each piece is a word */
    int32_t word; /* the next */
} EncodePass;

/* ---- tokens and what they stand for in the original, in bytes ----------------- */

TokenSpaces token_spaces(const char *text, size_t n)
{
    TokenSpaces spaces = { 0, 0 };
    bool leading = true;
    for (size_t at = 0; at < n;) {
        const int32_t c = unicode_next(text, &at);
        if (c == BYTE_LEVEL_SPACE || unicode_is_space(c)) {
            spaces.lead += leading && spaces.lead < UINT16_MAX;
            spaces.trail += spaces.trail < UINT16_MAX;
        } else {
            leading = false;
            spaces.trail = 0;
        }
    }
    return spaces;
}

static int32_t next_word(EncodePass *run)
{
    return run->words ? run->word : run->word++;
}

/* An added token: text[start, end). */
static void add_added(EncodePass *run, const Aligned *text, const AddedMatch *match)
{
    const Span span = aligned_span(text, match->start, match->end - match->start);
    tokens_add(run->out, match->id, span.begin, span.end);
    Token *token = &run->out->data[run->out->count - 1];
    token->word = next_word(run);
    if (run->tokenizer->post.trims > 0) {
        const TokenSpaces spaces = token_spaces(text->data + match->start, match->end - match->start);
        token->lead = spaces.lead;
        token->trail = spaces.trail;
    }
}

static void add_piece(EncodePass *run, const Aligned *text, Piece piece)
{
    const Tokenizer *t = run->tokenizer;
    const int64_t before = run->out->count;
    const int32_t word = next_word(run);
    token_model_encode(&t->model, t->digest, text->data + piece.at, piece.size, run->scratch, run->out);
    for (int64_t i = before; i < run->out->count; i++) {
        Token *token = &run->out->data[i];
        const Span span = aligned_span(text, piece.at + token->begin, token->end - token->begin);
        token->begin = span.begin;
        token->end = span.end;
        token->word = word;
        if (t->spaces) {
            token->lead = t->spaces[token->id].lead;
            token->trail = t->spaces[token->id].trail;
        }
    }
}

static void add_pieces(EncodePass *run, const Aligned *text, size_t from, size_t n)
{
    const Aligned part = aligned_part(text, from, n);
    PreText *pre = &run->scratch->pre;
    pretokenizer_run(&run->tokenizer->pretokenizer, &part, pre);
    for (size_t i = 0; i < pre->pieces.count; i++)
        add_piece(run, pre->text, pre->pieces.data[i]);
}

/* original[from, from + n) holds no added token of the first kind. */
static void add_part(EncodePass *run, const Aligned *original, size_t from, size_t n)
{
    const Aligned part = aligned_part(original, from, n);
    const Aligned *text = normalizer_run(&run->tokenizer->normalizer, &part, run->scratch);
    AddedMatch match = { 0 };
    size_t done = 0;
    while (added_tokens_next(&run->tokenizer->added.normalized, text->data, text->size, &match)) {
        if (match.start > done)
            add_pieces(run, text, done, match.start - done);
        add_added(run, text, &match);
        done = match.end;
    }
    if (done < text->size)
        add_pieces(run, text, done, text->size - done);
}

/* ---- offsets in code points --------------------------------------------------- */

/* Of out's tokens from `from` on, which are text's. */
static void to_code_points(EncodePass *run, const char *text, size_t n, int64_t from)
{
    if (text_is_ascii(text, n))
        return;
    uint32_t *index = model_room(&run->scratch->queue, n * sizeof(index[0]));
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
        index[i] = count - 1;
    }
    for (int64_t i = from; i < run->out->count; i++) {
        Token *token = &run->out->data[i];
        if (token->begin >= n)
            token->begin = token->end = count;
        token->end = token->end < n ? index[token->end] : count;
        token->begin = token->begin < n ? index[token->begin] : count;
    }
}

static void add_text(EncodePass *run, const char *text, size_t n)
{
    const int64_t from = run->out->count;
    Aligned original = { 0 };
    aligned_lend(&original, text, n, 0);
    AddedMatch match = { 0 };
    size_t done = 0;
    while (added_tokens_next(&run->tokenizer->added.raw, text, n, &match)) {
        if (match.start > done)
            add_part(run, &original, done, match.start - done);
        add_added(run, &original, &match);
        done = match.end;
    }
    if (done < n)
        add_part(run, &original, done, n - done);
    to_code_points(run, text, n, from);
    aligned_release(&original);
}

/* Leaves the spaces at a token's ends out of its offsets. */
static void trim_offsets(const PostProcessor *post, Tokens *tokens)
{
    for (int k = 0; k < post->trims; k++)
        for (int64_t i = 0; i < tokens->count; i++) {
            Token *token = &tokens->data[i];
            uint32_t lead = token->lead;
            const uint32_t trail = token->trail;
            if (lead > 0) {
                if (lead == 1 && post->prefix_space[k] && (i == 0 || token->begin == 0))
                    lead = 0; /* it was put there */
                const uint32_t begin = token->begin + lead;
                token->begin = begin < token->end ? begin : token->end;
            }
            if (trail > 0 && token->end >= trail) {
                const uint32_t end = token->end - trail;
                token->end = end > token->begin ? end : token->begin;
            }
        }
}

/* ---- truncation and special tokens ---------------------------------------------- */

/* longest_first as tokenizers does it: the shorter one is cut only when both
 * have more than half of the room. */
static void truncate_both(int64_t *a, int64_t *b, int64_t room)
{
    if (*a + *b <= room)
        return;
    int64_t *shorter = *a <= *b ? a : b, *longer = *a <= *b ? b : a;
    if (*shorter > room)
        *longer = *shorter;
    else
        *longer = *shorter > room - *shorter ? *shorter : room - *shorter;
    if (*shorter + *longer > room) {
        *shorter = room / 2;
        *longer = *shorter + room % 2;
    }
}

/* Leaves `count` tokens: the first ones, or the last where truncation_side is left. */
static void cut(const Tokenizer *tokenizer, Tokens *tokens, int64_t count)
{
    if (tokens->count <= count)
        return;
    if (tokenizer->cuts_left)
        memmove(tokens->data, tokens->data + tokens->count - count, (size_t)count * sizeof(tokens->data[0]));
    tokens->count = count;
}

static void reserve(Encoding *out, int64_t need)
{
    if (out->room >= need)
        return;
    out->room = need > 2 * out->room ? need : 2 * out->room;
    const size_t size = (size_t)out->room * sizeof(int32_t);
    out->ids = xrealloc(out->ids, size);
    out->types = xrealloc(out->types, size);
    out->words = xrealloc(out->words, size);
    out->offsets = xrealloc(out->offsets, 2 * size);
}

static void put(Encoding *out, const Token *tokens, int64_t count, int32_t type)
{
    for (int64_t i = 0; i < count; i++) {
        const int64_t k = out->count++;
        out->ids[k] = tokens[i].id;
        out->types[k] = type;
        out->words[k] = tokens[i].word;
        out->offsets[2 * k] = (int32_t)tokens[i].begin;
        out->offsets[2 * k + 1] = (int32_t)tokens[i].end;
    }
}

static void assemble(const Template *template, const Tokens *a, const Tokens *b, Encoding *out)
{
    reserve(out, a->count + b->count + template->specials);
    out->count = 0;
    for (int64_t i = 0; i < template->count; i++) {
        const TemplatePart *part = &template->parts[i];
        const Token special = { .id = part->what, .word = -1 };
        if (part->what == TEMPLATE_A)
            put(out, a->data, a->count, part->type);
        else if (part->what == TEMPLATE_B)
            put(out, b->data, b->count, part->type);
        else
            put(out, &special, 1, part->type);
    }
}

/* ---- the calls -------------------------------------------------------------------- */

static bool check_size(size_t n, Err *err)
{
    return n <= INT32_MAX || err_set(err, ERR_INPUT, "a text of %zu bytes is too long (at most %d)", n, INT32_MAX);
}

static bool find_room(const Template *template, int64_t max_length, int64_t *room, Err *err)
{
    *room = max_length > 0 ? max_length - template->specials : INT64_MAX;
    return *room > 0 || err_set(err, ERR_INPUT, "max_length %lld leaves no room beside the %lld special tokens",
                                (long long)max_length, (long long)template->specials);
}

static Scratch *scratch_of(Encoding *out)
{
    if (!out->scratch)
        out->scratch = xcalloc(1, sizeof(*out->scratch));
    return out->scratch;
}

/* The tokens of a text, to be the scratch's `which`. */
static EncodePass run_of(const Tokenizer *tokenizer, Encoding *out, int which, bool words)
{
    Scratch *scratch = scratch_of(out);
    scratch->tokens[which].count = 0;
    return (EncodePass){ tokenizer, scratch, &scratch->tokens[which], words, 0 };
}

/* A template may have types that are not among the model's inputs (ALBERT's): then all are 0. */
static void drop_types(const Tokenizer *tokenizer, Encoding *out)
{
    if (!tokenizer->has_types && out->count > 0)
        memset(out->types, 0, (size_t)out->count * sizeof *out->types);
}

bool tokenizer_encode(const Tokenizer *tokenizer, const char *text, size_t n, const char *pair, size_t pair_n,
                      int64_t max_length, Encoding *out, Err *err)
{
    const PostProcessor *post = &tokenizer->post;
    const Template *template = pair ? &post->pair : &post->single;
    int64_t room = 0;
    if (!find_room(template, max_length, &room, err) || !check_size(n, err) || (pair && !check_size(pair_n, err)))
        return false;
    EncodePass a = run_of(tokenizer, out, 0, false), b = run_of(tokenizer, out, 1, false);
    add_text(&a, text, n);
    if (pair)
        add_text(&b, pair, pair_n);
    int64_t a_count = a.out->count, b_count = b.out->count;
    truncate_both(&a_count, &b_count, room); /* without a pair: room, or all */
    cut(tokenizer, a.out, a_count);
    cut(tokenizer, b.out, b_count);
    trim_offsets(post, a.out);
    trim_offsets(post, b.out);
    assemble(template, a.out, b.out, out);
    drop_types(tokenizer, out);
    return true;
}

bool tokenizer_pair_begin(const Tokenizer *tokenizer, const char *text, size_t n, const char *pair, size_t pair_n,
                          PairTokens *counts, Encoding *out, Err *err)
{
    if (!check_size(n, err) || !check_size(pair_n, err))
        return false;
    EncodePass a = run_of(tokenizer, out, 0, false), b = run_of(tokenizer, out, 1, false);
    add_text(&a, text, n);
    add_text(&b, pair, pair_n);
    const bool paired = pair_n > 0;
    *counts = (PairTokens){ .text = a.out->count,
                            .pair = b.out->count,
                            .specials = (paired ? tokenizer->post.pair : tokenizer->post.single).specials,
                            .paired = paired,
                            .from_end = tokenizer->cuts_left };
    trim_offsets(&tokenizer->post, a.out);
    return true;
}

/* Tokens before the pair's. */
static int64_t pair_at(const Template *template, const Tokens *a)
{
    int64_t at = 0;
    for (int64_t i = 0; i < template->count && template->parts[i].what != TEMPLATE_B; i++)
        at += template->parts[i].what == TEMPLATE_A ? a->count : 1;
    return at;
}

/* Spaces that stand before a window's first token are of no word there, as they are of none before a text's. */
int64_t tokenizer_pair_window(const Tokenizer *tokenizer, const PairTokens *counts, int64_t from, int64_t count,
                              Encoding *out)
{
    const Template *template = counts->paired ? &tokenizer->post.pair : &tokenizer->post.single;
    const Tokens *a = &out->scratch->tokens[0], *b = &out->scratch->tokens[1];
    Tokens *window = &out->scratch->window;
    while (window->room < count)
        tokens_grow(window);
    window->count = count;
    if (count > 0)
        memcpy(window->data, b->data + from, (size_t)count * sizeof(window->data[0]));
    trim_offsets(&tokenizer->post, window);
    assemble(template, a, window, out);
    return pair_at(template, a);
}

bool tokenizer_encode_words(const Tokenizer *tokenizer, const WordList *words, int64_t max_length, Encoding *out,
                            Err *err)
{
    const PostProcessor *post = &tokenizer->post;
    int64_t room = 0;
    if (!find_room(&post->single, max_length, &room, err))
        return false;
    EncodePass a = run_of(tokenizer, out, 0, true);
    const EncodePass none = run_of(tokenizer, out, 1, true);
    for (int64_t i = 0; i < words->count; i++) {
        if (!check_size(words->size[i], err))
            return false;
        a.word = (int32_t)i;
        add_text(&a, words->text[i], words->size[i]);
    }
    cut(tokenizer, a.out, room);
    trim_offsets(post, a.out);
    assemble(&post->single, a.out, none.out, out);
    drop_types(tokenizer, out);
    return true;
}

bool tokenizer_encode_plain(const Tokenizer *tokenizer, const char *text, size_t n, Encoding *out, Err *err)
{
    if (!check_size(n, err))
        return false;
    EncodePass run = run_of(tokenizer, out, 0, false);
    add_text(&run, text, n);
    trim_offsets(&tokenizer->post, run.out);
    reserve(out, run.out->count);
    out->count = 0;
    put(out, run.out->data, run.out->count, 0);
    return true;
}

void encoding_move(Encoding *to, Encoding *from)
{
    struct Scratch *scratch = from->scratch;
    *to = *from;
    to->scratch = NULL;
    *from = (Encoding){ .scratch = scratch };
}

void encoding_release(Encoding *encoding)
{
    free(encoding->ids);
    free(encoding->types);
    free(encoding->words);
    free(encoding->offsets);
    if (encoding->scratch)
        scratch_release(encoding->scratch);
    free(encoding->scratch);
    *encoding = (Encoding){ 0 };
}
