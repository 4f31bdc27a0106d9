#include "worker/tokenizer/class.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/model/arch.h"

#include <string.h>

#define SPACE "\xE2\x96\x81" /* what Metaspace writes for a space */

#define QWEN2_SPLIT                                                                                                    \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"                                                \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* The parts of a tokenizer that is begun anew; of the model its vocabulary and merges stay. */
static void set_parts(json_t *whole, json_t *model, json_t *normalizer, json_t *pre_tokenizer, json_t *decoder)
{
    REQUIRE(model && pre_tokenizer && decoder);
    const json_t *before = json_object_get(whole, "model");
    const char *const kept[] = { "vocab", "merges" };
    for (size_t i = 0; i < LENGTH(kept); i++)
        if (json_object_get(before, kept[i]))
            json_object_set(model, kept[i], json_object_get(before, kept[i]));
    json_object_set_new(whole, "model", model);
    json_object_set_new(whole, "normalizer", normalizer ? normalizer : json_null());
    json_object_set_new(whole, "pre_tokenizer", pre_tokenizer);
    json_object_set_new(whole, "decoder", decoder);
}

/* ---- BERT ------------------------------------------------------------------------------ */

static const ClassToken bert_tokens[] = { { "unk_token", "[UNK]" },   { "sep_token", "[SEP]" },
                                          { "pad_token", "[PAD]" },   { "cls_token", "[CLS]" },
                                          { "mask_token", "[MASK]" }, { NULL, NULL } };

/* "[UNK]", or {"content": "[UNK]"}. */
static const char *token_of(const json_t *config, const char *key, const char *fallback)
{
    const json_t *value = json_object_get(config, key);
    if (json_is_object(value))
        value = json_object_get(value, "content");
    return json_is_string(value) ? json_string_value(value) : fallback;
}

static void build_bert(json_t *whole, const json_t *config, Err *err)
{
    const bool lower = json_get_bool(config, "do_lower_case", true, err);
    const bool accents = json_get_bool(config, "strip_accents", lower, err);
    const bool chinese = json_get_bool(config, "tokenize_chinese_chars", true, err);
    set_parts(whole,
              json_pack("{s:s, s:s, s:s, s:i}", "type", "WordPiece", "unk_token",
                        token_of(config, "unk_token", "[UNK]"), "continuing_subword_prefix", "##",
                        "max_input_chars_per_word", 100),
              json_pack("{s:s, s:b, s:b, s:b, s:b}", "type", "BertNormalizer", "clean_text", 1, "handle_chinese_chars",
                        chinese, "strip_accents", accents, "lowercase", lower),
              json_pack("{s:s}", "type", "BertPreTokenizer"),
              json_pack("{s:s, s:s, s:b}", "type", "WordPiece", "prefix", "##", "cleanup", 1));
}

static json_t *post_bert(const json_t *config, json_t *first, json_t *last, Err *err)
{
    (void)config;
    (void)err;
    return json_pack("{s:s, s:O, s:O}", "type", "BertProcessing", "cls", first, "sep", last);
}

/* ---- byte-level BPE ---------------------------------------------------------------------- */

static const ClassToken gpt2_tokens[] = {
    { "unk_token", "<|endoftext|>" }, { "bos_token", "<|endoftext|>" }, { "eos_token", "<|endoftext|>" }, { NULL, NULL }
};
static const ClassToken roberta_tokens[] = { { "bos_token", "<s>" },     { "eos_token", "</s>" },
                                             { "sep_token", "</s>" },    { "cls_token", "<s>" },
                                             { "unk_token", "<unk>" },   { "pad_token", "<pad>" },
                                             { "mask_token", "<mask>" }, { NULL, NULL } };
static const ClassToken qwen2_tokens[] = {
    { "unk_token", "<|endoftext|>" }, { "eos_token", "<|endoftext|>" }, { "pad_token", "<|endoftext|>" }, { NULL, NULL }
};

static json_t *bpe(void)
{
    return json_pack("{s:s}", "type", "BPE");
}

static json_t *byte_level(bool prefix, bool regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", prefix, "trim_offsets", 1,
                     "use_regex", regex);
}

static void build_byte_level(json_t *whole, const json_t *config, Err *err)
{
    const bool prefix = json_get_bool(config, "add_prefix_space", false, err);
    set_parts(whole, bpe(), NULL, byte_level(prefix, true), byte_level(true, true));
}

static void build_qwen2(json_t *whole, const json_t *config, Err *err)
{
    const bool prefix = json_get_bool(config, "add_prefix_space", false, err);
    set_parts(whole, bpe(), json_pack("{s:s}", "type", "NFC"),
              json_pack("{s:s, s:[{s:s, s:{s:s}, s:s}, o]}", "type", "Sequence", "pretokenizers", "type", "Split",
                        "pattern", "Regex", QWEN2_SPLIT, "behavior", "Isolated", byte_level(prefix, false)),
              byte_level(true, true));
}

static json_t *post_roberta(const json_t *config, json_t *first, json_t *last, Err *err)
{
    return json_pack("{s:s, s:O, s:O, s:b, s:b}", "type", "RobertaProcessing", "cls", first, "sep", last,
                     "trim_offsets", json_get_bool(config, "trim_offsets", true, err), "add_prefix_space",
                     json_get_bool(config, "add_prefix_space", false, err));
}

/* ---- SentencePiece's kinds ---------------------------------------------------------------- */

static const ClassToken llama_tokens[] = {
    { "unk_token", "<unk>" }, { "bos_token", "<s>" }, { "eos_token", "</s>" }, { NULL, NULL }
};
static const ClassToken code_llama_tokens[] = { { "unk_token", "<unk>" },
                                                { "bos_token", "<s>" },
                                                { "eos_token", "</s>" },
                                                { "prefix_token", SPACE "<PRE>" },
                                                { "middle_token", SPACE "<MID>" },
                                                { "suffix_token", SPACE "<SUF>" },
                                                { "eot_token", SPACE "<EOT>" },
                                                { "fill_token", "<FILL_ME>" },
                                                { NULL, NULL } };

static json_t *metaspace(const char *scheme, bool split)
{
    return json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", SPACE, "prepend_scheme", scheme,
                     "split", split);
}

static json_t *llama_decoder(bool strips)
{
    json_t *list = json_pack("[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}]", "type", "Replace", "pattern", "String", SPACE,
                             "content", " ", "type", "ByteFallback", "type", "Fuse");
    if (strips)
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0));
    return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", list);
}

static void build_llama(json_t *whole, const json_t *config, Err *err)
{
    const bool prefix = json_get_bool(config, "add_prefix_space", true, err);
    const bool legacy = json_get_bool(config, "legacy", false, err);
    set_parts(whole, json_pack("{s:s, s:b, s:b}", "type", "BPE", "fuse_unk", 1, "byte_fallback", 1), NULL,
              metaspace(!prefix  ? "never"
                        : legacy ? "always"
                                 : "first",
                        false),
              llama_decoder(prefix));
}

/* Whether tokenizer.json puts a space before a text. */
static bool puts_space(const json_t *part)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    const char *scheme = json_string_value(json_object_get(part, "prepend_scheme"));
    const char *const lists[] = { "normalizers", "pretokenizers" };
    for (size_t i = 0; i < LENGTH(lists); i++)
        for (size_t k = 0; k < json_array_size(json_object_get(part, lists[i])); k++)
            if (puts_space(json_array_get(json_object_get(part, lists[i]), k)))
                return true;
    if (type && strcmp(type, "Metaspace") == 0)
        return scheme ? strcmp(scheme, "never") != 0 : !json_is_false(json_object_get(part, "add_prefix_space"));
    return type && strcmp(type, "Prepend") == 0;
}

static bool adds(const json_t *whole, const char *content)
{
    const json_t *list = json_object_get(whole, "added_tokens");
    for (size_t i = 0; content && i < json_array_size(list); i++) {
        const char *one = json_string_value(json_object_get(json_array_get(list, i), "content"));
        if (one && strcmp(one, content) == 0)
            return true;
    }
    return false;
}

/* tokenizer_config.json and tokenizer.json do not agree: on add_prefix_space, or the former lists tokens that the
 * latter does not add. */
static bool is_contradicted(const TokenizerFolder *files)
{
    const json_t *wanted = json_object_get(files->config, "add_prefix_space");
    const bool puts = puts_space(json_object_get(files->whole, "normalizer")) ||
                      puts_space(json_object_get(files->whole, "pre_tokenizer"));
    const char *id;
    json_t *token;
    json_object_foreach(json_object_get(files->config, "added_tokens_decoder"), id, token)
    {
        if (!adds(files->whole, json_string_value(json_object_get(token, "content"))))
            return true;
    }
    return json_is_boolean(wanted) && json_is_true(wanted) != puts;
}

/* The first Precompiled of a normalizer, alone or in a Sequence. Borrowed; NULL: none. */
static json_t *precompiled(const json_t *normalizer)
{
    const json_t *list = json_object_get(normalizer, "normalizers");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (precompiled(json_array_get(list, i)))
            return precompiled(json_array_get(list, i));
    const char *type = json_string_value(json_object_get(normalizer, "type"));
    return type && strcmp(type, "Precompiled") == 0 ? (json_t *)(uintptr_t)normalizer : NULL;
}

static void build_xlm_roberta(json_t *whole, const json_t *config, Err *err)
{
    const char *scheme = json_get_bool(config, "add_prefix_space", true, err) ? "always" : "never";
    json_t *normalizer = json_incref(precompiled(json_object_get(whole, "normalizer")));
    set_parts(whole, json_pack("{s:s, s:i}", "type", "Unigram", "unk_id", 3), normalizer,
              json_pack("{s:s, s:[{s:s}, o]}", "type", "Sequence", "pretokenizers", "type", "WhitespaceSplit",
                        metaspace(scheme, true)),
              metaspace(scheme, true));
}

/* <s> A </s></s> B </s>, all of type 0. */
static json_t *post_xlm_roberta(const json_t *config, json_t *first, json_t *last, Err *err)
{
    (void)config;
    (void)err;
    return json_pack("{s:s, s:O, s:O, s:b}", "type", "RobertaProcessing", "cls", first, "sep", last, "trim_offsets", 0);
}

/* ---- the list ---------------------------------------------------------------------------- */

static const TokenizerClass bert = { "BertTokenizer", bert_tokens, true,        false,
                                     build_bert,      post_bert,   "cls_token", "sep_token" };
static const TokenizerClass distilbert = { "DistilBertTokenizer", bert_tokens, false, false, build_bert, post_bert,
                                           "cls_token",           "sep_token" };
static const TokenizerClass gpt2 = { "GPT2Tokenizer", gpt2_tokens, false, false, build_byte_level, NULL, NULL, NULL };
static const TokenizerClass roberta = { "RobertaTokenizer", roberta_tokens, false,       false,
                                        build_byte_level,   post_roberta,   "cls_token", "sep_token" };
static const TokenizerClass qwen2 = { "Qwen2Tokenizer", qwen2_tokens, false, true, build_qwen2, NULL, NULL, NULL };
/* Transformers 5 begins these anew too, without the normalizer that the models were trained with; here, as in
 * Transformers 4, tokenizer.json stands unless it contradicts the settings. */
static const TokenizerClass llama = { "LlamaTokenizer", llama_tokens, false, false, NULL, NULL, NULL, NULL };
static const TokenizerClass llama_anew = {
    "LlamaTokenizer (anew)", llama_tokens, false, false, build_llama, NULL, NULL, NULL
};
static const TokenizerClass code_llama = {
    "CodeLlamaTokenizer", code_llama_tokens, false, false, NULL, NULL, NULL, NULL
};
/* Transformers 5 begins DeBERTa v2's and v3's anew, without the table of characters that the models were trained with;
 * here tokenizer.json stands. */
static const TokenizerClass deberta = { "DebertaTokenizer", bert_tokens, true, false, NULL, NULL, NULL, NULL };
static const TokenizerClass deberta_anew = { "DebertaTokenizer (anew)", bert_tokens, true,        false,
                                             build_byte_level,          post_bert,   "cls_token", "sep_token" };
static const TokenizerClass deberta_v2 = { "DebertaV2Tokenizer", bert_tokens, true, false, NULL, NULL, NULL, NULL };
static const TokenizerClass xlm_roberta = { "XLMRobertaTokenizer", roberta_tokens,   false,       false,
                                            build_xlm_roberta,     post_xlm_roberta, "bos_token", "eos_token" };

/* By tokenizer_class, without the "Fast" that older names end in. */
static const struct {
    const char *name;
    const TokenizerClass *class;
} by_name[] = {
    { "BertTokenizer", &bert },
    { "ElectraTokenizer", &bert },
    { "MobileBertTokenizer", &bert },
    { "DistilBertTokenizer", &distilbert },
    { "GPT2Tokenizer", &gpt2 },
    { "RobertaTokenizer", &roberta },
    { "BartTokenizer", &roberta },
    { "LongformerTokenizer", &roberta },
    { "Qwen2Tokenizer", &qwen2 },
    { "LlamaTokenizer", &llama },
    { "CodeLlamaTokenizer", &code_llama },
    { "XLMRobertaTokenizer", &xlm_roberta },
    { "DebertaTokenizer", &deberta },
    { "DebertaV2Tokenizer", &deberta_v2 },
};

/* By config.json's model_type, where no class is named. */
static const struct {
    const char *model_type;
    const TokenizerClass *class;
} by_type[] = {
    { "bert", &bert },       { "distilbert", &bert },         { "electra", &bert },          { "gpt2", &gpt2 },
    { "roberta", &roberta }, { "xlm-roberta", &xlm_roberta }, { "qwen2", &qwen2 },           { "qwen3", &qwen2 },
    { "opt", &gpt2 },        { "deberta", &deberta },         { "deberta-v2", &deberta_v2 },
};

static const char *class_name(const TokenizerFolder *files, Err *err)
{
    const char *name = json_get_string(files->config, "tokenizer_class", NULL, err);
    return name ? name : json_get_string(files->model, "tokenizer_class", NULL, err);
}

bool class_is_named(const TokenizerFolder *files)
{
    Err none = { 0 };
    return class_name(files, &none) || json_get_string(files->model, "model_type", NULL, &none);
}

static const TokenizerClass *of_name(const char *name)
{
    const size_t n = strlen(name) - (text_ends(name, "Fast") ? 4 : 0);
    for (size_t i = 0; i < LENGTH(by_name); i++)
        if (strlen(by_name[i].name) == n && strncmp(by_name[i].name, name, n) == 0)
            return by_name[i].class;
    return NULL;
}

static const TokenizerClass *of_type(const char *model_type)
{
    for (size_t i = 0; i < LENGTH(by_type); i++)
        if (strcmp(by_type[i].model_type, model_type) == 0)
            return by_type[i].class;
    return NULL;
}

/* Of vocab.json that no class is named for: by the tokens it has. */
static const TokenizerClass *of_vocab(const json_t *vocab)
{
    if (json_object_get(vocab, "<s>") && json_object_get(vocab, "</s>"))
        return &roberta;
    return json_object_get(vocab, "<|endoftext|>") ? &gpt2 : NULL;
}

/* The older files say nothing but the vocabulary: without a class they mean nothing. */
static bool of_older(const TokenizerClass **found, const TokenizerFolder *files, const char *name, Err *err)
{
    if (!*found && !name)
        *found = files->source == FROM_VOCAB_TXT
                     ? &bert
                     : of_vocab(json_object_get(json_object_get(files->whole, "model"), "vocab"));
    const bool is_bert = *found == &bert || *found == &distilbert;
    if (*found && *found != &xlm_roberta && (*found)->build && is_bert == (files->source == FROM_VOCAB_TXT))
        return true;
    const char *what = files->source == FROM_VOCAB_TXT ? "vocab.txt" : "vocab.json and merges.txt";
    if (name || *found)
        err_set(err, ERR_INPUT, "%s of a '%s' are not supported", what, name ? name : (*found)->name);
    else
        err_set(err, ERR_INPUT, "there is no tokenizer_class in tokenizer_config.json");
    err_hint(err, "save the tokenizer again with Transformers: that writes tokenizer.json");
    return err_at(err, "%s", files->path);
}

bool class_find(const TokenizerClass **found, const TokenizerFolder *files, Err *err)
{
    const char *name = class_name(files, err);
    const char *type = json_get_string(files->model, "model_type", "", err);
    if (err->kind != ERR_NONE)
        return err_at(err, "%s", files->path);
    *found = name ? of_name(name) : of_type(type);
    if (strcmp(type, "qwen2") == 0)
        *found = &qwen2; /* many of these name a class that is not theirs */
    const Family *family = arch_family(type);
    if ((family && family->tokenizer_alone) || (*found == &llama && files->is_byte_level))
        *found = NULL; /* not what their class would make of it */
    if (*found == &deberta && files->source == FROM_VOCAB_JSON)
        *found = &deberta_anew;
    if (*found == &llama && is_contradicted(files))
        *found = &llama_anew;
    return files->source == FROM_TOKENIZER_JSON || of_older(found, files, name, err);
}
