/* config_allowed - what a row of the table allows, in words; what a number is. Declared in config_table.h. */
#include "common/config/config_table.h"

#include <ctype.h>
#include <string.h>

static void add_range(const ConfigKey *key, Text *out)
{
    text_addf(out, "%s %.15g to %s%.15g", key->flags & KEY_ABOVE ? "above" : "from", key->min,
              key->flags & KEY_BELOW ? "below " : "", key->max);
}

int config_word_stem(const KeyWord *word)
{
    const size_t n = strlen(word->name);
    return n > 2 && strcmp(word->name + n - 2, "_N") == 0 ? (int)n - 1 : 0;
}

static void add_words(const ConfigKey *key, bool later, const char *before, Text *out)
{
    const char *comma = before;
    for (const KeyWord *w = key->words; w && w->name; w++) {
        if (w->later != later)
            continue;
        text_addf(out, "%s%s", comma, w->name);
        comma = ", ";
    }
    if (later && comma != before)
        text_adds(out, ")");
}

void config_allowed(const ConfigKey *key, Text *out)
{
    switch (key->type) {
    case KEY_TEXT:
        text_adds(out, key->flags & KEY_ADDRESS ? "tcp://HOST:PORT" : "a text");
        break;
    case KEY_PATH:
    case KEY_MODEL:
        text_adds(out, key->type == KEY_PATH ? "a path" : "a folder or a hub name");
        break;
    case KEY_INT:
    case KEY_REAL:
        text_adds(out, key->type == KEY_INT ? "a whole number " : "a number ");
        add_range(key, out);
        break;
    case KEY_BOOL:
        text_adds(out, "true or false");
        break;
    case KEY_WORD:
        add_words(key, false, "", out);
        add_words(key, true, " (not supported yet: ", out);
        break;
    case KEY_NAMES:
    case KEY_PATHS:
        text_adds(out, key->type == KEY_NAMES ? "a list of names" : "a path or a list of paths");
        break;
    case KEY_PATTERNS:
        text_addf(out, "a map of names to %snumbers ", key->flags & KEY_WHOLE ? "whole " : "");
        add_range(key, out);
        break;
    case KEY_LABELS:
        text_adds(out, "a list of names, or their count");
        break;
    case KEY_TARGETS:
        text_adds(out, "a list of names, a regular expression, all-linear");
        break;
    case KEY_EXCLUDES:
        text_adds(out, "a list of names, a regular expression");
        break;
    case KEY_LAYERS:
        text_adds(out, "a list of whole numbers ");
        add_range(key, out);
        break;
    case KEY_OBJECT:
        text_adds(out, key->flags & KEY_LISTED ? "a list, or a map" : "a map");
        for (const KeyWord *word = key->words; word && word->name; word++)
            text_addf(out, ", or %s", word->name);
        break;
    case KEY_FIXED:
        text_adds(out, key->initial);
        if (key->words)
            add_words(key, true, " (not supported yet: ", out);
        else
            text_adds(out, " (others are not supported yet)");
        return;
    }
    text_adds(out, key->flags & KEY_AUTO ? ", or auto" : "");
    text_adds(out, key->flags & KEY_NULL ? ", or null" : "");
}

static const char *digits(const char *p, int *seen)
{
    while (isdigit((unsigned char)*p))
        p++, (*seen)++;
    return p;
}

bool config_is_number(const char *text)
{
    int mantissa = 0, exponent = 1;
    const char *p = text + (*text == '-' || *text == '+');
    p = digits(p, &mantissa);
    if (*p == '.')
        p = digits(p + 1, &mantissa);
    if (mantissa > 0 && (*p == 'e' || *p == 'E')) {
        exponent = 0;
        p++;
        p = digits(p + (*p == '-' || *p == '+'), &exponent);
    }
    return mantissa > 0 && exponent > 0 && *p == '\0';
}
