#include "common/config/options_pages.h"

#include "common/base/mem.h"
#include "common/config/config_names.h"
#include "common/config/config_table.h"
#include "common/config/roff.h"

#include <stdlib.h>
#include <string.h>

/* ---- manual page ---- */

static void add_options(const OptionTable *table, Text *out)
{
    for (int i = 0; i < table->count; i++) {
        const Option *o = &table->options[i];
        char *term = xprintf("--%s%s%s%s", o->name, o->value ? "=" : "", o->value ? o->value : "",
                             strcmp(o->name, "help") == 0 ? ", -h" : "");
        roff_item(out, term, o->help);
        free(term);
    }
    if (!table->keys)
        return;
    roff_item(out, "--help=keys", "every key of the run file: default, what it takes, what it does");
    roff_item(out, "--help=names", "what becomes of each name of LoraConfig and TrainingArguments");
    roff_item(out, "--KEY=VALUE", "any key of the run file, as --lora.r=16; run.yaml(5) has them all");
}

static void add_part(const OptionTable *table, Text *out)
{
    char *title = xprintf("%s%s%s", table->program, table->arguments[0] ? " " : "", table->arguments);
    roff_subsection(out, title);
    roff_paragraph(out, table->summary);
    add_options(table, out);
    free(title);
}

void options_man(const OptionTable *table, Text *out)
{
    if (strchr(table->program, ' ')) {
        add_part(table, out);
        return;
    }
    roff_page(out, table->program, 1, table->summary);
    roff_section(out, "SYNOPSIS");
    char *usage = xprintf("%s %s [--key=value ...] [options]", table->program, table->arguments);
    roff_paragraph(out, usage);
    free(usage);
    roff_section(out, "OPTIONS");
    add_options(table, out);
    roff_exit_codes(out);
    roff_see_also(out, table->program);
}

/* ---- words to complete ---- */

static void add_values(const ConfigKey *key, Text *out)
{
    static const char *const truths[] = { "true", "false" };
    const bool path = key->type == KEY_PATH || key->type == KEY_PATHS || key->type == KEY_MODEL;
    if (path)
        text_adds(out, "\tFILE");
    for (size_t i = 0; key->type == KEY_BOOL && i < 2; i++)
        text_addf(out, "%s%s", i > 0 ? " " : "\t", truths[i]);
    const char *between = "\t";
    for (const KeyWord *w = key->words; w && w->name; w++)
        if (!w->later) {
            text_addf(out, "%s%s", between, w->name);
            between = " ";
        }
    text_adds(out, "\n");
}

void options_words(const OptionTable *table, Text *out)
{
    int keys, names;
    for (int i = 0; i < table->count; i++) {
        const Option *o = &table->options[i];
        const char *path = !o->value                       ? ""
                           : text_starts(o->value, "DIR")  ? "DIR"
                           : strcmp(o->value, "FILE") == 0 ? "FILE"
                                                           : "";
        text_addf(out, "--%s%s%s%s\n", o->name, o->value ? "=" : "", path[0] ? "\t" : "", path);
    }
    if (!table->keys)
        return;
    const ConfigKey *key = config_keys(&keys);
    const PeerName *row = config_names(&names);
    for (int i = 0; i < keys; i++) {
        text_addf(out, "--%s=", key[i].name);
        add_values(&key[i], out);
    }
    for (int i = 0; i < names; i++)
        if (row[i].kind == NAME_AS || row[i].kind == NAME_BATCH)
            text_addf(out, "--%s=\n", row[i].name);
}
