#include "ps/save.h"

#include "common/base/file.h"
#include "common/base/log.h"
#include "ps/checkpoint.h"
#include "ps/journal.h"

#include <stdlib.h>

bool save_settings(Run *run, Err *err)
{
    Text text = { 0 };
    config_print(&run->config, &text);
    char *path = path_join(run->folder, "run.yaml");
    const bool ok = file_write(path, text.data, text.size, err);
    free(path);
    free(run->text);
    run->text = text_take(&text);
    return ok;
}

bool save_checkpoint(Run *run, Err *err)
{
    if (run->complete || !run->begun || (run->saved == run->state.version && !run->wal.broken))
        return wal_sync(&run->wal, err);
    if ((!run->wal.broken && !wal_sync(&run->wal, err)) || !checkpoint_write(run, err))
        return false;
    return journal_start(run, err); /* on failure the old log still holds all that the new one would */
}

void save_cut(Run *run)
{
    Err err = { 0 };
    const int64_t before = run->wal.size;
    if (!journal_is_long(run))
        return;
    if (!journal_cut(run, &err))
        log_warn("save", "the log grows on: %s (%s)", err.what, err.where);
    else
        log_debug("save", "log cut at step=%lld bytes=%lld before=%lld", (long long)run->state.version,
                  (long long)run->wal.size, (long long)before);
}
