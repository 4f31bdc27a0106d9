#include "worker/eval/generate.h"

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- options ------------------------------------------------------------------------- */

static void add_end(GenerateOptions *o, json_int_t id)
{
    for (int i = 0; i < o->end_count; i++)
        if (o->ends[i] == id)
            return;
    if (id >= 0 && id <= INT32_MAX && o->end_count < GENERATE_ENDS)
        o->ends[o->end_count++] = (int32_t)id;
}

/* "eos_token_id": a number or a list of them. False: the file does not say, or is not there. */
static bool add_ends(GenerateOptions *o, const char *folder, const char *name, Err *err)
{
    char *path = path_join(folder, name);
    json_t *file = file_exists(path) ? json_file(path, err) : NULL;
    const json_t *ends = json_object_get(file, "eos_token_id");
    if (json_is_integer(ends))
        add_end(o, json_integer_value(ends));
    for (size_t i = 0; i < json_array_size(ends); i++)
        if (json_is_integer(json_array_get(ends, i)))
            add_end(o, json_integer_value(json_array_get(ends, i)));
    const bool said = json_is_integer(ends) || json_array_size(ends) > 0;
    json_decref(file);
    free(path);
    return said;
}

bool generate_options(GenerateOptions *options, const DataConfig *d, uint64_t seed, const ModelArch *arch,
                      int64_t positions, const Tokenizer *tokenizer, Err *err)
{
    const bool two = arch->head.task->two_texts; /* a target has positions of its own, one for what it begins behind */
    const int64_t most = two && d->max_new_tokens >= arch->positions ? arch->positions - 1 : d->max_new_tokens;
    *options = (GenerateOptions){
        .sample = { d->do_sample, d->temperature, d->top_p, d->repetition_penalty, d->top_k, seed },
        .max_new_tokens = most,
        .two_texts = two,
        .positions = positions,
        .stop = &d->stop_strings,
    };
    if (!add_ends(options, arch->folder, "generation_config.json", err) && err->kind == ERR_NONE)
        add_ends(options, arch->folder, "config.json", err);
    add_end(options, tokenizer_special(tokenizer, "eos_token"));
    return err->kind == ERR_NONE;
}

/* ---- the prompts --------------------------------------------------------------------------- */

static void take(Generated *text, const Writing *writing)
{
    const int64_t n = writing->count - writing->prompt;
    *text = (Generated){ xmalloc((size_t)(n + 1) * sizeof *text->ids), n };
    memcpy(text->ids, writing->ids + writing->prompt, (size_t)n * sizeof *text->ids);
}

bool generate(Generated *texts, const GenerateOptions *options, const GeneratePrompts *prompts,
              const GenerateEngine *engine, const Tokenizer *tokenizer, Err *err)
{
    const int64_t B = prompts->B;
    memset(texts, 0, (size_t)B * sizeof *texts);
    TextWriter *writer = writer_open(engine, tokenizer, err);
    if (!writer)
        return false;
    if (engine->begin)
        engine->begin(engine->self);
    Writing *writings = xcalloc((size_t)B, sizeof *writings);
    for (int64_t b = 0; b < B; b++) {
        writings[b] = (Writing){ .options = options,
                                 .adapter = prompts->adapter ? prompts->adapter[b] : NULL,
                                 .example = prompts->example[b] };
        writing_init(&writings[b], prompts->ids + prompts->start[b], prompts->start[b + 1] - prompts->start[b]);
    }
    for (int64_t next = 0, more = true; next < B || more;) {
        while (next < B && writer_join(writer, &writings[next]))
            next++;
        more = writer_step(writer);
    }
    bool ok = true;
    for (int64_t b = 0; b < B; b++) {
        if (writings[b].end == WRITING_BROKEN)
            ok = sample_broken(err);
        take(&texts[b], &writings[b]);
        writing_release(&writings[b]);
    }
    free(writings);
    writer_close(writer);
    return ok;
}

void generated_release(Generated *text)
{
    free(text->ids);
    *text = (Generated){ 0 };
}
