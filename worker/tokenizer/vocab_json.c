/* Reads the older way of keeping a byte-level tokenizer: vocab.json, merges.txt and what
 * lies beside them. They are turned into what the same tokenizer's tokenizer.json says,
 * as Transformers' classes GPT2Tokenizer, RobertaTokenizer and Qwen2Tokenizer do. */
#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/pipeline.h"

#include <stdlib.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define QWEN2_SPLIT                                                                                \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"                            \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

typedef enum { GPT2, ROBERTA, QWEN2 } Class;

typedef struct ClassName {
    const char *key, *token;
} ClassName;

static const ClassName gpt2_names[] = { { "unk_token", "<|endoftext|>" },
                                        { "bos_token", "<|endoftext|>" },
                                        { "eos_token", "<|endoftext|>" } };
static const ClassName roberta_names[] = { { "bos_token", "<s>" },  { "eos_token", "</s>" },
                                           { "sep_token", "</s>" }, { "cls_token", "<s>" },
                                           { "unk_token", "<unk>" }, { "pad_token", "<pad>" },
                                           { "mask_token", "<mask>" } };
static const ClassName qwen2_names[] = { { "unk_token", "<|endoftext|>" },
                                         { "eos_token", "<|endoftext|>" },
                                         { "pad_token", "<|endoftext|>" } };

static const struct {
    const char *name;
    const ClassName *names;
    size_t count;
} classes[] = {
    [GPT2] = { "GPT2Tokenizer", gpt2_names, LENGTH(gpt2_names) },
    [ROBERTA] = { "RobertaTokenizer", roberta_names, LENGTH(roberta_names) },
    [QWEN2] = { "Qwen2Tokenizer", qwen2_names, LENGTH(qwen2_names) },
};

/* By the name in tokenizer_config.json; without it, by the special tokens. */
static bool find_class(Class *class, const json_t *vocab, const json_t *config, Err *err)
{
    const char *name = json_get_string(config, "tokenizer_class", NULL, err);
    if (err->kind != ERR_NONE)
        return false;
    for (size_t i = 0; name && i < LENGTH(classes); i++)
        if (text_starts(name, classes[i].name)) {
            *class = (Class)i;
            return true;
        }
    if (name)
        return err_set(err, ERR_INPUT,
                       "vocab.json and merges.txt of a '%s' are not supported", name);
    if (json_object_get(vocab, "<s>") && json_object_get(vocab, "</s>"))
        *class = ROBERTA;
    else if (json_object_get(vocab, "<|endoftext|>"))
        *class = GPT2;
    else
        return err_set(err, ERR_INPUT, "there is no tokenizer_class in tokenizer_config.json");
    return true;
}

/* ---- added tokens ---------------------------------------------------------- */

/* What is known of a token: a string, or an AddedToken's dictionary. */
static json_t *new_entry(const json_t *value, bool special)
{
    const char *const flags[] = { "single_word", "lstrip", "rstrip" };
    json_t *entry = json_object();
    for (size_t i = 0; i < LENGTH(flags); i++)
        json_object_set_new(entry, flags[i],
                            json_boolean(json_is_true(json_object_get(value, flags[i]))));
    const json_t *normalized = json_object_get(value, "normalized");
    json_object_set_new(entry, "special", json_boolean(special));
    json_object_set_new(entry, "normalized",
                        json_boolean(normalized ? json_is_true(normalized) : !special));
    return entry;
}

/* A token that has a special name; what is known of it already stays. */
static void add_special(json_t *entries, const json_t *value)
{
    const json_t *content = json_is_object(value) ? json_object_get(value, "content") : value;
    if (!json_is_string(content))
        return;
    const char *token = json_string_value(content);
    json_t *entry = json_object_get(entries, token);
    if (!entry) {
        json_object_set_new(entries, token, new_entry(value, true));
    } else if (!json_is_true(json_object_get(entry, "special"))) {
        json_object_set_new(entry, "special", json_true());
        json_object_set_new(entry, "normalized", json_false());
    }
}

static void add_listed(json_t *entries, const TokenizerFiles *files)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(files->config, "added_tokens_decoder"), key, value)
    {
        const char *content = json_string_value(json_object_get(value, "content"));
        if (!content)
            continue;
        json_t *entry = new_entry(value, json_is_true(json_object_get(value, "special")));
        json_object_set_new(entry, "id", json_integer(atoll(key)));
        json_object_set_new(entries, content, entry);
    }
    json_object_foreach(files->added, key, value)
    {
        if (!json_object_get(entries, key))
            json_object_set_new(entries, key, new_entry(NULL, false));
        json_object_set(json_object_get(entries, key), "id", value);
    }
}

static void add_named(json_t *entries, Class class, const TokenizerFiles *files)
{
    const json_t *const all[] = { files->config, files->specials };
    for (size_t i = 0; i < classes[class].count; i++) {
        const ClassName *name = &classes[class].names[i];
        const json_t *value = json_object_get(files->config, name->key);
        if (!value)
            value = json_object_get(files->specials, name->key);
        json_t *fallback = json_string(name->token);
        add_special(entries, value ? value : fallback);
        json_decref(fallback);
    }
    for (size_t i = 0; i < LENGTH(all); i++) {
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)all[i], key, value)
        {
            if (text_ends(key, "_token") && !(i == 1 && json_object_get(files->config, key)))
                add_special(entries, value);
            if (strcmp(key, "additional_special_tokens") == 0)
                for (size_t k = 0; k < json_array_size(value); k++)
                    add_special(entries, json_array_get(value, k));
        }
    }
}

static int by_id(const void *left, const void *right)
{
    const json_t *const *a = left, *const *b = right;
    const json_int_t x = json_integer_value(json_object_get(*a, "id"));
    const json_int_t y = json_integer_value(json_object_get(*b, "id"));
    return x < y ? -1 : x > y;
}

/* The list as tokenizer.json has it; tokens without an id get the next free ones. */
static json_t *added_tokens(const json_t *vocab, Class class, const TokenizerFiles *files)
{
    json_t *entries = json_object();
    add_listed(entries, files);
    add_named(entries, class, files);
    const size_t count = json_object_size(entries);
    const json_t **sorted = xcalloc(count + 1, sizeof(sorted[0]));
    json_int_t next = (json_int_t)json_object_size(vocab);
    const char *content;
    json_t *entry;
    json_object_foreach(entries, content, entry)
    {
        const json_int_t id = json_integer_value(json_object_get(entry, "id"));
        next = id >= next ? id + 1 : next;
    }
    size_t n = 0;
    json_object_foreach(entries, content, entry)
    {
        json_t *known = json_object_get(vocab, content);
        if (known)
            json_object_set(entry, "id", known);
        else if (!json_object_get(entry, "id"))
            json_object_set_new(entry, "id", json_integer(next++));
        json_object_set_new(entry, "content", json_string(content));
        sorted[n++] = entry;
    }
    qsort((void *)(uintptr_t)sorted, n, sizeof(sorted[0]), by_id);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append(list, (json_t *)(uintptr_t)sorted[i]);
    free((void *)(uintptr_t)sorted);
    json_decref(entries);
    return list;
}

/* ---- the whole ------------------------------------------------------------- */

static json_t *read_merges(const char *data, size_t size)
{
    json_t *list = json_array();
    for (size_t at = 0; at < size;) {
        const char *end = memchr(data + at, '\n', size - at);
        const size_t next = end ? (size_t)(end - data) + 1 : size;
        size_t n = (end ? next - 1 : size) - at;
        if (n > 0 && data[at + n - 1] == '\r')
            n--;
        json_t *merge = json_stringn(data + at, n); /* NULL: not UTF-8, refused by BPE */
        if (n > 0)
            json_array_append_new(list, merge ? merge : json_null());
        at = next;
    }
    return list;
}

/* [content, id], as RobertaProcessing has it. */
static json_t *named(const json_t *vocab, const char *key, const char *fallback,
                     const TokenizerFiles *files)
{
    const json_t *value = json_object_get(files->config, key);
    if (!value)
        value = json_object_get(files->specials, key);
    if (json_is_object(value))
        value = json_object_get(value, "content");
    const char *token = json_is_string(value) ? json_string_value(value) : fallback;
    const json_int_t id = json_integer_value(json_object_get(vocab, token));
    return json_pack("[s, I]", token, id);
}

static json_t *byte_level(bool prefix, bool regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", prefix,
                     "trim_offsets", 1, "use_regex", regex);
}

json_t *vocab_json_as_json(const char *path, json_t *vocab, const char *merges, size_t size,
                           const TokenizerFiles *files, Err *err)
{
    Class class = GPT2;
    const bool prefix = json_get_bool(files->config, "add_prefix_space", false, err);
    if (!json_is_object(vocab))
        err_set(err, ERR_INPUT, "not a JSON object");
    if (err->kind != ERR_NONE || !find_class(&class, vocab, files->config, err)) {
        err_at(err, "%s", path);
        return NULL;
    }
    json_t *whole = json_pack("{s:o, s:o, s:{s:s, s:O, s:o}}", "added_tokens",
                              added_tokens(vocab, class, files), "decoder", byte_level(true, true),
                              "model", "type", "BPE", "vocab", vocab, "merges",
                              read_merges(merges, size));
    REQUIRE(whole);
    if (class == QWEN2) {
        json_object_set_new(whole, "normalizer", json_pack("{s:s}", "type", "NFC"));
        json_object_set_new(
            whole, "pre_tokenizer",
            json_pack("{s:s, s:[{s:s, s:{s:s}, s:s}, o]}", "type", "Sequence", "pretokenizers",
                      "type", "Split", "pattern", "Regex", QWEN2_SPLIT, "behavior", "Isolated",
                      byte_level(prefix, false)));
    } else {
        json_object_set_new(whole, "pre_tokenizer", byte_level(prefix, true));
    }
    if (class == ROBERTA)
        json_object_set_new(
            whole, "post_processor",
            json_pack("{s:s, s:o, s:o, s:b, s:b}", "type", "RobertaProcessing", "sep",
                      named(vocab, "sep_token", "</s>", files), "cls",
                      named(vocab, "cls_token", "<s>", files), "trim_offsets", 1,
                      "add_prefix_space", prefix));
    return whole;
}
