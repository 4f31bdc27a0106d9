#include "worker/tokenizer/known_types.h"

#include <stddef.h>
#include <string.h>

/* Names of tokenizers 0.22 (Rust: models, normalizers, pre_tokenizers, processors, decoders). */
typedef struct Part {
    const char *key, *list; /* of tokenizer.json; of a Sequence's parts */
    const char *types[16];
} Part;

static const Part parts[] = {
    { "model", NULL, { "BPE", "WordPiece", "WordLevel", "Unigram" } },
    { "normalizer",
      "normalizers",
      { "BertNormalizer", "Strip", "StripAccents", "NFC", "NFD", "NFKC", "NFKD", "Sequence", "Lowercase", "Nmt",
        "Precompiled", "Replace", "Prepend", "ByteLevel" } },
    { "pre_tokenizer",
      "pretokenizers",
      { "BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Metaspace", "Whitespace", "Sequence", "Split",
        "Punctuation", "WhitespaceSplit", "Digits", "UnicodeScripts", "FixedLength" } },
    { "post_processor",
      "processors",
      { "RobertaProcessing", "BertProcessing", "ByteLevel", "TemplateProcessing", "Sequence" } },
    { "decoder",
      "decoders",
      { "BPEDecoder", "ByteLevel", "WordPiece", "Metaspace", "CTC", "Sequence", "Replace", "Fuse", "Strip",
        "ByteFallback" } },
};

static bool check(const Part *part, const json_t *value, Err *err)
{
    const char *type = json_string_value(json_object_get(value, "type"));
    bool known = type == NULL; /* files of old name no type of the model */
    for (int i = 0; !known && part->types[i]; i++)
        known = strcmp(part->types[i], type) == 0;
    if (!known)
        return err_set(err, ERR_INPUT, "%s type '%s' is not supported", part->key, type);
    const json_t *inside = part->list ? json_object_get(value, part->list) : NULL;
    for (size_t i = 0; i < json_array_size(inside); i++)
        if (!check(part, json_array_get(inside, i), err))
            return false;
    return true;
}

bool known_types_check(const json_t *whole, Err *err)
{
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!check(&parts[i], json_object_get(whole, parts[i].key), err))
            return false;
    return true;
}
