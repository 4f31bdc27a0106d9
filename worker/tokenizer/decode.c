/* Ids to text, at once or as they arrive. */
#include "common/base/mem.h"
#include "worker/tokenizer/pipeline.h"

#include <stdlib.h>
#include <string.h>

/* Hands the token of an id on, unless there is none or it is left out. */
static void add_id(const Tokenizer *tokenizer, DecodeChain *chain, int32_t id, bool skip_special)
{
    const char *token = tokenizer_token(tokenizer, id);
    if (!token)
        return;
    const size_t n = strlen(token);
    if (!skip_special || vocab_find(&tokenizer->added.specials, token, n) < 0)
        decode_chain_add(chain, token, n);
}

void tokenizer_decode(const Tokenizer *tokenizer, const int32_t *ids, int64_t n, bool skip_special, Text *out)
{
    DecodeChain chain;
    decode_chain_init(&chain, &tokenizer->decoder);
    chain.out = out;
    text_add(out, "", 0);
    for (int64_t i = 0; i < n; i++)
        add_id(tokenizer, &chain, ids[i], skip_special);
    decode_chain_end(&chain);
    decode_chain_release(&chain);
}

struct DecodeStream {
    const Tokenizer *tokenizer; /* borrowed */
    DecodeChain chain;
    bool skip_special;
};

DecodeStream *decode_stream_new(const Tokenizer *tokenizer, bool skip_special)
{
    DecodeStream *stream = xcalloc(1, sizeof(*stream));
    stream->tokenizer = tokenizer;
    stream->skip_special = skip_special;
    decode_chain_init(&stream->chain, &tokenizer->decoder);
    return stream;
}

void decode_stream_add(DecodeStream *stream, int32_t id, Text *out)
{
    stream->chain.out = out;
    add_id(stream->tokenizer, &stream->chain, id, stream->skip_special);
}

void decode_stream_end(DecodeStream *stream, Text *out)
{
    stream->chain.out = out;
    decode_chain_end(&stream->chain);
}

void decode_stream_free(DecodeStream *stream)
{
    if (stream)
        decode_chain_release(&stream->chain);
    free(stream);
}
