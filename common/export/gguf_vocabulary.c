#include "common/export/gguf_vocabulary.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Of tokenizer.ggml.token_type. */
enum { TOKEN_NORMAL = 1, TOKEN_UNKNOWN = 2, TOKEN_CONTROL = 3, TOKEN_USER = 4, TOKEN_UNUSED = 5, TOKEN_BYTE = 6 };

typedef struct Vocabulary {
    Gguf *out;
    const ModelArch *arch;
    const json_t *file, *model; /* tokenizer.json, and its model */
    char **tokens; /* [V], owned */
    int32_t *types; /* [V], owned */
    StringList merges; /* "a b", owned */
} Vocabulary;

static const char *word(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool is_type(const json_t *part, const char *type)
{
    return strcmp(word(part, "type"), type) == 0;
}

/* Files of the first releases do not say it: a BPE has merges, a WordPiece says how words go on. */
static const char *kind_of(const json_t *model)
{
    const char *type = word(model, "type");
    return type[0]                                               ? type
           : json_object_get(model, "merges")                    ? "BPE"
           : json_object_get(model, "continuing_subword_prefix") ? "WordPiece"
                                                                 : type;
}

static bool is_kind(const Vocabulary *v, const char *kind)
{
    return strcmp(kind_of(v->model), kind) == 0;
}

/* ---- tokens -------------------------------------------------------------------------- */

static bool set_token(Vocabulary *v, int64_t id, const char *token, int32_t type, Err *err)
{
    if (id < 0 || id >= v->arch->V)
        return err_set(err, ERR_INPUT, "tokenizer.json has the token '%s' with the id %lld, the model has %lld", token,
                       (long long)id, (long long)v->arch->V);
    free(v->tokens[id]);
    v->tokens[id] = xstrdup(token);
    v->types[id] = type;
    return true;
}

/* Ids that no token has are "[PAD12]", unused. */
static bool read_tokens(Vocabulary *v, Err *err)
{
    v->tokens = xcalloc((size_t)v->arch->V, sizeof *v->tokens);
    v->types = xcalloc((size_t)v->arch->V, sizeof *v->types);
    for (int64_t i = 0; i < v->arch->V; i++) {
        v->tokens[i] = xprintf("[PAD%lld]", (long long)i);
        v->types[i] = TOKEN_UNUSED;
    }
    const char *token;
    json_t *id, *added;
    json_object_foreach(json_object_get(v->model, "vocab"), token, id)
    {
        if (!set_token(v, json_integer_value(id), token, TOKEN_NORMAL, err))
            return false;
    }
    size_t i;
    json_array_foreach(json_object_get(v->file, "added_tokens"), i, added)
    {
        const bool special = json_is_true(json_object_get(added, "special"));
        if (!set_token(v, json_integer_value(json_object_get(added, "id")), word(added, "content"),
                       special ? TOKEN_CONTROL : TOKEN_USER, err))
            return false;
    }
    return true;
}

/* "a b", or ["a", "b"]. */
static void read_merges(Vocabulary *v)
{
    const json_t *list = json_object_get(v->model, "merges");
    const size_t count = json_array_size(list);
    v->merges.items = xcalloc(count + 1, sizeof *v->merges.items);
    for (size_t i = 0; i < count; i++) {
        const json_t *merge = json_array_get(list, i);
        const char *left = json_string_value(json_array_get(merge, 0)),
                   *right = json_string_value(json_array_get(merge, 1));
        const char *whole = json_string_value(merge);
        v->merges.items[v->merges.count++] =
            whole ? xstrdup(whole) : xprintf("%s %s", left ? left : "", right ? right : "");
    }
}

static int64_t id_of(const Vocabulary *v, const char *token)
{
    for (int64_t i = 0; i < v->arch->V; i++)
        if (v->types[i] != TOKEN_UNUSED && strcmp(v->tokens[i], token) == 0)
            return i;
    return -1;
}

/* ---- kinds of tokenizers ------------------------------------------------------------------ */

static void put_kind(Vocabulary *v, const char *model, const char *pre)
{
    gguf_put_string(v->out, "tokenizer.ggml.model", model);
    gguf_put_string(v->out, "tokenizer.ggml.pre", pre);
}

/* "##x" is "x", and what begins a word has a mark. */
static bool put_wordpiece(Vocabulary *v, Err *err)
{
    const json_t *normalizer = json_object_get(v->file, "normalizer");
    if (!is_type(normalizer, "BertNormalizer") || !json_is_true(json_object_get(normalizer, "lowercase"))) {
        err_set(err, ERR_INPUT, "a WordPiece vocabulary that keeps capitals has no GGUF form: llama.cpp lowers all");
        return err_hint(err, "--format=onnx");
    }
    for (int64_t i = 0; i < v->arch->V; i++) {
        if (v->types[i] == TOKEN_CONTROL || v->types[i] == TOKEN_UNUSED)
            continue;
        char *token =
            strncmp(v->tokens[i], "##", 2) == 0 ? xstrdup(v->tokens[i] + 2) : xprintf("\u2581%s", v->tokens[i]);
        free(v->tokens[i]);
        v->tokens[i] = token;
    }
    put_kind(v, "bert", "default");
    gguf_put_u32(v->out, "tokenizer.ggml.token_type_count", v->arch->types > 0 ? v->arch->types : 1);
    return true;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The rank of the first merge that makes each token: pairs of text and rank, sorted. */
typedef struct Made {
    char *text; /* owned */
    int64_t rank;
} Made;

static int made_order(const void *a, const void *b)
{
    const Made *x = a, *y = b;
    const int order = strcmp(x->text, y->text);
    return order != 0 ? order : (x->rank > y->rank) - (x->rank < y->rank);
}

/* Scores of SentencePiece: the earlier a merge, the higher; bytes 0; single letters below all merges. */
static void put_scores(Vocabulary *v)
{
    const int64_t V = v->arch->V;
    float *scores = xcalloc((size_t)V, sizeof *scores);
    Made *made = xcalloc((size_t)v->merges.count + 1, sizeof *made);
    for (int i = 0; i < v->merges.count; i++) {
        const char *merge = v->merges.items[i], *space = strchr(merge, ' ');
        const int left = space ? (int)(space - merge) : 0;
        made[i] = (Made){ xprintf("%.*s%s", left, merge, space ? space + 1 : merge), i };
    }
    bool other = false; /* an added token is none of Transformers' for spaces, and one of llama.cpp's */
    qsort(made, (size_t)v->merges.count, sizeof *made, made_order);
    for (int64_t i = 0; i < V; i++) {
        const char *token = v->tokens[i];
        size_t letters = 0;
        for (const char *c = token; *c; c++)
            letters += ((unsigned char)*c & 0xc0) != 0x80;
        const Made key = { v->tokens[i], 0 },
                   *found = bsearch(&key, made, (size_t)v->merges.count, sizeof *made, by_text);
        while (found && found > made && strcmp(found[-1].text, token) == 0)
            found--;
        other = other || (!found && v->types[i] == TOKEN_USER && strstr(token, "\u2581"));
        scores[i] = found ? -(float)found->rank : letters > 1 ? -1e6F : -(float)(v->merges.count + i);
        if (strlen(token) == 6 && strncmp(token, "<0x", 3) == 0) {
            v->types[i] = TOKEN_BYTE;
            scores[i] = 0;
        }
    }
    if (other)
        log_warn("export", "llama.cpp makes tokens of several spaces that no merge makes: such texts get other ids");
    gguf_put_f32s(v->out, "tokenizer.ggml.scores", scores, V);
    for (int i = 0; i < v->merges.count; i++)
        free(made[i].text);
    free(made);
    free(scores);
}

/* A mark is put before a text: by the normalizer, or by the pre-tokenizer. */
static bool puts_mark(const json_t *part)
{
    size_t i;
    json_t *inner;
    if (is_type(part, "Prepend") || (is_type(part, "Metaspace") && strcmp(word(part, "prepend_scheme"), "never") != 0))
        return true;
    json_array_foreach(json_object_get(part, "normalizers"), i, inner)
    {
        if (puts_mark(inner))
            return true;
    }
    json_array_foreach(json_object_get(part, "pretokenizers"), i, inner)
    {
        if (puts_mark(inner))
            return true;
    }
    return false;
}

static bool put_sentencepiece(Vocabulary *v, Err *err)
{
    (void)err;
    put_kind(v, "llama", "default");
    gguf_put_bool(v->out, "tokenizer.ggml.add_space_prefix",
                  puts_mark(json_object_get(v->file, "normalizer")) ||
                      puts_mark(json_object_get(v->file, "pre_tokenizer")));
    put_scores(v);
    const int64_t unknown = id_of(v, word(v->model, "unk_token"));
    if (unknown >= 0)
        v->types[unknown] = TOKEN_UNKNOWN;
    return true;
}

static const char qwen2_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
    "\\s+(?!\\S)|\\s+";
static const char llama3_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
    "\\s+(?!\\S)|\\s+";

/* The pattern that words are cut by, NULL: ByteLevel's own. */
static const char *byte_pattern(const json_t *pre)
{
    const json_t *parts = json_object_get(pre, "pretokenizers"), *first = json_array_get(parts, 0);
    return is_type(pre, "ByteLevel") ? NULL : word(json_object_get(first, "pattern"), "Regex");
}

static bool is_enclosing(const json_t *post)
{
    return is_type(post, "RobertaProcessing") || is_type(post, "BertProcessing");
}

/* Each digit by itself, then ByteLevel's own words. */
static bool cuts_digits(const json_t *pre)
{
    const json_t *parts = json_object_get(pre, "pretokenizers");
    const json_t *digits = json_array_get(parts, 0), *bytes = json_array_get(parts, 1);
    return json_array_size(parts) == 2 && is_type(digits, "Digits") &&
           json_is_true(json_object_get(digits, "individual_digits")) && is_type(bytes, "ByteLevel") &&
           !json_is_false(json_object_get(bytes, "use_regex")) &&
           !json_is_true(json_object_get(bytes, "add_prefix_space"));
}

static const char *pre_name(const Vocabulary *v)
{
    static const struct {
        const char *pattern, *name;
    } known[] = { { qwen2_pattern, "qwen2" }, { llama3_pattern, "llama-bpe" } };
    const json_t *pre = json_object_get(v->file, "pre_tokenizer");
    const char *pattern = byte_pattern(pre);
    if (cuts_digits(pre))
        return "starcoder";
    if (!pattern)
        return json_is_true(json_object_get(pre, "add_prefix_space"))     ? NULL
               : is_enclosing(json_object_get(v->file, "post_processor")) ? "roberta-bpe"
                                                                          : "gpt-2";
    for (size_t i = 0; i < LENGTH(known); i++)
        if (strcmp(pattern, known[i].pattern) == 0)
            return known[i].name;
    return NULL;
}

static bool put_byte_level(Vocabulary *v, Err *err)
{
    const char *pre = pre_name(v);
    if (!pre) {
        err_set(err, ERR_INPUT, "llama.cpp has no pre-tokenizer that cuts words as this tokenizer.json does");
        return err_hint(err, "--format=onnx");
    }
    if (is_type(json_object_get(v->file, "normalizer"), "NFC"))
        log_warn("export", "llama.cpp does not compose letters (NFC): texts with decomposed ones get other ids");
    put_kind(v, "gpt2", pre);
    if (v->arch->types > 0)
        gguf_put_u32(v->out, "tokenizer.ggml.token_type_count", v->arch->types);
    gguf_put_strings(v->out, "tokenizer.ggml.merges", (const char *const *)v->merges.items, v->merges.count);
    return true;
}

/* ---- special tokens ------------------------------------------------------------------------- */

/* The special token before (or behind) a single text; NULL: none. */
static const char *around(const json_t *post, bool behind)
{
    const json_t *single = json_object_get(post, "single");
    const size_t count = json_array_size(single);
    const json_t *end = count > 0 ? json_array_get(single, behind ? count - 1 : 0) : NULL;
    return json_string_value(json_object_get(json_object_get(end, "SpecialToken"), "id"));
}

static bool is_token(const Vocabulary *v, const char *token, int64_t id)
{
    return token && id >= 0 && id < v->arch->V && strcmp(v->tokens[id], token) == 0;
}

/* A template may hold others (Llamas of a Sequence of processors). */
static const json_t *template_of(const json_t *post)
{
    size_t i;
    json_t *part;
    json_array_foreach(json_object_get(post, "processors"), i, part)
    {
        if (is_type(part, "TemplateProcessing"))
            return part;
    }
    return post;
}

static void put_special(Vocabulary *v, const char *name, int64_t id)
{
    char *key = xprintf("tokenizer.ggml.%s_token_id", name);
    if (id >= 0 && id < v->arch->V)
        gguf_put_u32(v->out, key, id);
    free(key);
}

static bool put_specials(Vocabulary *v, Err *err)
{
    static const struct {
        const char *name, *token;
    } pieces[] = {
        { "unknown", "[UNK]" }, { "seperator", "[SEP]" }, { "cls", "[CLS]" }, { "mask", "[MASK]" }, { "bos", "[CLS]" }
    };
    put_special(v, "eos", v->arch->eos_id);
    put_special(v, "padding", v->arch->pad_id);
    if (is_kind(v, "WordPiece")) {
        for (size_t i = 0; i < LENGTH(pieces); i++) {
            const int64_t id = id_of(v, pieces[i].token);
            if (id < 0)
                return err_set(err, ERR_INPUT, "tokenizer.json has no token '%s'", pieces[i].token);
            put_special(v, pieces[i].name, id);
        }
        return true;
    }
    const json_t *own = json_object_get(v->file, "post_processor"), *post = template_of(own);
    const char *before = around(post, false), *behind = around(post, true);
    const bool enclosing = is_enclosing(own);
    const bool begins = enclosing || is_token(v, before, v->arch->bos_id);
    const bool ends = enclosing || is_token(v, behind, v->arch->eos_id);
    if ((before && !begins) || (behind && !ends)) {
        err_set(err, ERR_INPUT, "tokenizer.json puts '%s' around texts, which is neither bos_token_id nor eos_token_id",
                before && !begins ? before : behind);
        return err_hint(err, "--format=onnx");
    }
    put_special(v, "bos", v->arch->bos_id);
    put_special(v, "eot",
                json_integer_value(json_array_get(json_object_get(v->arch->config, "eos_token_id"), 1))
                    ? json_integer_value(json_array_get(json_object_get(v->arch->config, "eos_token_id"), 1))
                    : -1);
    gguf_put_bool(v->out, "tokenizer.ggml.add_bos_token", begins);
    gguf_put_bool(v->out, "tokenizer.ggml.add_eos_token", ends);
    return true;
}

/* ---- all ------------------------------------------------------------------------------------ */

static bool put_all(Vocabulary *v, Err *err)
{
    const bool pieces = is_kind(v, "WordPiece"), pairs = is_kind(v, "BPE");
    if (!pieces && !pairs) {
        err_set(err, ERR_INPUT, "a tokenizer of the kind '%s' has no GGUF form here", kind_of(v->model));
        return err_hint(err, "--format=onnx");
    }
    const bool bytes = json_is_true(json_object_get(v->model, "byte_fallback"));
    if (!read_tokens(v, err))
        return false;
    read_merges(v);
    if (!put_specials(v, err) || !(pieces  ? put_wordpiece(v, err)
                                   : bytes ? put_sentencepiece(v, err)
                                           : put_byte_level(v, err)))
        return false;
    gguf_put_strings(v->out, "tokenizer.ggml.tokens", (const char *const *)v->tokens, v->arch->V);
    gguf_put_i32s(v->out, "tokenizer.ggml.token_type", v->types, v->arch->V);
    return true;
}

static bool put_template(Gguf *g, const char *folder, Err *err)
{
    char *path = path_join(folder, "chat_template.jinja"), *settings = path_join(folder, "tokenizer_config.json");
    json_t *config = file_exists(settings) ? json_file(settings, err) : NULL;
    char *own = file_exists(path) ? file_read(path, NULL, err) : NULL;
    const char *text = own ? own : json_string_value(json_object_get(config, "chat_template"));
    if (text)
        gguf_put_string(g, "tokenizer.chat_template", text);
    free(own);
    json_decref(config);
    free(settings);
    free(path);
    return err->kind == ERR_NONE;
}

bool gguf_vocabulary(Gguf *g, const ModelArch *arch, Err *err)
{
    char *path = path_join(arch->folder, "tokenizer.json");
    json_t *file = json_file(path, err);
    Vocabulary v = { .out = g, .arch = arch, .file = file, .model = json_object_get(file, "model") };
    const bool ok = file && (put_all(&v, err) || err_at(err, "%s", path)) && put_template(g, arch->folder, err);
    for (int64_t i = 0; v.tokens && i < arch->V; i++)
        free(v.tokens[i]);
    for (int i = 0; i < v.merges.count; i++)
        free(v.merges.items[i]);
    free(v.merges.items);
    free(v.tokens);
    free(v.types);
    json_decref(file);
    free(path);
    return ok;
}
