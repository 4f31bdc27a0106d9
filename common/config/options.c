#include "common/config/options.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/config/config.h"
#include "common/config/config_names.h"
#include "common/config/config_table.h"
#include "common/config/options_pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const Option *find_option(const OptionTable *table, const char *name, size_t n)
{
    for (int i = 0; i < table->count; i++)
        if (strlen(table->options[i].name) == n && strncmp(table->options[i].name, name, n) == 0)
            return &table->options[i];
    return NULL;
}

/* Among the program's own options, and the keys if it takes them. */
static bool unknown_option(const OptionTable *table, const char *name, Err *err)
{
    const char **names = xcalloc((size_t)table->count + 1, sizeof *names);
    for (int i = 0; i < table->count; i++)
        names[i] = table->options[i].name;
    const char *near = text_nearest(name, names, (size_t)table->count);
    if (!near && table->keys)
        near = config_nearest(name);
    free(names);
    err_set(err, ERR_INPUT, "unknown option '--%.80s'", name);
    if (table->keys && config_is_section(name))
        err_hint(err, "its keys are options: --%s.KEY=VALUE", name);
    else if (near)
        err_hint(err, "did you mean '--%s'?", near);
    else
        err_hint(err, "%s --help lists the options", table->program);
    return err_at(err, "%s", table->program);
}

/* A folder or file begins with ~ as in a shell, which leaves --adapter=~/x alone. */
static const char *expand(Arguments *arguments, const Option *option, const char *value)
{
    const bool path = text_starts(option->value, "DIR") || strcmp(option->value, "FILE") == 0;
    if (!path || value[0] != '~')
        return value;
    return arguments->expanded[arguments->expanded_count++] = path_expand(value);
}

/* --help=all, --help=keys, --help=names; and --help=man, --help=words, which are for programs. */
static bool read_topic(Arguments *arguments, const OptionTable *table, const char *value, Err *err)
{
    const struct {
        const char *name;
        bool there;
    } topics[] = { { "man", true },
                   { "words", true },
                   { "all", table->first > 0 },
                   { "keys", table->keys },
                   { "names", table->keys } };
    for (size_t i = 0; i < LENGTH(topics); i++)
        if (topics[i].there && strcmp(topics[i].name, value) == 0) {
            arguments->topic = topics[i].name;
            return true;
        }
    err_set(err, ERR_INPUT, "there is no help on '%.80s'", value);
    err_hint(err, "%s --help%s%s", table->program, table->first > 0 ? ", --help=all" : "",
             table->keys ? ", --help=keys, --help=names" : "");
    return err_at(err, "%s", table->program);
}

static bool read_own(Arguments *arguments, const OptionTable *table, const Option *option, const char *value, Err *err)
{
    if (option->value && value && value[0]) {
        const char **text = option->text, **end = text + (text_ends(option->value, "...") ? OPTION_MOST : 1);
        while (end > text + 1 && *text && ++text < end)
            ;
        if (text == end)
            return err_set(err, ERR_INPUT, "--%s is given more than %d times", option->name, OPTION_MOST);
        *text = expand(arguments, option, value);
        return true;
    }
    const bool topic = value && strcmp(option->name, "help") == 0;
    if (topic && !read_topic(arguments, table, value, err))
        return false;
    if (!option->value && (!value || topic))
        return *option->flag = true;
    if (option->value) {
        err_set(err, ERR_INPUT, "'--%s' has no value", option->name);
        err_hint(err, "--%s=%s, with an equals sign", option->name, option->value);
    } else {
        err_set(err, ERR_INPUT, "'--%s' takes no value", option->name);
        err_hint(err, "--%s alone switches it on", option->name);
    }
    return err_at(err, "%s", table->program);
}

static bool is_key(const char *name)
{
    return config_known(name) || text_starts(name, "model_config.");
}

/* word: behind the dashes. */
static bool read_option(Arguments *arguments, const OptionTable *table, const char *word, Err *err)
{
    const size_t n = strcspn(word, "=");
    const char *value = word[n] == '=' ? word + n + 1 : NULL;
    const Option *option = find_option(table, word, n);
    if (option)
        return read_own(arguments, table, option, value, err);
    char *name = xstrndup(word, n);
    bool ok = true;
    if (!table->keys || !is_key(name)) {
        ok = unknown_option(table, name, err);
    } else if (!value) {
        ok = err_set(err, ERR_INPUT, "'--%s' has no value", name);
        err_hint(err, "--%s=VALUE, with an equals sign", name);
        err_at(err, "%s", table->program);
    } else {
        arguments->overrides[arguments->override_count++] = word;
    }
    free(name);
    return ok;
}

static bool read_argument(Arguments *arguments, const OptionTable *table, const char *word, Err *err)
{
    if (text_starts(word, "--"))
        return read_option(arguments, table, word + 2, err);
    if (strcmp(word, "-h") == 0 && find_option(table, "help", 4))
        return read_option(arguments, table, "help", err);
    if (word[0] == '-' && word[1]) {
        err_set(err, ERR_INPUT, "unknown option '%.80s'", word);
        err_hint(err, "options begin with two dashes; %s --help lists them", table->program);
        return err_at(err, "%s", table->program);
    }
    arguments->positionals[arguments->positional_count++] = word; /* "-" is a file's name too */
    return true;
}

bool options_read(Arguments *arguments, const OptionTable *table, int argc, char *const *argv, Err *err)
{
    const size_t most = argc > 0 ? (size_t)argc : 1;
    *arguments = (Arguments){ .overrides = xcalloc(most, sizeof(char *)),
                              .positionals = xcalloc(most, sizeof(char *)),
                              .expanded = xcalloc(most, sizeof(char *)) };
    bool only_positionals = false;
    for (int i = 1; i < argc; i++) {
        if (only_positionals) {
            arguments->positionals[arguments->positional_count++] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            only_positionals = true;
        } else if (!read_argument(arguments, table, argv[i], err)) {
            arguments_release(arguments);
            return false;
        }
    }
    return true;
}

void arguments_release(Arguments *arguments)
{
    for (int i = 0; i < arguments->expanded_count; i++)
        free(arguments->expanded[i]);
    free(arguments->expanded);
    free(arguments->overrides);
    free(arguments->positionals);
    *arguments = (Arguments){ 0 };
}

const char *arguments_key(const Arguments *arguments, const char *key)
{
    const size_t n = strlen(key);
    const char *value = NULL;
    for (int i = 0; i < arguments->override_count; i++)
        if (strncmp(arguments->overrides[i], key, n) == 0 && arguments->overrides[i][n] == '=')
            value = arguments->overrides[i] + n + 1;
    return value;
}

bool arguments_expect(const Arguments *arguments, const OptionTable *table, int least, int most, Err *err)
{
    if (arguments->positional_count > most)
        err_set(err, ERR_INPUT, "'%.200s' is one argument too many", arguments->positionals[most]);
    else if (arguments->positional_count < least)
        err_set(err, ERR_INPUT, "an argument is missing");
    else
        return true;
    err_hint(err, "usage: %s %s", table->program, table->arguments);
    return err_at(err, "%s", table->program);
}

static void usage(const OptionTable *table, bool all, Text *out)
{
    const bool short_one = table->first > 0 && !all;
    text_addf(out, "usage: %s %s%s[options]%s\n\n%s\n\noptions (-h is --help):\n", table->program, table->arguments,
              table->arguments[0] ? " " : "", table->keys ? " [--key=value ...]" : "", table->summary);
    for (int i = 0; i < (short_one ? table->first : table->count); i++) {
        const Option *o = &table->options[i];
        char *form = xprintf("--%s%s%s", o->name, o->value ? "=" : "", o->value ? o->value : "");
        text_addf(out, "  %-24s %s\n", form, o->help);
        free(form);
    }
    if (short_one)
        text_adds(out, "  --help=all               the other options, too\n");
    if (table->keys)
        text_adds(out, "  --help=keys              every key of the run file: default, what it takes, what it does\n"
                       "  --help=names             what becomes of each name of LoraConfig and TrainingArguments\n"
                       "\nEvery key of the run file may be given as --key=value: --lora.r=16, "
                       "--train.learning_rate=5e-4,\n--lora.target_modules=query,value, "
                       "--model_config.hidden_dropout_prob=0\n");
}

void options_help(const OptionTable *table, const char *topic, Text *out)
{
    if (!topic || strcmp(topic, "all") == 0) {
        usage(table, topic != NULL, out);
    } else if (strcmp(topic, "man") == 0) {
        options_man(table, out);
    } else if (strcmp(topic, "words") == 0) {
        options_words(table, out);
    } else if (strcmp(topic, "keys") == 0) {
        text_adds(out, "keys of the run file (name, default, what it takes; then what it does):\n\n");
        config_help(out);
        text_adds(out, "\nother defaults than PEFT's and Trainer's (name, theirs, here, why):\n\n");
        config_differences_help(out);
    } else {
        text_adds(out, "names of LoraConfig and TrainingArguments (name, their default, what becomes of it here):\n\n");
        config_names_help(out);
    }
}

bool option_int(const char *name, const char *text, int64_t min, int64_t max, int64_t *value, Err *err)
{
    char *rest;
    errno = 0;
    const long long v = strtoll(text, &rest, 10);
    if (errno == 0 && rest != text && *rest == '\0' && v >= min && v <= max) {
        *value = v;
        return true;
    }
    err_set(err, ERR_INPUT, "'%.80s' is not a whole number from %lld to %lld", text, (long long)min, (long long)max);
    return err_at(err, "--%s", name);
}
