#include "launch/trials/place.h"

#include "common/base/file.h"
#include "common/base/mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

bool place_open(TrialPlace *place, const char *file, const char *const *overrides, int count, const char *out,
                const char *suffix, Err *err)
{
    *place = (TrialPlace){ .lock = -1 };
    for (int i = 0; i < count; i++)
        command_words_add(&place->overrides, xstrdup(overrides[i]));
    const ConfigSources sources = { .file = file, .overrides = overrides, .override_count = count };
    if (!config_load(&place->config, &sources, err) || !config_check_training(&place->config, err))
        return false;
    place->folder = out ? path_absolute(out) : xprintf("%s%s", place->config.train.output_dir, suffix);
    return true;
}

bool place_make(const TrialPlace *place, Err *err)
{
    return folder_make(place->folder, err);
}

bool place_take(TrialPlace *place, Err *err)
{
    if (!place_make(place, err))
        return false;
    char *path = path_join(place->folder, "lock");
    place->lock = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    bool ok = place->lock >= 0;
    if (!ok) {
        err_errno(err, "cannot write");
        err_at(err, "%s", path);
    } else if (flock(place->lock, LOCK_EX | LOCK_NB) != 0) {
        ok = err_set(err, ERR_INPUT, "another command is at work in this folder");
        err_hint(err, "wait for it, or name another folder: --out=DIR");
        err_at(err, "%s", place->folder);
    }
    free(path);
    return ok;
}

void place_release(TrialPlace *place)
{
    if (place->lock >= 0)
        close(place->lock);
    config_release(&place->config);
    command_words_release(&place->overrides);
    free(place->folder);
    *place = (TrialPlace){ .lock = -1 };
}
