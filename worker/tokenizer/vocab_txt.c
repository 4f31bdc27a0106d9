/* Reads BERT's older way of keeping a tokenizer: vocab.txt, a token a line whose id is
 * the line, and a few settings in tokenizer_config.json. It is turned into what the
 * same tokenizer's tokenizer.json says, so that there is one reader of settings. */
#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/pipeline.h"

#include <stdlib.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const char *key, *token;
    bool needed; /* a model without [MASK] just has none */
} specials[] = {
    { "pad_token", "[PAD]", false },   { "unk_token", "[UNK]", true },
    { "cls_token", "[CLS]", true },    { "sep_token", "[SEP]", true },
    { "mask_token", "[MASK]", false },
};

/* A name, or an AddedToken's dictionary with it as "content". */
static const char *special_name(const json_t *config, size_t i, Err *err)
{
    const json_t *value = json_object_get(config, specials[i].key);
    if (json_is_object(value))
        return json_get_string(value, "content", specials[i].token, err);
    return json_get_string(config, specials[i].key, specials[i].token, err);
}

static json_t *read_lines(const char *path, const char *data, size_t size, Err *err)
{
    json_t *vocab = json_object();
    json_int_t id = 0;
    for (size_t at = 0; at < size; id++) {
        const char *end = memchr(data + at, '\n', size - at);
        const size_t next = end ? (size_t)(end - data) + 1 : size;
        size_t n = (end ? next - 1 : size) - at;
        if (n > 0 && data[at + n - 1] == '\r')
            n--;
        char *token = xstrndup(data + at, n);
        if (strlen(token) != n || text_utf8_valid(token, n) != n)
            err_set(err, ERR_INPUT, "the token is not valid UTF-8");
        else if (json_object_get(vocab, token))
            err_set(err, ERR_INPUT, "token '%s' is there twice", token);
        else
            json_object_set_new(vocab, token, json_integer(id));
        free(token);
        if (err->kind != ERR_NONE) {
            err_at(err, "%s:%lld", path, (long long)id + 1);
            json_decref(vocab);
            return NULL;
        }
        at = next;
    }
    return vocab;
}

static json_t *added_token(const char *content, json_int_t id)
{
    return json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", content,
                     "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1);
}

static json_t *read_specials(const json_t *vocab, const json_t *config, Err *err)
{
    json_t *added = json_array();
    for (size_t i = 0; i < LENGTH(specials); i++) {
        const char *name = special_name(config, i, err);
        const json_t *id = json_object_get(vocab, name);
        if (id)
            json_array_append_new(added, added_token(name, json_integer_value(id)));
        else if (specials[i].needed)
            err_set(err, ERR_INPUT, "the %s '%s' is not in the vocabulary", specials[i].key, name);
        if (err->kind != ERR_NONE) {
            json_decref(added);
            return NULL;
        }
    }
    return added;
}

static json_t *normalizer_of(const json_t *config, Err *err)
{
    const bool lower = json_get_bool(config, "do_lower_case", true, err);
    const bool accents = json_get_bool(config, "strip_accents", lower, err);
    const bool chinese = json_get_bool(config, "tokenize_chinese_chars", true, err);
    return json_pack("{s:s, s:b, s:b, s:b, s:b}", "type", "BertNormalizer", "clean_text", 1,
                     "handle_chinese_chars", chinese, "strip_accents", accents, "lowercase", lower);
}

json_t *vocab_txt_as_json(const char *path, const char *data, size_t size, const json_t *config,
                          Err *err)
{
    enum { UNK = 1, CLS = 2, SEP = 3 }; /* rows of `specials` */
    json_t *vocab = read_lines(path, data, size, err);
    if (!vocab)
        return NULL;
    json_t *added = read_specials(vocab, config, err);
    json_t *normalizer = normalizer_of(config, err);
    if (err->kind != ERR_NONE) {
        json_decref(vocab);
        json_decref(added);
        json_decref(normalizer);
        err_at(err, "%s", path);
        return NULL;
    }
    const char *unk = special_name(config, UNK, err);
    const char *cls = special_name(config, CLS, err), *sep = special_name(config, SEP, err);
    json_t *whole =
        json_pack("{s:o, s:o, s:{s:s}, s:{s:s, s:[s, O], s:[s, O]}, s:{s:s, s:s, s:s, s:i, s:O}}",
                  "added_tokens", added, "normalizer", normalizer, "pre_tokenizer", "type",
                  "BertPreTokenizer", "post_processor", "type", "BertProcessing", "cls", cls,
                  json_object_get(vocab, cls), "sep", sep, json_object_get(vocab, sep), "model",
                  "type", "WordPiece", "unk_token", unk, "continuing_subword_prefix", "##",
                  "max_input_chars_per_word", 100, "vocab", vocab);
    json_decref(vocab);
    REQUIRE(whole);
    json_object_set_new(whole, "decoder",
                        json_pack("{s:s, s:s, s:b}", "type", "WordPiece", "prefix", "##",
                                  "cleanup", 1));
    return whole;
}
