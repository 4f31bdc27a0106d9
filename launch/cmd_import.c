/* DESIGN: the formats are those of Python's `datasets`, so that library reads them (import.py, whose text is in this
 * program), in a virtual environment of its own, made when it is first needed. Nothing else here needs Python. */
#include "launch/cmd_import.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/process.h"
#include "launch/command.h"
#include "worker/data/cache.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IMPORT_PACKAGE "datasets==5.2.0"

/* launch/import.py, '\0' behind it */
__asm__(".section .rodata\n"
        "import_script:\n"
        ".incbin \"launch/import.py\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char import_script[];

typedef struct ImportArguments {
    const char *config, *split, *drop, *python;
} ImportArguments;

/* ---- the environment ---------------------------------------------------------------------- */

static bool run_quietly(const char *const *argv, const char *what, Err *err)
{
    const pid_t pid = process_start((char *const *)(uintptr_t)argv, err);
    if (pid < 0)
        return err_hint(err, "launch/setup installs Python 3 with venv and pip");
    int code;
    while ((code = process_wait(pid, 3600)) < 0)
        ;
    if (code == 0)
        return true;
    err_set(err, ERR_IO, "%s ended with code %d", what, code);
    return err_hint(err, "see what it says above; or give --python=FILE, an interpreter that has %s", IMPORT_PACKAGE);
}

/* The stamp is written last, so that a half made environment is taken up again. */
static bool make_environment(const char *folder, const char *python, const char *stamp, Err *err)
{
    const char *const venv[] = { "python3", "-m", "venv", folder, NULL };
    const char *const pip[] = { python,         "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                                IMPORT_PACKAGE, NULL };
    fprintf(stderr, "lora import: installing %s into %s (once)\n", IMPORT_PACKAGE, folder);
    return folder_make(folder, err) && run_quietly(venv, "python3 -m venv", err) && run_quietly(pip, "pip", err) &&
           file_write(stamp, IMPORT_PACKAGE "\n", strlen(IMPORT_PACKAGE "\n"), err);
}

/* An interpreter that has the library; owned. */
static char *find_python(Err *err)
{
    char *cache = cache_folder(), *folder = path_join(cache, "import");
    char *python = path_join(folder, "bin/python"), *stamp = path_join(folder, "package");
    size_t n;
    Err ignored = { 0 };
    char *made = file_exists(stamp) ? file_read(stamp, &n, &ignored) : NULL;
    if (!(made && strcmp(made, IMPORT_PACKAGE "\n") == 0 && file_exists(python)) &&
        !make_environment(folder, python, stamp, err)) {
        free(python);
        python = NULL;
    }
    free(made);
    free(stamp);
    free(folder);
    free(cache);
    return python;
}

/* ---- what can be known before anything is fetched ----------------------------------------------- */

static bool is_columnar(const char *source)
{
    return text_ends_any(source, ".parquet") || text_ends_any(source, ".arrow");
}

/* Else it may be a name of the hub: NAME or OWNER/NAME. */
static bool is_path(const char *source)
{
    const char *slash = strchr(source, '/');
    return is_columnar(source) || strchr("./~", source[0]) || (slash && strchr(slash + 1, '/'));
}

static bool check_paths(const Arguments *words, const char *out, Err *err)
{
    for (int i = 0; i < words->positional_count - 1; i++) {
        const char *source = words->positionals[i];
        if (file_exists(source) ? is_columnar(source) || file_is_folder(source) : !is_path(source))
            continue;
        if (file_exists(source)) {
            err_set(err, ERR_INPUT, "neither Parquet nor Arrow by its name");
            err_hint(err, ".csv, .tsv, .jsonl, .json, .conll and .txt are read as they are");
        } else {
            file_missing(source, "file or folder", NULL, err);
        }
        return err_at(err, "%s", source);
    }
    char *folder = path_folder(out);
    const bool ok = file_is_folder(folder);
    if (!ok) {
        file_missing(folder, "folder", "make it, or name a file elsewhere", err);
        err_at(err, "%s", folder);
    }
    free(folder);
    return ok;
}

/* ---- the command ------------------------------------------------------------------------------ */

static bool run(void *self, const Arguments *words, Err *err)
{
    const ImportArguments *given = self;
    const int count = words->positional_count;
    const char *out = words->positionals[count - 1];
    if (!text_ends(out, ".jsonl")) {
        err_set(err, ERR_INPUT, "'%s' does not end in .jsonl", out);
        return err_hint(err, "the last word is the file to write: lora import NAME|FILE... OUT.jsonl");
    }
    if (!check_paths(words, out, err))
        return false;
    char *python = given->python ? xstrdup(given->python) : find_python(err);
    if (!python)
        return false;
    const char **argv = xcalloc((size_t)count + 8, sizeof *argv);
    int n = 0;
    argv[n++] = python;
    argv[n++] = "-c";
    argv[n++] = import_script;
    argv[n++] = out;
    argv[n++] = given->config ? given->config : "";
    argv[n++] = given->split ? given->split : "";
    argv[n++] = given->drop ? given->drop : "";
    for (int i = 0; i < count - 1; i++)
        argv[n++] = words->positionals[i];
    execvp(python, (char *const *)(uintptr_t)argv);
    err_errno(err, "cannot start '%s'", python);
    free(argv);
    free(python);
    return false;
}

int cmd_import(int argc, char **argv)
{
    ImportArguments given = { 0 };
    bool help = false;
    const Option own[] = {
        { "split", "NAME", "only this split; default: all, OUT-SPLIT.jsonl each where there are several", &given.split,
          NULL },
        { "config", "NAME", "of a data set of the hub that has several", &given.config, NULL },
        { "drop", "A,B", "columns to leave out", &given.drop, NULL },
        { "python", "FILE", "an interpreter that has the library datasets; default: one made in the cache",
          &given.python, NULL },
        { "help", NULL, "this text", NULL, &help },
    };
    const OptionTable table = {
        "lora import",
        "NAME|FILE... OUT.jsonl",
        "rows of .parquet or .arrow files, of a folder of the library datasets, or of a data set of the hub",
        own,
        sizeof own / sizeof *own,
        false,
        0
    };
    return command_main(&(Command){ &table, &help, 2, 4096, run, &given }, argc, argv);
}
