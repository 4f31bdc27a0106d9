#include "worker/tokenizer/decoder.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

/* Writes text[0, n) behind `out`, `what` becoming `by`. */
static void replace_all(Text *out, const char *text, size_t n, const char *what, const char *by)
{
    const size_t size = strlen(what);
    const char *end = text + n;
    while (text < end) {
        const char *hit = size > 0 ? memmem(text, (size_t)(end - text), what, size) : NULL;
        text_add(out, text, (size_t)((hit ? hit : end) - text));
        if (hit)
            text_adds(out, by);
        text = hit ? hit + size : end;
    }
}

/* ---- WordPiece ------------------------------------------------------------- */

static bool read_wordpiece(DecoderOp *op, const json_t *settings, Err *err)
{
    text_adds(&op->word, json_get_string(settings, "prefix", "##", err));
    op->cleanup = json_get_bool(settings, "cleanup", true, err);
    return err->kind == ERR_NONE;
}

static void clean(Text *text)
{
    static const char *const changes[][2] = {
        { " .", "." },   { " ?", "?" },     { " !", "!" },     { " ,", "," },
        { " ' ", "'" },  { " n't", "n't" }, { " 'm", "'m" },   { " do not", " don't" },
        { " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" },
    };
    for (size_t i = 0; i < LENGTH(changes); i++) {
        Text next = { 0 };
        text_adds(&next, "");
        replace_all(&next, text->data, text->size, changes[i][0], changes[i][1]);
        text_release(text);
        *text = next;
    }
}

static void take_wordpiece(DecodeChain *chain, size_t k, const char *text, size_t n, bool ends)
{
    const DecoderOp *op = &chain->decoder->ops[k];
    Text word = { 0 };
    text_adds(&word, "");
    if (chain->stages[k].tokens > 0) {
        if (n >= op->word.size && memcmp(text, op->word.data, op->word.size) == 0) {
            text += op->word.size;
            n -= op->word.size;
        } else {
            text_add(&word, " ", 1);
        }
    }
    text_add(&word, text, n);
    if (op->cleanup)
        clean(&word);
    decode_pass(chain, k + 1, word.data, word.size, ends);
    text_release(&word);
}

/* ---- Metaspace, Replace ---------------------------------------------------- */

static bool read_metaspace(DecoderOp *op, const json_t *settings, Err *err)
{
    PrependScheme scheme = PREPEND_ALWAYS;
    text_adds(&op->word, json_get_string(settings, "replacement", "\xE2\x96\x81", err));
    if (!prepend_scheme_read(&scheme, settings, err))
        return false;
    op->drop_first = scheme != PREPEND_NEVER;
    return true;
}

static void take_metaspace(DecodeChain *chain, size_t k, const char *text, size_t n, bool ends)
{
    const DecoderOp *op = &chain->decoder->ops[k];
    const bool drop = op->drop_first && chain->stages[k].tokens == 0;
    Text word = { 0 };
    text_adds(&word, "");
    replace_all(&word, text, n, op->word.data, drop ? "" : " ");
    decode_pass(chain, k + 1, word.data, word.size, ends);
    text_release(&word);
}

static bool read_replace(DecoderOp *op, const json_t *settings, Err *err)
{
    text_adds(&op->content, json_get_string(settings, "content", "", err));
    return err->kind == ERR_NONE &&
           pattern_read(&op->pattern, json_object_get(settings, "pattern"), "decoder 'Replace'", err);
}

static void take_replace(DecodeChain *chain, size_t k, const char *text, size_t n, bool ends)
{
    const DecoderOp *op = &chain->decoder->ops[k];
    Segments *segments = &chain->stages[k].segments;
    Text word = { 0 };
    text_adds(&word, "");
    segments->count = 0;
    pattern_find(&op->pattern, text, n, segments);
    for (size_t i = 0; i < segments->count; i++) {
        const Segment part = segments->data[i];
        if (part.match)
            text_add(&word, op->content.data, op->content.size);
        else
            text_add(&word, text + part.begin, part.end - part.begin);
    }
    decode_pass(chain, k + 1, word.data, word.size, ends);
    text_release(&word);
}

/* ---- BPEDecoder, Fuse, spaces between tokens ------------------------------- */

static bool read_bpe(DecoderOp *op, const json_t *settings, Err *err)
{
    text_adds(&op->word, json_get_string(settings, "suffix", "</w>", err));
    return err->kind == ERR_NONE;
}

/* Only the last token ends without a space, so each waits for the next. */
static void pass_held(DecodeChain *chain, size_t k, const char *by)
{
    DecodeStage *stage = &chain->stages[k];
    Text word = { 0 };
    text_adds(&word, "");
    replace_all(&word, stage->held.data, stage->held.size, chain->decoder->ops[k].word.data, by);
    decode_pass(chain, k + 1, word.data, word.size, true);
    text_release(&word);
    text_clear(&stage->held);
}

static void take_bpe(DecodeChain *chain, size_t k, const char *text, size_t n, bool ends)
{
    (void)ends;
    if (chain->stages[k].tokens > 0)
        pass_held(chain, k, " ");
    text_add(&chain->stages[k].held, text, n);
}

static void end_bpe(DecodeChain *chain, size_t k)
{
    if (chain->stages[k].tokens > 0)
        pass_held(chain, k, "");
}

static void take_fuse(DecodeChain *chain, size_t k, const char *text, size_t n, bool ends)
{
    (void)ends;
    decode_pass(chain, k + 1, text, n, false);
}

static void end_fuse(DecodeChain *chain, size_t k)
{
    decode_pass(chain, k + 1, "", 0, true);
}

static void take_spaced(DecodeChain *chain, size_t k, const char *text, size_t n, bool ends)
{
    if (chain->stages[k].tokens > 0)
        decode_pass(chain, k + 1, " ", 1, false);
    decode_pass(chain, k + 1, text, n, ends);
}

/* ---- Strip ----------------------------------------------------------------- */

static bool read_strip(DecoderOp *op, const json_t *settings, Err *err)
{
    const char *content = json_get_string(settings, "content", " ", err);
    op->start = json_get_int(settings, "start", 0, err);
    op->stop = json_get_int(settings, "stop", 0, err);
    size_t size = 0;
    if (content[0] != '\0')
        unicode_next(content, &size);
    if (err->kind != ERR_NONE)
        return false;
    if (size == 0 || size != strlen(content) || op->start < 0 || op->stop < 0)
        return err_set(err, ERR_INPUT, "decoder 'Strip' needs a character and two counts");
    text_adds(&op->word, content);
    return true;
}

/* Of a character like `word` nothing is certain until another follows. */
static void strip_next(DecodeChain *chain, size_t k, const char *character, size_t n)
{
    const DecoderOp *op = &chain->decoder->ops[k];
    DecodeStage *stage = &chain->stages[k];
    const bool same = n == op->word.size && memcmp(character, op->word.data, n) == 0;
    if (same && stage->cut >= 0 && stage->cut < op->start) {
        stage->cut++;
        return;
    }
    stage->cut = -1;
    if (same && op->stop > 0) {
        text_add(&stage->held, character, n);
        return;
    }
    decode_pass(chain, k + 1, stage->held.data ? stage->held.data : "", stage->held.size, false);
    text_clear(&stage->held);
    decode_pass(chain, k + 1, character, n, false);
}

static void take_strip(DecodeChain *chain, size_t k, const char *text, size_t n, bool ends)
{
    const DecoderOp *op = &chain->decoder->ops[k];
    DecodeStage *stage = &chain->stages[k];
    for (size_t at = 0; at < n;) {
        const size_t start = at;
        unicode_next(text, &at);
        strip_next(chain, k, text + start, at - start);
    }
    if (!ends)
        return;
    const size_t cut = (size_t)op->stop * op->word.size;
    const size_t left = stage->held.size > cut ? stage->held.size - cut : 0;
    decode_pass(chain, k + 1, left > 0 ? stage->held.data : "", left, true);
    text_clear(&stage->held);
    stage->cut = 0;
}

/* ---- the list -------------------------------------------------------------- */

static const DecoderKind kinds[] = {
    { "BPEDecoder", read_bpe, take_bpe, end_bpe, false },
    { "ByteFallback", NULL, byte_fallback_take, byte_fallback_end, false },
    { "ByteLevel", NULL, byte_level_take, byte_level_end, false },
    { "Fuse", NULL, take_fuse, end_fuse, true },
    { "Metaspace", read_metaspace, take_metaspace, NULL, false },
    { "Replace", read_replace, take_replace, NULL, false },
    { "Strip", read_strip, take_strip, NULL, true },
    { "WordPiece", read_wordpiece, take_wordpiece, NULL, false },
};

static const DecoderKind spaced = { "", NULL, take_spaced, NULL, false };

static DecoderOp *add(TokenDecoder *decoder, const DecoderKind *kind)
{
    decoder->ops = xrealloc(decoder->ops, (decoder->count + 1) * sizeof(decoder->ops[0]));
    DecoderOp *op = &decoder->ops[decoder->count++];
    *op = (DecoderOp){ .kind = kind };
    return op;
}

static bool read_any(TokenDecoder *decoder, const json_t *spec, Err *err)
{
    const char *name = json_get_string(spec, "type", NULL, err);
    if (!name)
        return err->kind == ERR_NONE ? err_set(err, ERR_INPUT, "the decoder has no 'type'") : false;
    if (strcmp(name, "Sequence") == 0) {
        const json_t *list = json_object_get(spec, "decoders");
        if (!json_is_array(list))
            return err_set(err, ERR_INPUT, "decoder 'Sequence' has no list 'decoders'");
        for (size_t i = 0; i < json_array_size(list); i++)
            if (!read_any(decoder, json_array_get(list, i), err))
                return false;
        return true;
    }
    for (size_t i = 0; i < LENGTH(kinds); i++)
        if (strcmp(kinds[i].name, name) == 0) {
            DecoderOp *op = add(decoder, &kinds[i]);
            return !kinds[i].read || kinds[i].read(op, spec, err);
        }
    return err_set(err, ERR_INPUT, "decoder type '%s' is not supported", name);
}

bool decoder_read(TokenDecoder *decoder, const json_t *spec, Err *err)
{
    if (spec && !json_is_null(spec))
        return read_any(decoder, spec, err);
    add(decoder, &spaced);
    return true;
}

void decoder_release(TokenDecoder *decoder)
{
    for (size_t i = 0; i < decoder->count; i++) {
        text_release(&decoder->ops[i].word);
        text_release(&decoder->ops[i].content);
        pattern_release(&decoder->ops[i].pattern);
    }
    free(decoder->ops);
    *decoder = (TokenDecoder){ 0 };
}

/* ---- running --------------------------------------------------------------- */

void decode_pass(DecodeChain *chain, size_t k, const char *text, size_t n, bool ends)
{
    if (k == chain->decoder->count) {
        text_add(chain->out, text, n);
        return;
    }
    const DecoderKind *kind = chain->decoder->ops[k].kind;
    DecodeStage *stage = &chain->stages[k];
    if (kind->parts || (ends && stage->part.size == 0)) {
        kind->take(chain, k, text, n, ends);
    } else {
        text_add(&stage->part, text, n);
        if (!ends)
            return;
        kind->take(chain, k, stage->part.data, stage->part.size, true);
        text_clear(&stage->part);
    }
    stage->tokens += ends;
}

void decode_chain_init(DecodeChain *chain, const TokenDecoder *decoder)
{
    *chain = (DecodeChain){ .decoder = decoder, .stages = xcalloc(decoder->count + 1, sizeof(chain->stages[0])) };
}

void decode_chain_add(DecodeChain *chain, const char *token, size_t n)
{
    decode_pass(chain, 0, token, n, true);
}

void decode_chain_end(DecodeChain *chain)
{
    for (size_t k = 0; k < chain->decoder->count; k++)
        if (chain->decoder->ops[k].kind->end)
            chain->decoder->ops[k].kind->end(chain, k);
}

void decode_chain_release(DecodeChain *chain)
{
    for (size_t k = 0; chain->stages && k < chain->decoder->count; k++) {
        text_release(&chain->stages[k].part);
        text_release(&chain->stages[k].held);
        free(chain->stages[k].segments.data);
    }
    free(chain->stages);
    *chain = (DecodeChain){ 0 };
}
