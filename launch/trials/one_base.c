#include "launch/trials/one_base.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What of a trial may ask for another base; the workers see whether it is the same. */
static bool changes_base(const char *word)
{
    static const char *const keys[] = { "model=",
                                        "model_config",
                                        "task_type=",
                                        "labels=",
                                        "train.precision=",
                                        "train.mode=",
                                        "parallel.",
                                        "lora.modules_to_save",
                                        "lora.init_lora_weights=",
                                        "lora.trainable_token_indices" };
    for (size_t i = 0; i < LENGTH(keys); i++)
        if (text_starts(word, keys[i]))
            return true;
    return false;
}

static bool has(const CommandWords *words, const char *word)
{
    for (int i = 0; i < words->count; i++)
        if (strcmp(words->items[i], word) == 0)
            return true;
    return false;
}

static bool has_those_of(const CommandWords *words, const CommandWords *others)
{
    for (int i = 0; i < others->count; i++)
        if (changes_base(others->items[i]) && !has(words, others->items[i]))
            return false;
    return true;
}

static bool are_alike(const Trial *a, const Trial *b)
{
    return has_those_of(&a->changes, &b->changes) && has_those_of(&b->changes, &a->changes);
}

bool one_base_open(TrialList *trials, Err *err)
{
    for (int i = 0; i < trials->count; i++) {
        Trial *trial = &trials->items[i];
        for (int k = 0; k < i && trial->base < 0; k++)
            if (are_alike(trial, &trials->items[k]))
                trial->base = trials->items[k].base;
        if (trial->base < 0 && (trial->base = memfd_create("lora-base", MFD_CLOEXEC)) < 0) {
            err_errno(err, "no memory for the base that trials share");
            one_base_close(trials);
            return false;
        }
    }
    return true;
}

void one_base_close(TrialList *trials)
{
    for (int i = 0; i < trials->count; i++) {
        const int fd = trials->items[i].base;
        for (int k = i; fd >= 0 && k < trials->count; k++)
            if (trials->items[k].base == fd)
                trials->items[k].base = -1;
        if (fd >= 0)
            close(fd);
    }
}
