#include "launch/run_folder.h"

#include "common/base/file.h"

#include <stdlib.h>

char *run_folder_file(const char *folder)
{
    static const char *const names[] = { "run.yaml", "../run.yaml" };
    for (int i = 0; i < 2; i++) {
        char *path = path_join(folder, names[i]);
        if (file_exists(path))
            return path;
        free(path);
    }
    return NULL;
}

bool run_folder_labels(Config *config, const char *adapter, Err *err)
{
    char *path = run_folder_file(adapter);
    Config run = { 0 };
    const bool ok =
        !path || (config_load(&run, &(ConfigSources){ .file = path }, err) && config_take_labels(config, &run, err));
    config_release(&run);
    free(path);
    return ok;
}
