#include "launch/trials/trial.h"

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/config/config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_NAME = 120 };

/* Letters that a file's name can have everywhere; two names stay two. Owned. */
static char *file_name(const char *words)
{
    char *name = xstrdup(words);
    for (char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("=_.+-", *at))
            *at = '_';
    if (strcmp(name, words) == 0 && strlen(name) <= LONGEST_NAME)
        return name;
    char digest[DIGEST_HEX];
    digest_sha256(digest, words, strlen(words));
    char *unique = xprintf("%.*s-%.8s", LONGEST_NAME, name, digest);
    free(name);
    return unique;
}

Trial *trial_add(TrialList *list, const char *place, const char *name)
{
    list->items = xrealloc(list->items, (size_t)(list->count + 1) * sizeof *list->items);
    Trial *trial = &list->items[list->count++];
    *trial = (Trial){ .name = file_name(name), .base = -1, .pid = -1 };
    trial->folder = path_join(place, trial->name);
    return trial;
}

void trial_list_release(TrialList *list)
{
    for (int i = 0; i < list->count; i++) {
        free(list->items[i].name);
        free(list->items[i].folder);
        command_words_release(&list->items[i].changes);
    }
    free(list->items);
    *list = (TrialList){ 0 };
}

static bool check_one(const Trial *trial, const char *file, const CommandWords *overrides, bool evaluated, Err *err)
{
    const int count = overrides->count + trial->changes.count;
    const char **words = xcalloc((size_t)count + 2, sizeof *words);
    char *folder = xprintf("train.output_dir=%s", trial->folder);
    for (int i = 0; i < count; i++)
        words[i] = i < overrides->count ? overrides->items[i] : trial->changes.items[i - overrides->count];
    words[count] = folder;
    Config config = { 0 };
    bool ok =
        config_load(&config, &(ConfigSources){ .file = file, .overrides = words, .override_count = count + 1 }, err) &&
        config_check_training(&config, err);
    if (ok && evaluated && config.train.eval_strategy == WHEN_NO) {
        char room[256];
        ok = err_set(err, ERR_INPUT, "runs are put beside each other by their evaluations, and there are none");
        err_hint(err, "set data.validation or data.validation_split, and train.eval_strategy: epoch or steps");
        err_at(err, "%s", config_where(&config, "train.eval_strategy", room, sizeof room));
    }
    config_release(&config);
    free(folder);
    free(words);
    return ok;
}

bool trial_check(const TrialList *list, const char *file, const CommandWords *overrides, bool evaluated, Err *err)
{
    for (int i = 0; i < list->count; i++)
        if (!check_one(&list->items[i], file, overrides, evaluated, err))
            return false;
    return true;
}
