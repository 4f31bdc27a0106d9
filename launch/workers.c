#include "launch/workers.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void set_default(const char *name, const char *value)
{
    setenv(name, value, 0);
}

void workers_environment(int64_t ranks, int64_t cores)
{
    if (geteuid() == 0) {
        set_default("OMPI_ALLOW_RUN_AS_ROOT", "1");
        set_default("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    }
    const int64_t threads = cores / ranks > 1 ? cores / ranks : 1;
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)threads);
    set_default("OMP_NUM_THREADS", number);
    set_default("OMPI_MCA_rmaps_base_oversubscribe", "1");
    set_default("OMPI_MCA_mpi_yield_when_idle", "1");
    set_default("OMPI_MCA_pml", "ob1");
    set_default("OMPI_MCA_btl", "self,vader");
    set_default("OMPI_MCA_hwloc_base_binding_policy", ranks * threads <= cores && threads == 1 ? "core" : "none");
}

void workers_warn(int64_t ranks, int64_t cores)
{
    if (ranks > cores)
        log_warn("workers", "%lld ranks take turns on %lld cores: --ranks=%lld is faster and needs less memory",
                 (long long)ranks, (long long)cores, (long long)cores);
}

pid_t workers_start(int64_t ranks, const char *address, int *heard, Err *err)
{
    char mpirun[] = "mpirun", n[] = "-n";
    char *number = xprintf("%lld", (long long)ranks), *worker = process_sibling("lora_worker");
    char *server = xprintf("--ps.address=%s", address);
    char *words[] = { mpirun, n, number, worker, server, NULL };
    const pid_t pid = process_start_heard(words, heard, err);
    if (pid < 0)
        err_hint(err, "launch/setup installs Open MPI");
    free(number);
    free(worker);
    free(server);
    return pid;
}

bool workers_again(int code)
{
    return code != 0 && code != 2 && code != 4 && code != 5;
}
