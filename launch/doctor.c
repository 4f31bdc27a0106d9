#include "launch/doctor.h"

#include <stdarg.h>
#include <stdio.h>

const Check doctor_checks[] = {
    { "programs", check_programs },     { "mpi", check_mpi },           { "ranks", check_ranks },
    { "cores", check_cores },           { "memory", check_memory },     { "shm", check_shared_memory },
    { "arithmetic", check_arithmetic }, { "ports", check_ports },       { "tmp", check_temporary },
    { "cache", check_cache },           { "output_dir", check_output }, { "slurm", check_slurm },
};
const int doctor_check_count = sizeof doctor_checks / sizeof *doctor_checks;

void finding_set(Finding *finding, Health health, const char *remedy, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, remedy);
    vsnprintf(text, sizeof text, remedy, arguments);
    va_end(arguments);
    finding->health = health;
    text_clear(&finding->remedy);
    text_adds(&finding->remedy, text);
}

void finding_fail(Finding *finding, const Err *err)
{
    text_clear(&finding->said);
    text_addf(&finding->said, "%s%s%s", err->what, err->where[0] ? ": " : "", err->where);
    finding_set(finding, HEALTH_FAIL, "%s", err->hint);
}

void finding_release(Finding *finding)
{
    text_release(&finding->said);
    text_release(&finding->remedy);
}
