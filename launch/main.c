/* lora - one command for the life of a LoRA project: a table of subcommands. */
#include "common/base/text.h"
#include "common/base/version.h"
#include "common/config/roff.h"
#include "launch/cmd_combine.h"
#include "launch/cmd_compare.h"
#include "launch/cmd_doctor.h"
#include "launch/cmd_embed.h"
#include "launch/cmd_encode.h"
#include "launch/cmd_eval.h"
#include "launch/cmd_export.h"
#include "launch/cmd_import.h"
#include "launch/cmd_inspect.h"
#include "launch/cmd_keys.h"
#include "launch/cmd_merge.h"
#include "launch/cmd_order.h"
#include "launch/cmd_plan.h"
#include "launch/cmd_plot.h"
#include "launch/cmd_predict.h"
#include "launch/cmd_schema.h"
#include "launch/cmd_serve.h"
#include "launch/cmd_status.h"
#include "launch/cmd_sweep.h"
#include "launch/cmd_targets.h"
#include "launch/cmd_train.h"
#include "launch/cmd_verify.h"
#include "worker/arithmetic/arithmetic.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct Verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help; /* NULL: the line of the one before says it */
} Verb;

static const Verb commands[] = {
    { "train", cmd_train, "the whole run on this machine: server, workers, verdict" },
    { "eval", cmd_eval, "metrics of an adapter, as JSON" },
    { "predict", cmd_predict, "one JSON line an input line" },
    { "embed", cmd_embed, "the embedding of each text, as JSON lines or a NumPy file" },
    { "serve", cmd_serve, "an HTTP server for adapters over one base: OpenAI's and TEI's routes" },
    { "merge", cmd_merge, "an adapter and its base as one model folder" },
    { "export", cmd_export, "the model for another runtime: ONNX, GGUF" },
    { "combine", cmd_combine, "several adapters of one model as one" },
    { "import", cmd_import, "Parquet, Arrow and data sets of the hub as rows" },
    { "encode", cmd_encode, "token ids of each input line" },
    { "inspect", cmd_inspect, "what an adapter, a model folder or a safetensors file holds" },
    { "targets", cmd_targets, "which modules of a model would be adapted" },
    { "schema", cmd_schema, "the JSON Schema of the run file, for editors" },
    { "plan", cmd_plan, "what a run takes of so many nodes: stages, memory, time, bytes" },
    { "doctor", cmd_doctor, "whether a run would work on this machine, and what to do" },
    { "status", cmd_status, "the live state of a run: who works, how far it is, what it costs" },
    { "checkpoint", cmd_checkpoint, "has a server save; drain: end behind what is open; stop: save and end" },
    { "drain", cmd_drain, NULL },
    { "stop", cmd_stop, NULL },
    { "compare", cmd_compare, "LoRA, its relatives and full fine-tuning on one task, in one table" },
    { "sweep", cmd_sweep, "runs of one run file with other settings, and which is best" },
    { "plot", cmd_plot, "curves of several runs in one picture" },
    { "verify", cmd_verify, "whether log, checkpoints and adapter of a run are whole" },
    { "keys", cmd_keys, "who may talk to a server on a network" },
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void usage(FILE *out)
{
    fputs("usage: lora COMMAND [ARGUMENTS]          (lora COMMAND --help tells more)\n\n", out);
    for (int i = 0; i < COMMANDS; i++)
        if (commands[i].help)
            fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
}

/* lora(1): a part a command. */
static int page(void)
{
    char option[] = "--help=man";
    Text text = { 0 };
    roff_page(&text, "lora", 1, "LoRA fine-tuning on clusters of CPUs");
    roff_section(&text, "SYNOPSIS");
    roff_paragraph(&text, "lora COMMAND [ARGUMENTS]");
    roff_section(&text, "DESCRIPTION");
    roff_paragraph(
        &text, "Adapts a pretrained Hugging Face model to your data: text and image classification, labels on words, "
               "language models. What comes out is an adapter of PEFT.\n"
               "  lora train run.yaml\n  lora eval run.yaml --adapter=runs/mine\n"
               "  lora predict --adapter=runs/mine texts.txt");
    roff_section(&text, "COMMANDS");
    fputs(text.data, stdout);
    int code = 0;
    for (int i = 0; i < COMMANDS && code == 0; i++) {
        char *argv[] = { (char *)(uintptr_t)commands[i].name, option, NULL };
        code = commands[i].run(2, argv);
    }
    text_clear(&text);
    roff_exit_codes(&text);
    roff_see_also(&text, "lora");
    fputs(text.data, stdout);
    text_release(&text);
    return code;
}

static int words(void)
{
    for (int i = 0; i < COMMANDS; i++)
        puts(commands[i].name);
    puts("help\n--help\n--version");
    return 0;
}

static int unknown(const char *word)
{
    const char *names[COMMANDS];
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

static int run(int argc, char **argv)
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
    if (strcmp(argv[1], "--help=man") == 0)
        return page();
    if (strcmp(argv[1], "--help=words") == 0)
        return words();
    if (strcmp(argv[1], "--version") == 0) {
        Text text = { 0 };
        Err err = { 0 };
        const bool ok = arithmetic_describe(&text, &err);
        printf("lora %s\n%s", LORA_VERSION, text.data);
        text_release(&text);
        if (!ok)
            err_print(&err, stderr);
        return err_exit_code(&err);
    }
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return unknown(argv[1]);
}

int main(int argc, char **argv)
{
    const int code = run(argc, argv);
    Err err = { 0 };
    if (code != 0 || (fflush(stdout) == 0 && !ferror(stdout)))
        return code;
    err_errno(&err, "cannot write to standard output");
    err_print(&err, stderr);
    return err_exit_code(&err);
}
