/* Programs, Open MPI, a job of workers, Slurm: what is looked at by starting it. */
#include "launch/doctor.h"

#include "common/base/capture.h"
#include "common/base/mem.h"
#include "common/base/process.h"
#include "common/base/version.h"
#include "launch/workers.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double patience = 30; /* seconds that a program may take */

/* The first sentence of a program's complaint: Open MPI puts lines of dashes around its own, and blank lines between. */
static void add_complaint(Text *out, const char *said)
{
    const size_t begin = out->size, most = 200;
    for (const char *line = said; *line && out->size - begin < most; line += *line == '\n') {
        const size_t n = strcspn(line, "\n");
        const bool blank = strspn(line, " \t\r-") >= n;
        if (blank && out->size > begin)
            break;
        if (!blank) {
            text_adds(out, out->size > begin ? " " : "");
            text_add(out, line, n);
        }
        line += n;
    }
}

/* One of ours, beside this program. */
static bool try_program(const char *name, Finding *finding)
{
    char *path = process_sibling(name), option[] = "--version";
    char *words[] = { path, option, NULL }, *expected = xprintf("%s %s\n", name, LORA_VERSION);
    Text said = { 0 };
    Err err = { 0 };
    int code = 0;
    const bool ran = capture_run(words, patience, &said, &code, &err);
    const bool ok = ran && code == 0 && said.data && strcmp(said.data, expected) == 0;
    if (!ok) {
        text_addf(&finding->said, "%s: ", ran ? path : err.what);
        add_complaint(&finding->said, said.data ? said.data : "");
        finding_set(finding, HEALTH_FAIL, "install lora, lora_ps and lora_worker of version %s into one folder",
                    LORA_VERSION);
    }
    free(expected);
    free(path);
    text_release(&said);
    return ok;
}

void check_programs(const Patient *patient, Finding *finding)
{
    (void)patient;
    if (try_program("lora_ps", finding) && try_program("lora_worker", finding))
        text_addf(&finding->said, "lora, lora_ps and lora_worker %s", LORA_VERSION);
}

/* ---- Open MPI --------------------------------------------------------------------------------- */

void check_mpi(const Patient *patient, Finding *finding)
{
    (void)patient;
    static const char ours[] = "(Open MPI) ";
    char mpirun[] = "mpirun", option[] = "--version";
    char *words[] = { mpirun, option, NULL };
    Text said = { 0 };
    Err err = { 0 };
    int code = 0;
    if (!capture_run(words, patience, &said, &code, &err)) {
        finding_fail(finding, &err);
        finding_set(finding, HEALTH_FAIL, "install Open MPI (Debian: openmpi-bin), or put its folder into PATH");
    } else {
        const char *version = said.data ? strstr(said.data, ours) : NULL;
        if (version) {
            version += strlen(ours);
            text_addf(&finding->said, "Open MPI %.*s", (int)strcspn(version, "\n"), version);
        }
        if (!version || code != 0) {
            text_adds(&finding->said, "mpirun is not Open MPI's: ");
            add_complaint(&finding->said, said.data ? said.data : "it says nothing");
            finding_set(finding, HEALTH_FAIL, "put Open MPI's mpirun first in PATH (Debian: openmpi-bin)");
        } else if (strtol(version, NULL, 10) != 4) {
            finding_set(finding, HEALTH_WARN, "Open MPI 4 is what the programs are tested with");
        }
    }
    text_release(&said);
}

/* Numbers of "meet ranks=2 nodes=1 cores=2 each=1" (worker/comm/meet.h). */
static int number_of(const char *line, const char *name)
{
    const char *at = strstr(line, name);
    return at ? (int)strtol(at + strlen(name), NULL, 10) : -1;
}

static void read_meeting(const Patient *patient, const char *line, Finding *finding)
{
    const int cores = number_of(line, " cores="), each = number_of(line, " each=");
    text_addf(&finding->said, "%lld ranks meet; together they have %d core%s", (long long)patient->ranks, cores,
              cores == 1 ? "" : "s");
    text_adds(&finding->said, each == 1 && cores >= patient->ranks ? ", one each" : "");
    if (cores < patient->ranks && patient->ranks <= patient->machine.allowed)
        finding_set(finding, HEALTH_WARN,
                    "set OMPI_MCA_hwloc_base_binding_policy=none: mpirun binds several to one core");
    else if (cores < patient->ranks)
        finding_set(finding, HEALTH_WARN, "they take turns; give --ranks=%d", cores);
}

/* A job of workers as `lora train` starts it, that only meets. */
void check_ranks(const Patient *patient, Finding *finding)
{
    char mpirun[] = "mpirun", n[] = "-n", option[] = "--meet";
    char *number = xprintf("%lld", (long long)patient->ranks), *worker = process_sibling("lora_worker");
    char *words[] = { mpirun, n, number, worker, option, NULL };
    Text said = { 0 };
    Err err = { 0 };
    int code = 0;
    workers_environment(patient->ranks, patient->machine.cores);
    const bool ran = capture_run(words, patience, &said, &code, &err);
    const char *met = said.data ? strstr(said.data, "meet ranks=") : NULL;
    if (!ran) {
        finding_fail(finding, &err);
        finding_set(finding, HEALTH_FAIL, "see mpi; by hand: mpirun -n %s %s --meet", number, worker);
    } else if (code != 0 || !met || number_of(met, "ranks=") != patient->ranks) {
        text_addf(&finding->said, "a job of %s ranks does not come up (code %d): ", number, code);
        add_complaint(&finding->said, said.data ? said.data : "");
        finding_set(finding, HEALTH_FAIL, "see the whole by hand: mpirun -n %s %s --meet", number, worker);
    } else {
        read_meeting(patient, met, finding);
    }
    free(number);
    free(worker);
    text_release(&said);
}

/* ---- Slurm ------------------------------------------------------------------------------------ */

void check_slurm(const Patient *patient, Finding *finding)
{
    (void)patient;
    char sbatch[] = "sbatch", version[] = "--version", scontrol[] = "scontrol", ping[] = "ping";
    char *words[] = { sbatch, version, NULL }, *ask[] = { scontrol, ping, NULL };
    Text said = { 0 }, answer = { 0 };
    Err err = { 0 };
    int code = 0;
    if (!capture_run(words, patience, &said, &code, &err)) {
        text_adds(&finding->said, "not found; only launch/slurm/lora.sbatch needs it");
    } else {
        add_complaint(&finding->said, said.data ? said.data : "sbatch says nothing");
        if (!capture_run(ask, patience, &answer, &code, &err) || code != 0) {
            text_adds(&finding->said, "; its controller does not answer");
            finding_set(finding, HEALTH_WARN, "see `scontrol ping`; `lora train` and launch/hosts need no Slurm");
        }
    }
    text_release(&said);
    text_release(&answer);
}
