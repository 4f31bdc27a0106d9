#include "ps/refuse.h"

#include "common/base/mem.h"
#include "common/config/config_meta.h"
#include "common/plan/steps.h"
#include "common/wire/facts.h"
#include "ps/inputs.h"

#include <stdlib.h>
#include <string.h>

static char *differs_config(const Run *run, const Config *theirs)
{
    Text keys = { 0 };
    char *answer = config_same_run(&run->config, theirs, COMPARE_WORKER, &keys)
                       ? NULL
                       : xprintf("another configuration: %s", keys.data);
    text_release(&keys);
    return answer;
}

static char *differs_run(const Run *run, const Msg *hello)
{
    if (hello->run != 0 && hello->run != run->id)
        return xprintf("this worker belongs to run %016llx, and the server at this address now has run %016llx: "
                       "start the worker again to join that one",
                       (unsigned long long)hello->run, (unsigned long long)run->id);
    return NULL;
}

static char *differs_plan(const Run *run, const Msg *hello)
{
    if (run->begun && hello->plan != 0 && hello->plan != run->plan)
        return xprintf("this worker computes plan %016llx, and the run's is %016llx (configuration, data, "
                       "micro-batches): start the worker again",
                       (unsigned long long)hello->plan, (unsigned long long)run->plan);
    return NULL;
}

/* A run file may ask for the fingerprint of another run, whose bits it wants. */
static char *differs_fingerprint(const Run *run, const HelloFacts *facts)
{
    const char *asked = run->config.parallel.fingerprint;
    char theirs[24];
    snprintf(theirs, sizeof theirs, "%016llx", (unsigned long long)facts->fingerprint);
    if (!asked || strcmp(asked, theirs) == 0)
        return NULL;
    return xprintf("other arithmetic: %s with fingerprint %s on %s, but the run file asks for %s", facts->arithmetic,
                   theirs, facts->host, asked);
}

/* What was changed since the run began, where that is known; and what the worker reads. */
static void add_files(Text *out, const Run *run, const char *key, const StringList *files)
{
    inputs_add_changes(run, text_starts(key, "data.validation_split") ? "data.train" : key, out);
    text_addf(out, "; it reads %s:", key);
    for (int i = 0; i < files->count; i++)
        text_addf(out, "%s %s", i > 0 ? "," : "", files->items[i]);
}

/* As facts_differ, with the files that the worker reads where data differ. */
static char *differs_facts(const Run *run, const HelloFacts *theirs, const HelloFacts *ours, const DataConfig *data)
{
    char *sentence = facts_differ(theirs, ours);
    if (!sentence)
        return NULL;
    Text out = { 0 };
    text_adds(&out, sentence);
    free(sentence);
    if (text_starts(out.data, "other training data"))
        add_files(&out, run, "data.train", &data->train);
    else if (text_starts(out.data, "other validation data"))
        add_files(&out, run, data->validation.count > 0 ? "data.validation" : "data.validation_split of data.train",
                  data->validation.count > 0 ? &data->validation : &data->train);
    return text_take(&out);
}

static char *differs_sizes(const Run *run, const HelloFacts *facts)
{
    if (run->adapted.arch->head.labels_open)
        return xstrdup("the worker does not say which labels its data have");
    if (facts->slot_hash != run->adapted.table->hash || facts->slot_size != run->adapted.table->size)
        return xstrdup("another set of trainable tensors (slot table): is the model the same, and the "
                       "program of the same version?");
    if (facts->examples < 1 || facts->longest < 1 || facts->ranks < 1 || facts->job_ranks < 1 ||
        facts->eval_chunks < 0 || facts->eval_examples < 0 || facts->eval_width < 0)
        return xstrdup("the worker has no training data, or its figures are out of range");
    return NULL;
}

/* How long the run will be is known with the data. */
static char *differs_course(const Run *run, const HelloFacts *facts)
{
    const TrainConfig *t = &run->config.train;
    const AdaLora *a = &run->config.lora.ada;
    const int64_t total = steps_total(steps_per_epoch(facts->examples, config_step_size(&run->config)),
                                      t->num_train_epochs, t->max_steps);
    if (run->adapted.table->triplets == 0 || a->total_step > 0 || a->tinit + a->tfinal < total)
        return NULL;
    return xprintf("the run is %lld steps long, and lora.tinit %lld and lora.tfinal %lld leave none in which triplets "
                   "are masked",
                   (long long)total, (long long)a->tinit, (long long)a->tfinal);
}

/* In the order of what says most to the one who reads it. */
char *refuse_worker(const Run *run, const Msg *hello, const HelloFacts *first)
{
    const HelloFacts *facts = &hello->facts, *with = run->begun ? &run->facts : first;
    char *differs = differs_run(run, hello);
    if (differs)
        return differs;
    if (!hello->text)
        return xstrdup("the worker does not say its configuration");
    Config theirs = { 0 };
    Err err = { 0 };
    if (!config_load(&theirs, &(ConfigSources){ .file = "the worker's run file", .text = hello->text }, &err))
        differs = xprintf("the run file that was sent is not valid: %s", err.what);
    else if (!(differs = differs_config(run, &theirs)) && !(differs = differs_plan(run, hello)) &&
             !(differs = differs_sizes(run, facts)) && !(differs = differs_course(run, facts)))
        differs = with ? differs_facts(run, facts, with, &theirs.data) : differs_fingerprint(run, facts);
    config_release(&theirs);
    return differs;
}
