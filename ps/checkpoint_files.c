#include "ps/checkpoint_files.h"

#include "common/base/file.h"
#include "common/base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

char *checkpoint_path(const Run *run, int64_t version)
{
    return xprintf("%s/checkpoint-%lld", run->folder, (long long)version);
}

/* Step of a name "checkpoint-<step>", else -1. */
static int64_t step_of(const char *name)
{
    if (!text_starts(name, "checkpoint-"))
        return -1;
    char *rest;
    errno = 0;
    const long long step = strtoll(name + strlen("checkpoint-"), &rest, 10);
    return *rest == '\0' && rest[-1] != '-' && errno == 0 ? step : -1;
}

static int by_step(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int64_t *checkpoint_steps(const Run *run, size_t *count)
{
    size_t names = 0;
    char **list = folder_list(run->folder, &names, NULL);
    int64_t *steps = xcalloc(names + 1, sizeof *steps);
    *count = 0;
    for (size_t i = 0; list && i < names; i++) {
        if (step_of(list[i]) >= 0)
            steps[(*count)++] = step_of(list[i]);
        free(list[i]);
    }
    free(list);
    qsort(steps, *count, sizeof *steps, by_step);
    return steps;
}

char *checkpoint_any(const Run *run)
{
    size_t count;
    int64_t *steps = checkpoint_steps(run, &count);
    char *path = count > 0 ? checkpoint_path(run, steps[count - 1]) : NULL;
    free(steps);
    return path;
}

bool checkpoint_remove(const Run *run, int64_t step, Err *err)
{
    char *path = checkpoint_path(run, step);
    const bool ok = folder_remove(path, err);
    free(path);
    return ok;
}

/* What a crash left of checkpoints that were being written. */
static bool remove_parts(const Run *run, Err *err)
{
    size_t count = 0;
    char **names = folder_list(run->folder, &count, err);
    bool ok = names != NULL;
    for (size_t i = 0; i < count; i++) {
        char *path = path_join(run->folder, names[i]);
        if (ok && text_starts(names[i], "checkpoint-") && text_ends(names[i], CHECKPOINT_PART))
            ok = folder_remove(path, err);
        free(path);
        free(names[i]);
    }
    free(names);
    return ok;
}

bool checkpoint_remove_all(const Run *run, Err *err)
{
    size_t count;
    int64_t *steps = checkpoint_steps(run, &count);
    bool ok = true;
    for (size_t i = count; ok && i-- > 0;)
        ok = checkpoint_remove(run, steps[i], err);
    free(steps);
    return ok && remove_parts(run, err);
}
