/* lora - one command for the life of a LoRA project: a table of subcommands. */
#include "common/base/text.h"
#include "common/base/version.h"
#include "launch/cmd_encode.h"
#include "launch/cmd_eval.h"
#include "launch/cmd_import.h"
#include "launch/cmd_inspect.h"
#include "launch/cmd_predict.h"
#include "launch/cmd_schema.h"
#include "launch/cmd_status.h"
#include "launch/cmd_targets.h"
#include "launch/cmd_train.h"
#include "worker/arithmetic/arithmetic.h"

#include <stdio.h>
#include <string.h>

typedef struct Command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} Command;

static const Command commands[] = {
    { "train", cmd_train, "the whole run on this machine: server, workers, verdict" },
    { "eval", cmd_eval, "metrics of an adapter, as JSON" },
    { "predict", cmd_predict, "one JSON line an input line" },
    { "import", cmd_import, "Parquet, Arrow and data sets of the hub as rows" },
    { "encode", cmd_encode, "token ids of each input line" },
    { "inspect", cmd_inspect, "what an adapter, a model folder or a safetensors file holds" },
    { "targets", cmd_targets, "which modules of a model would be adapted" },
    { "schema", cmd_schema, "the JSON Schema of the run file, for editors" },
    { "status", cmd_status, "the live state of a parameter server" },
};
enum { COMMANDS = sizeof commands / sizeof *commands };

/* Known names of what is to come: refused as such. */
static const char *const later[] = { "merge", "export", "plan", "keys", "sweep", "serve" };

static void usage(FILE *out)
{
    fputs("usage: lora COMMAND [ARGUMENTS]\n\n", out);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].help);
    fputs("\n`lora COMMAND --help` tells more.\n", out);
}

static int unknown(const char *word)
{
    const char *names[COMMANDS];
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        if (strcmp(word, later[i]) == 0) {
            fprintf(stderr, "error: 'lora %s' is not supported\n", word);
            return 2;
        }
    }
    for (int i = 0; i < COMMANDS; i++)
        names[i] = commands[i].name;
    const char *near = text_nearest(word, names, COMMANDS);
    fprintf(stderr, "error: '%s' is not a command of lora\n", word);
    if (near)
        fprintf(stderr, "  try: lora %s\n", near);
    else
        usage(stderr);
    return 2;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    char option[] = "--help";
    const bool help = strcmp(argv[1], "help") == 0;
    if (help && argc > 2) { /* lora help train */
        argv[1] = argv[2];
        argv[2] = option;
        argc = 3;
    } else if (help || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        Text text = { 0 };
        arithmetic_describe(&text);
        printf("lora %s\n%s", LORA_VERSION, text.data);
        text_release(&text);
        return 0;
    }
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return unknown(argv[1]);
}
