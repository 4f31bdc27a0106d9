#include "common/config/config_man.h"

#include "common/base/mem.h"
#include "common/config/config_names.h"
#include "common/config/config_table.h"
#include "common/config/roff.h"

#include <stdlib.h>
#include <string.h>

static void add_key(const ConfigKey *key, Text *out)
{
    Text allowed = { 0 };
    config_allowed(key, &allowed);
    char *text = xprintf("%s. Takes %s; the default is %s.", key->help, allowed.data, key->initial);
    roff_item(out, key->name, text);
    free(text);
    text_release(&allowed);
}

static void add_keys(Text *out)
{
    int count;
    const ConfigKey *keys = config_keys(&count);
    char section[32] = "";
    roff_section(out, "KEYS");
    for (int i = 0; i < count; i++) {
        const char *dot = strchr(keys[i].name, '.');
        const int n = dot ? (int)(dot - keys[i].name) : 0;
        if (n > 0 && strncmp(section, keys[i].name, (size_t)n + 1) != 0) {
            snprintf(section, sizeof section, "%.*s.", n, keys[i].name);
            char *title = xprintf("%.*s:", n, keys[i].name);
            roff_subsection(out, title);
            free(title);
        }
        add_key(&keys[i], out);
    }
}

static void add_names(Text *out)
{
    int count;
    const PeerName *rows = config_names(&count);
    roff_section(out, "NAMES OF LORACONFIG AND TRAININGARGUMENTS");
    roff_paragraph(out,
                   "Every name of PEFT's LoraConfig and of Transformers' TrainingArguments (5 and 4) may stand in lora "
                   "and train. With the library's default it is always accepted.");
    for (int i = 0; i < count; i++) {
        Text text = { 0 };
        config_name_behaviour(&rows[i], &text);
        if (rows[i].kind != NAME_KEY)
            roff_item(out, rows[i].name, text.data);
        text_release(&text);
    }
    roff_section(out, "OTHER DEFAULTS THAN THE LIBRARIES'");
    for (int i = 0; i < count; i++) {
        if (!config_name_differs(&rows[i]))
            continue;
        char *text =
            xprintf("theirs %s, here %s: %s", rows[i].initial, config_find(rows[i].key)->initial, rows[i].note);
        roff_item(out, rows[i].name, text);
        free(text);
    }
}

void config_man(Text *out)
{
    roff_page(out, "run.yaml", 5, "the run file of lora, lora_ps and lora_worker");
    roff_section(out, "DESCRIPTION");
    roff_paragraph(
        out,
        "A YAML file that says what is trained, on which data and how. Keys stand under their sections; every key may "
        "also be given on the command line as --section.key=value, lists with commas. Relative paths are relative to "
        "the file, on the command line to the working directory; ~ is the home folder. An unknown key, a wrong type or "
        "a value out of range ends the program with code 2, the line and what is allowed. A key that is not given has "
        "its default; --print-config prints the file with every key.");
    roff_section(out, "EXAMPLE");
    roff_paragraph(out, "  model: path/to/bert-base-uncased\n  task_type: SEQ_CLS\n"
                        "  data: {train: train.csv, validation: dev.csv, text: text, label: label}\n"
                        "  lora: {r: 8, lora_alpha: 16, target_modules: [query, value]}\n"
                        "  train: {output_dir: runs/mine, batch_size: 32, learning_rate: 5e-4}\n");
    add_keys(out);
    add_names(out);
    roff_see_also(out, "run.yaml");
}
