#include "launch/cmd_doctor.h"

#include "common/base/log.h"
#include "common/slots/init_adapter.h"
#include "launch/command.h"
#include "launch/doctor.h"

#include <stdio.h>
#include <unistd.h>

typedef struct Doctor {
    const char *ranks;
    bool as_json, help;
    bool ill; /* found */
} Doctor;

static const char *const words[] = { "ok", "warn", "FAIL" };

static void print_line(const char *name, const Finding *f)
{
    printf("%-4s  %-10s  %s%s%s\n", words[f->health], name, f->said.data ? f->said.data : "",
           f->remedy.size > 0 ? "; try: " : "", f->remedy.size > 0 ? f->remedy.data : "");
    fflush(stdout);
}

static void add_object(json_t *all, const char *name, const Finding *f)
{
    static const char *const healths[] = { "ok", "warn", "fail" };
    json_array_append_new(all,
                          json_pack("{s:s, s:s, s:s, s:s}", "check", name, "health", healths[f->health], "found",
                                    f->said.data ? f->said.data : "", "try", f->remedy.data ? f->remedy.data : ""));
}

static void look(Doctor *doctor, const Patient *patient)
{
    json_t *all = json_array();
    for (int i = 0; i < doctor_check_count; i++) {
        const Check *check = &doctor_checks[i];
        Finding finding = { 0 };
        check->look(patient, &finding);
        doctor->ill |= finding.health == HEALTH_FAIL;
        if (doctor->as_json)
            add_object(all, check->name, &finding);
        else
            print_line(check->name, &finding);
        finding_release(&finding);
    }
    json_t *whole = json_pack("{s:b, s:o}", "well", !doctor->ill, "checks", all);
    if (doctor->as_json && json_dumpf(whole, stdout, JSON_INDENT(2)) == 0)
        putchar('\n');
    json_decref(whole);
}

static bool run(void *self, const Arguments *given, Err *err)
{
    Doctor *doctor = self;
    Patient patient = { .machine = machine_look("") };
    Config config = { 0 };
    Needs needs = { 0 };
    patient.ranks = patient.machine.cores;
    if (doctor->ranks && !option_int("ranks", doctor->ranks, 1, 4096, &patient.ranks, err))
        return false;
    const ConfigSources sources = { .file = given->positional_count > 0 ? given->positionals[0] : NULL,
                                    .overrides = given->overrides,
                                    .override_count = given->override_count };
    if (!sources.file && given->override_count > 0) {
        err_set(err, ERR_INPUT, "--%s is a key of a run file, and there is none", given->overrides[0]);
        return err_hint(err, "lora doctor RUN.yaml --%s", given->overrides[0]);
    }
    if (sources.file) {
        if (!config_load(&config, &sources, err) || !config_check_training(&config, err) ||
            !init_adapter_take(&config, NULL, err) || !needs_of(&needs, &config, patient.ranks, err)) {
            config_release(&config);
            return false;
        }
        patient.config = &config;
        patient.needs = &needs;
    }
    log_setup("-", LOG_WARN); /* the checks say the rest themselves */
    look(doctor, &patient);
    config_release(&config);
    return true;
}

int cmd_doctor(int argc, char **argv)
{
    Doctor doctor = { 0 };
    const Option own[] = {
        { "ranks", "N", "worker processes of a run; default: one a core", &doctor.ranks, NULL },
        { "json", NULL, "as one JSON object, for programs", NULL, &doctor.as_json },
        { "help", NULL, "this text", NULL, &doctor.help },
    };
    const OptionTable table = { "lora doctor",
                                "[RUN.yaml]",
                                "looks whether a run would work on this machine: ok, warn (slower) or FAIL a line,\n"
                                "with what to try; exit code 1 where one fails",
                                own,
                                sizeof own / sizeof *own,
                                true,
                                0 };
    const int code = command_main(&(Command){ &table, &doctor.help, 0, 1, run, &doctor }, argc, argv);
    return code == 0 && doctor.ill ? 1 : code;
}
