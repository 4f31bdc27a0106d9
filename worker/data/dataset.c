#include "worker/data/dataset.h"

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "worker/data/cache.h"
#include "worker/data/labels.h"
#include "worker/data/rows.h"

#include <stdlib.h>
#include <string.h>

RecordColumns dataset_columns(const DatasetOptions *o)
{
    const bool listed = o->kind == ROWS_COLUMNS; /* then their texts have no other names */
    return (RecordColumns){ .kind = o->kind,
                            .text = listed ? NULL : o->text,
                            .pair = listed ? NULL : o->text_pair,
                            .label = o->label,
                            .tokens = o->tokens,
                            .tags = o->tags,
                            .messages = o->messages,
                            .by = o->by,
                            .labelled = o->labelled,
                            .texts = listed ? o->columns : NULL,
                            .form = o->form };
}

/* How a file is read: of several tasks by the columns of its own. */
static DatasetOptions options_of(const DatasetOptions *o, int file)
{
    DatasetOptions part = *o;
    const DataTask *task = o->tasks ? &o->tasks->items[o->task_of[file]] : NULL;
    if (task) {
        part.text = task->text;
        part.text_pair = task->text_pair;
        part.label = task->label;
        part.task = task;
    }
    return part;
}

/* ---- files become examples ---------------------------------------------------- */

typedef struct Builder {
    Examples examples;
    int64_t read, skipped; /* rows of files: used, left out */
    int64_t anothers; /* that are not by_whom's */
    int64_t in_file; /* of the current file */
    Err first_bad; /* why the first of those left out was */
    DatasetOptions part; /* of the current file */
} Builder;

static void place(Err *bad, const Record *r)
{
    if (!bad->where[0])
        err_at(bad, r->line > 0 ? "%s:%lld" : "%s", r->file, (long long)r->line);
}

static bool is_anothers(const DatasetOptions *o, const Record *r)
{
    const size_t n = o->by ? strlen(o->by_whom) : 0;
    return o->by && (!r->by || r->by_size != n || memcmp(r->by, o->by_whom, n) != 0);
}

static bool add_row(void *self, const Record *r, Err *bad, Err *err)
{
    Builder *b = self;
    const DatasetOptions *o = b->examples.options;
    if (o->limit >= 0 && b->in_file >= o->limit)
        return true;
    b->in_file++;
    if (is_anothers(o, r)) {
        b->anothers++;
        return true;
    }
    if (bad->kind == ERR_NONE && rows_add(&b->examples, r, bad)) {
        b->read++;
        return true;
    }
    place(bad, r);
    if (b->skipped == 0)
        b->first_bad = *bad;
    if (o->skip_bad_rows)
        b->skipped++;
    else
        *err = *bad;
    return o->skip_bad_rows;
}

static bool nothing(const Builder *b, Err *err)
{
    if (b->examples.options->kind == ROWS_BLOCKS && b->read > 0) {
        err_set(err, ERR_INPUT, "the text has %lld tokens, fewer than one block", (long long)b->examples.corpus.count);
        return err_hint(err, "lower data.block_size (it is %lld)", (long long)b->examples.options->block_size);
    }
    *err = b->first_bad;
    return err_set(err, ERR_INPUT, "none of the %lld rows can be used; the first: %s", (long long)b->skipped,
                   b->first_bad.what);
}

static bool pack(Dataset *data, Builder *b, Err *err)
{
    Examples *x = &b->examples;
    Text notes = { 0 };
    int64s_put(&x->start, x->tokens);
    if (x->options->kind == ROWS_QUESTIONS)
        questions_pack(&x->questions, &notes);
    const CacheParts parts = {
        .count = x->count,
        .goal_width = label_width(x->arch),
        .tokens = x->tokens,
        .longest = x->longest,
        .skipped = b->skipped,
        .shared = x->shared,
        .start = x->start.data,
        .ids = x->ids.data,
        .types = x->types.data,
        .goal = x->goal.data,
        .token_goal = x->token_goal.data,
        .image_at = x->image_at.data,
        .images = x->images.data,
        .image_bytes = (int64_t)x->images.size,
        .notes = notes.data,
        .note_bytes = (int64_t)notes.size,
    };
    const bool ok = cache_pack(data, &parts, err);
    text_release(&notes);
    return ok;
}

static bool is_empty(const char *path, Err *err)
{
    err_set(err, ERR_INPUT, "there are no examples in it");
    return err_at(err, "%s", path);
}

static bool build(Dataset *data, Builder *b, Err *err)
{
    const DatasetOptions *o = b->examples.options;
    for (int i = 0; i < o->files->count; i++) {
        b->part = options_of(o, i);
        b->examples.options = &b->part;
        const RecordColumns columns = dataset_columns(&b->part);
        const int64_t before = b->read + b->skipped + b->anothers;
        b->in_file = 0;
        b->examples.file = i;
        Err bad = { 0 };
        if (!records_read(o->files->items[i], &columns, add_row, b, &bad)) {
            *err = bad;
            return false;
        }
        if (b->read + b->skipped + b->anothers == before)
            return is_empty(o->files->items[i], err);
    }
    return b->examples.count > 0 ? pack(data, b, err) : nothing(b, err);
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

/* Counts how often readers and rows have changed what they make of a file. */
enum { RULES = 2 };

/* What the options and the model say about encoding, as a text. */
static void describe(const DatasetOptions *o, const ModelArch *arch, Text *words)
{
    const char *const names[] = {
        o->text, o->text_pair, o->label, o->tokens, o->tags, o->messages, o->form, o->system
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        text_addf(words, "%s\n", names[i] ? names[i] : "");
    text_addf(words, "%d %d %lld %lld %lld %d %d %d %lld %lld %lld", RULES, (int)o->kind, (long long)o->max_length,
              (long long)o->block_size, (long long)o->limit, o->skip_bad_rows, o->labelled, (int)arch->head.problem,
              (long long)arch->types, (long long)arch->image_size, (long long)arch->patch);
    for (int i = 0; o->kind == ROWS_COLUMNS && i < o->columns->count; i++)
        text_addf(words, "\n%s", o->columns->items[i]);
    if (o->by)
        text_addf(words, "\n%s\n%s", o->by, o->by_whom);
    if (o->kind == ROWS_SOURCES)
        text_addf(words, " %lld %lld", (long long)o->max_target_length, (long long)arch->start_id);
    if (o->kind == ROWS_QUESTIONS)
        text_addf(words, " %lld %d %d", (long long)o->doc_stride, o->padded, o->impossible);
    for (int64_t i = 0; arch->head.label_names && i < arch->head.labels; i++)
        text_addf(words, "\n%s", arch->head.label_names[i]);
    for (int i = 0; o->tasks && i < o->files->count; i++) {
        const DataTask *task = &o->tasks->items[o->task_of[i]];
        text_addf(words, "\n%s\n%s\n%s\n%s", task->name, task->text, task->text_pair ? task->text_pair : "",
                  task->label);
    }
}

/* The chat template lies in one of these. */
static bool add_template(uint64_t *key, const ModelArch *arch, Err *err)
{
    static const char *const names[] = { "chat_template.jinja", "tokenizer_config.json" };
    bool ok = true;
    for (int i = 0; ok && i < 2; i++) {
        char *path = path_join(arch->folder, names[i]);
        ok = !file_exists(path) || add_path(key, path, err);
        free(path);
    }
    return ok;
}

static bool content_key(uint64_t *key, const DatasetOptions *o, const ModelArch *arch, const Tokenizer *tokenizer,
                        Err *err)
{
    Text words = { 0 };
    describe(o, arch, &words);
    *key = digest_fast_more(tokenizer ? tokenizer_digest(tokenizer) : 0, words.data, words.size);
    text_release(&words);
    if (o->kind == ROWS_MESSAGES && !add_template(key, arch, err))
        return false;
    for (int i = 0; i < o->files->count; i++) {
        /* the ending says how a file is read */
        const char *path = o->files->items[i], *ending = NULL;
        if (!(ending = records_format(path, o->kind, err)))
            return false;
        *key = digest_fast_more(*key, ending, strlen(ending));
        if (!add_path(key, path, err))
            return false;
    }
    return true;
}

/* ---- opening ---------------------------------------------------------------------- */

static bool fits(const char *key, int64_t length, const ModelArch *arch, Err *err)
{
    if (length <= arch->positions)
        return true;
    err_set(err, ERR_INPUT, "%s is %lld, the model has %lld positions", key, (long long)length,
            (long long)arch->positions);
    return err_hint(err, "set %s to %lld or less", key, (long long)arch->positions);
}

static bool check_length(const DatasetOptions *o, const ModelArch *arch, Err *err)
{
    if (o->kind == ROWS_IMAGES)
        return true;
    if (o->kind == ROWS_BLOCKS)
        return fits("data.block_size", o->block_size, arch, err);
    return fits("data.max_length", o->max_length, arch, err) &&
           (o->kind != ROWS_SOURCES || fits("data.max_target_length", o->max_target_length, arch, err));
}

bool dataset_open(Dataset *data, const DatasetOptions *options, const ModelArch *arch, const Tokenizer *tokenizer,
                  Err *err)
{
    *data = (Dataset){ 0 };
    uint64_t key;
    if (!check_length(options, arch, err) || !content_key(&key, options, arch, tokenizer, err))
        return false;
    const int64_t columns = options->kind == ROWS_COLUMNS ? options->columns->count : 1;
    if (cache_open(data, key)) {
        data->columns = columns;
        return true;
    }
    ChatTemplate *chat = NULL;
    if (options->kind == ROWS_MESSAGES && !(chat = chat_template_open(arch->folder, NULL, err)))
        return false;
    Builder b = { .examples = { .options = options, .arch = arch, .tokenizer = tokenizer, .chat = chat } };
    const bool ok = build(data, &b, err) && cache_save(data, key, err);
    examples_release(&b.examples);
    chat_template_close(chat);
    if (!ok)
        dataset_release(data);
    data->columns = columns;
    return ok;
}

bool dataset_can_keep(const DatasetOptions *options, const ModelArch *arch, const Tokenizer *tokenizer, Err *err)
{
    uint64_t key;
    Dataset kept = { 0 };
    Err none = { 0 };
    if (cache_check(err))
        return true;
    const bool is = content_key(&key, options, arch, tokenizer, &none) && cache_open(&kept, key);
    dataset_release(&kept);
    if (is)
        *err = (Err){ 0 };
    return is;
}

const int64_t *dataset_groups(const Dataset *data)
{
    return data->notes ? questions_view(data->notes).of : NULL;
}

/* ---- parts ---------------------------------------------------------------------- */

int64_t dataset_split(int64_t count, double share, uint64_t seed, uint32_t *order)
{
    rng_torch_randperm(order, count, seed);
    int64_t other = (int64_t)(share * (double)count + 0.999999);
    if (other >= count)
        other = count - 1;
    return count - other;
}

/* ---- a look at the first rows ------------------------------------------------------- */

typedef struct Probe {
    Examples examples;
    bool seen;
} Probe;

static bool probe_row(void *self, const Record *r, Err *bad, Err *err)
{
    Probe *p = self;
    p->seen = true;
    if ((bad->kind == ERR_NONE && rows_add(&p->examples, r, bad)) || p->examples.options->skip_bad_rows)
        return false; /* one is enough */
    place(bad, r);
    *err = *bad;
    return false;
}

static bool probe_file(Probe *p, const char *path, Err *err)
{
    const DatasetOptions *all = p->examples.options, part = options_of(all, p->examples.file);
    const RecordColumns columns = dataset_columns(&part);
    Err bad = { 0 };
    p->seen = false;
    p->examples.options = &part;
    const bool read = records_read(path, &columns, probe_row, p, &bad);
    p->examples.options = all;
    if (!read && bad.kind != ERR_NONE) {
        *err = bad;
        return false;
    }
    return p->seen || is_empty(path, err);
}

bool dataset_probe(const DatasetOptions *options, const ModelArch *arch, const Tokenizer *tokenizer, Err *err)
{
    ChatTemplate *chat = NULL;
    if (!check_length(options, arch, err) ||
        (options->kind == ROWS_MESSAGES && !(chat = chat_template_open(arch->folder, NULL, err))))
        return false;
    Probe p = { .examples = { .options = options, .arch = arch, .tokenizer = tokenizer, .chat = chat } };
    bool ok = true;
    for (int i = 0; ok && i < options->files->count; i++) {
        p.examples.file = i;
        ok = probe_file(&p, options->files->items[i], err);
    }
    examples_release(&p.examples);
    chat_template_close(chat);
    return ok;
}
