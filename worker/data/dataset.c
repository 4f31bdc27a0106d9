#include "worker/data/dataset.h"

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "worker/data/cache.h"
#include "worker/data/records.h"

#include <stdlib.h>
#include <string.h>

/* ---- growing arrays while rows are encoded ---------------------------------- */

typedef struct Builder {
    const DatasetOptions *options;
    const ModelArch *arch;
    const Tokenizer *tokenizer;
    Encoding encoding;
    Text start, ids, types, goal; /* arrays as bytes */
    int64_t count, tokens, longest, skipped;
    int64_t in_file; /* rows of the current file */
    Err first_bad;
} Builder;

/* "negative, neutral, positive", for errors. */
static void list_labels(const ModelArch *arch, Err *bad)
{
    Text names = { 0 };
    for (int64_t i = 0; i < arch->labels && i < 20; i++)
        text_addf(&names, "%s%s", i ? ", " : "", arch->label_names[i]);
    err_hint(bad, "the labels are %s (or their numbers from 0); set `labels:` in the run file", names.data);
    text_release(&names);
}

static bool parse_class(float *goal, const ModelArch *arch, const char *label, Err *bad)
{
    for (int64_t i = 0; i < arch->labels; i++) {
        if (strcmp(arch->label_names[i], label) == 0) {
            *goal = (float)i;
            return true;
        }
    }
    char *rest;
    const long long number = strtoll(label, &rest, 10);
    if (rest != label && *rest == '\0' && number >= 0 && number < arch->labels) {
        *goal = (float)number;
        return true;
    }
    err_set(bad, ERR_INPUT, "'%s' is not one of the %lld labels", label, (long long)arch->labels);
    list_labels(arch, bad);
    return false;
}

static bool parse_real(float *goal, const char *label, Err *bad)
{
    char *rest;
    *goal = strtof(label, &rest);
    if (rest != label && *rest == '\0' && *goal - *goal == 0.0f)
        return true;
    return err_set(bad, ERR_INPUT, "'%s' is not a number", label);
}

/* A list of 0 and 1, one a label; or a list of label names. */
static bool parse_many(float *goal, const ModelArch *arch, const json_t *value, Err *bad)
{
    memset(goal, 0, (size_t)arch->labels * sizeof *goal);
    if (!json_is_array(value)) {
        err_set(bad, ERR_INPUT, "the label of a multi-label row must be a list");
        return err_hint(bad, "[0, 1, 0] or a list of label names, in a .jsonl file");
    }
    const bool names = json_array_size(value) > 0 && json_is_string(json_array_get(value, 0));
    if (!names && (int64_t)json_array_size(value) != arch->labels)
        return err_set(bad, ERR_INPUT, "the label has %zu numbers, there are %lld labels",
                       json_array_size(value), (long long)arch->labels);
    size_t i;
    json_t *v;
    json_array_foreach(value, i, v) {
        float at;
        if (names) {
            if (!json_is_string(v) || !parse_class(&at, arch, json_string_value(v), bad))
                return bad->kind != ERR_NONE ? false : err_set(bad, ERR_INPUT, "a label is not a name");
            goal[(int64_t)at] = 1.0f;
        } else {
            goal[i] = (float)json_number_value(v);
            if (!json_is_number(v) || goal[i] < 0.0f || goal[i] > 1.0f)
                return err_set(bad, ERR_INPUT, "number %zu of the label is not between 0 and 1", i + 1);
        }
    }
    return true;
}

static bool parse_goal(float *goal, const Builder *b, const Record *r, Err *bad)
{
    if (!b->options->labelled) {
        memset(goal, 0, (size_t)(b->arch->problem == PROBLEM_MULTI_LABEL ? b->arch->labels : 1) * sizeof *goal);
        return true;
    }
    if (b->arch->problem == PROBLEM_MULTI_LABEL)
        return parse_many(goal, b->arch, r->label_json, bad);
    if (!r->label)
        return err_set(bad, ERR_INPUT, "the row has no label");
    return b->arch->problem == PROBLEM_REGRESSION ? parse_real(goal, r->label, bad)
                                                  : parse_class(goal, b->arch, r->label, bad);
}

static bool encode(Builder *b, const Record *r, float *goal, Err *bad)
{
    if (!parse_goal(goal, b, r, bad))
        return false;
    if (!tokenizer_encode(b->tokenizer, r->text, r->text_size, r->pair, r->pair_size,
                          b->options->max_length, &b->encoding, bad))
        return false;
    for (int64_t i = 0; i < b->encoding.count; i++)
        if (b->encoding.ids[i] < 0 || b->encoding.ids[i] >= b->arch->V)
            return err_set(bad, ERR_INPUT, "the tokenizer gives id %d, the model has %lld words",
                           b->encoding.ids[i], (long long)b->arch->V);
    return true;
}

static bool add_row(void *self, const Record *r, Err *bad, Err *err)
{
    Builder *b = self;
    if (b->options->limit >= 0 && b->in_file >= b->options->limit)
        return true;
    b->in_file++;
    const int64_t width = b->arch->problem == PROBLEM_MULTI_LABEL ? b->arch->labels : 1;
    float *goal = xmalloc((size_t)width * sizeof *goal);
    if (bad->kind == ERR_NONE && !encode(b, r, goal, bad))
        err_at(bad, r->line > 0 ? "%s:%lld" : "%s", r->file, (long long)r->line);
    if (bad->kind == ERR_NONE) {
        const Encoding *e = &b->encoding;
        text_add(&b->start, (const char *)&b->tokens, sizeof b->tokens);
        text_add(&b->ids, (const char *)e->ids, (size_t)e->count * sizeof *e->ids);
        if (b->arch->types > 0)
            text_add(&b->types, (const char *)e->types, (size_t)e->count * sizeof *e->types);
        text_add(&b->goal, (const char *)goal, (size_t)width * sizeof *goal);
        b->tokens += e->count;
        b->longest = e->count > b->longest ? e->count : b->longest;
        b->count++;
    } else if (b->options->skip_bad_rows) {
        b->skipped++;
    } else {
        *err = *bad;
    }
    free(goal);
    return err->kind == ERR_NONE;
}

static bool build(Dataset *data, Builder *b, Err *err)
{
    const DatasetOptions *o = b->options;
    const RecordColumns columns = { o->text, o->text_pair, o->label, o->labelled };
    for (int i = 0; i < o->files->count; i++) {
        const int64_t before = b->count + b->skipped;
        b->in_file = 0;
        Err bad = { 0 };
        if (!records_read(o->files->items[i], &columns, add_row, b, &bad)) {
            *err = bad;
            return false;
        }
        if (b->count + b->skipped == before) {
            err_set(err, ERR_INPUT, "there are no examples in it");
            return err_at(err, "%s", o->files->items[i]);
        }
    }
    if (b->count == 0)
        return err_set(err, ERR_INPUT, "none of the %lld rows can be used", (long long)b->skipped);
    text_add(&b->start, (const char *)&b->tokens, sizeof b->tokens);
    const CacheParts parts = {
        .count = b->count,
        .goal_width = b->arch->problem == PROBLEM_MULTI_LABEL ? b->arch->labels : 1,
        .tokens = b->tokens,
        .longest = b->longest,
        .skipped = b->skipped,
        .start = (const int64_t *)(const void *)b->start.data,
        .ids = (const int32_t *)(const void *)b->ids.data,
        .types = (const int32_t *)(const void *)b->types.data,
        .goal = (const float *)(const void *)b->goal.data,
    };
    return cache_pack(data, &parts, err);
}

/* ---- the cache's key: content of the files, and all that encoding depends on -- */

static bool add_path(uint64_t *key, const char *path, Err *err)
{
    if (file_is_folder(path)) {
        size_t count;
        char **names = folder_list(path, &count, err);
        bool ok = names != NULL;
        for (size_t i = 0; i < count; i++) {
            char *inside = path_join(path, names[i]);
            *key = digest_fast_more(*key, names[i], strlen(names[i]) + 1);
            ok = ok && add_path(key, inside, err);
            free(inside);
            free(names[i]);
        }
        free(names);
        return ok;
    }
    FileMap map;
    if (!file_map(&map, path, err))
        return false;
    *key = digest_fast_more(*key, map.data, map.size);
    file_unmap(&map);
    return true;
}

static bool content_key(uint64_t *key, const DatasetOptions *o, const ModelArch *arch,
                        const Tokenizer *tokenizer, Err *err)
{
    Text words = { 0 };
    text_addf(&words, "%s\n%s\n%s\n%lld %lld %d %d %d %lld", o->text, o->text_pair ? o->text_pair : "",
              o->label ? o->label : "", (long long)o->max_length, (long long)o->limit, o->skip_bad_rows,
              o->labelled, (int)arch->problem, (long long)arch->types);
    for (int64_t i = 0; i < arch->labels; i++)
        text_addf(&words, "\n%s", arch->label_names[i]);
    *key = digest_fast_more(tokenizer_digest(tokenizer), words.data, words.size);
    text_release(&words);
    for (int i = 0; i < o->files->count; i++) {
        /* the ending says how a file is read */
        const char *name = path_name(o->files->items[i]);
        const char *dot = strrchr(name, '.');
        *key = digest_fast_more(*key, dot ? dot : "", dot ? strlen(dot) : 0);
        if (!add_path(key, o->files->items[i], err))
            return false;
    }
    return true;
}

bool dataset_open(Dataset *data, const DatasetOptions *options, const ModelArch *arch,
                  const Tokenizer *tokenizer, Err *err)
{
    *data = (Dataset){ 0 };
    uint64_t key;
    if (!content_key(&key, options, arch, tokenizer, err))
        return false;
    if (cache_open(data, key))
        return true;
    Builder b = { .options = options, .arch = arch, .tokenizer = tokenizer };
    const bool ok = build(data, &b, err) && cache_save(data, key, err);
    encoding_release(&b.encoding);
    text_release(&b.start);
    text_release(&b.ids);
    text_release(&b.types);
    text_release(&b.goal);
    if (!ok)
        dataset_release(data);
    return ok;
}

/* ---- labels found in the data -------------------------------------------------- */

static bool add_label(void *self, const Record *r, Err *bad, Err *err)
{
    (void)err;
    StringList *names = self;
    if (bad->kind != ERR_NONE || !r->label)
        return true;
    for (int i = 0; i < names->count; i++)
        if (strcmp(names->items[i], r->label) == 0)
            return true;
    names->items = xrealloc(names->items, (size_t)(names->count + 1) * sizeof *names->items);
    names->items[names->count++] = xstrdup(r->label);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_number(const void *a, const void *b)
{
    const long long x = strtoll(*(char *const *)a, NULL, 10), y = strtoll(*(char *const *)b, NULL, 10);
    return (x > y) - (x < y);
}

bool dataset_labels(const DatasetOptions *options, StringList *names, Err *err)
{
    const RecordColumns columns = { options->text, options->text_pair, options->label, true };
    for (int i = 0; i < options->files->count; i++)
        if (!records_read(options->files->items[i], &columns, add_label, names, err))
            return false;
    bool numbers = true;
    for (int i = 0; i < names->count; i++)
        numbers = numbers && names->items[i][0] && strspn(names->items[i], "0123456789") == strlen(names->items[i]);
    qsort(names->items, (size_t)names->count, sizeof *names->items, numbers ? by_number : by_name);
    return true;
}

int64_t dataset_split(const Dataset *data, double share, uint64_t seed, uint32_t *order)
{
    rng_torch_randperm(order, data->count, seed);
    int64_t other = (int64_t)(share * (double)data->count + 0.999999);
    if (other >= data->count)
        other = data->count - 1;
    return data->count - other;
}
