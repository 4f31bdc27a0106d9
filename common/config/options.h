/* options - the command line of every program, read from one small table.
 *
 *   --name=VALUE   an option of the program that takes a value
 *   --name         a switch of the program
 *   --lora.r=16    a key of the run file, left to config_load
 *   RUN.yaml       a positional argument; after `--` everything is one
 *
 * The same table makes the usage text; a switch `help` also answers to -h and, where keys are taken,
 * to --help=keys and --help=names; where not all options fit a screen, to --help=all. An option of the program goes before a
 * key of the run file with the same name (`lora encode --model=DIR`).
 *
 *   const char *ranks = NULL;
 *   bool help = false;
 *   const Option own[] = {
 *       { "ranks", "N", "worker processes; default: one a core", &ranks, NULL },
 *       { "help", NULL, "this text", NULL, &help },
 *   };
 *   const OptionTable table = { "lora train", "RUN.yaml", "trains an adapter", own, 2, true };
 *
 * Owner: the caller, of the Arguments; tables and argv are borrowed. Threads: any. */
#ifndef COMMON_CONFIG_OPTIONS_H
#define COMMON_CONFIG_OPTIONS_H

#include "common/base/err.h"
#include "common/base/text.h"

#include <stdint.h>

enum { OPTION_MOST = 64 };

typedef struct Option {
    const char *name; /* without the dashes */
    const char *value; /* what stands behind '=' in the usage; NULL: a switch; "X...": it may be repeated, and `text` is
                          an array of OPTION_MOST, of which the first NULL is set */
    const char *help;
    const char **text; /* set to the value, which argv lends */
    bool *flag; /* set to true by a switch */
} Option;

typedef struct OptionTable {
    const char *program; /* "lora train" */
    const char *arguments; /* positional ones, as the usage shows them: "RUN.yaml" */
    const char *summary; /* one line: what the program does */
    const Option *options;
    int count;
    bool keys; /* keys of the run file may be given as --key=value */
    int first; /* only so many stand in --help, which is one screen; the others in --help=all. 0: all of them */
} OptionTable;

/* What was not an option of the program. Strings are lent by argv; values of options that begin
 * with ~ by the Arguments. */
typedef struct Arguments {
    const char **overrides; /* "lora.r=16": for ConfigSources; owned */
    int override_count;
    const char **positionals; /* owned */
    int positional_count;
    const char *topic; /* of --help=TOPIC; NULL: none */
    char **expanded; /* owned */
    int expanded_count;
} Arguments;

/* Reads argv[1, argc): argv[0] is the program or its subcommand. The last of a
 * repeated option counts. Errors are ERR_INPUT: unknown (with the nearest
 * name), without a value, or with one that it does not take. On failure
 * *arguments is empty; switches read before (help) are set all the same. */
MUST_USE bool options_read(Arguments *arguments, const OptionTable *table, int argc, char *const *argv, Err *err);
void arguments_release(Arguments *arguments);

/* The last value of a key among the overrides, or NULL: for what must be known
 * before there is a run file (ps.address). */
const char *arguments_key(const Arguments *arguments, const char *key);

/* More than `most` positional arguments, or fewer than `least`: an error. */
MUST_USE bool arguments_expect(const Arguments *arguments, const OptionTable *table, int least, int most, Err *err);

/* Usage and options, on one screen. Topics: NULL; of a table that takes keys "keys" of the run file,
 * and "names" of LoraConfig and TrainingArguments; for `make install` and the shell "man" and "words"
 * (options_pages). */
void options_help(const OptionTable *table, const char *topic, Text *out);

/* A whole number of an option's value, in [min, max]. */
MUST_USE bool option_int(const char *name, const char *text, int64_t min, int64_t max, int64_t *value, Err *err);

#endif
