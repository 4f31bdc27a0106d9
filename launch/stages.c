#include "launch/stages.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "launch/cmd_eval.h"
#include "launch/cmd_predict.h"
#include "worker/comm/comm.h"

#include <stdio.h>
#include <string.h>

typedef struct StagesCommand {
    const char *word;
    int (*run)(int argc, char **argv, const Groups *groups);
} StagesCommand;

static const StagesCommand commands[] = {
    { "--evaluate", cmd_eval_stages },
    { "--predict", cmd_predict_stages },
};

static const StagesCommand *find(const char *word)
{
    for (size_t i = 0; i < LENGTH(commands); i++)
        if (strcmp(commands[i].word, word) == 0)
            return &commands[i];
    return NULL;
}

bool stages_is_command(const char *word)
{
    return find(word) != NULL;
}

/* All ranks compute the same answers: one rank's are enough. */
static bool fall_silent(Err *err)
{
    log_setup("lora", LOG_ERROR);
    return freopen("/dev/null", "w", stdout) != NULL || err_errno(err, "cannot write to /dev/null");
}

int stages_main(int argc, char **argv)
{
    Err err = { 0 };
    Groups groups;
    int code = 0;
    Comm *comm = comm_open(&argc, &argv, &err);
    bool ok = comm && comm_groups(&groups, comm, 1, 1, &err) && groups_split(&groups, groups.job.size, 1, &err);
    ok = ok && (groups.job.rank == 0 || fall_silent(&err));
    if (ok)
        code = find(argv[0])->run(argc, argv, &groups);
    else
        err_print(&err, stderr);
    comm_close(comm);
    return ok ? code : err_exit_code(&err);
}
