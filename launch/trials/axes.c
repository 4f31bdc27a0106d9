#include "launch/trials/axes.h"

#include "common/base/maths.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double FACTORS = 10; /* from this ratio on a range is drawn by the logarithm */

/* ---- reading ----------------------------------------------------------------------------------- */

/* Length of the value at the beginning of a list. */
static size_t value_length(const char *text)
{
    int depth = 0;
    char quote = 0;
    size_t n = 0;
    for (; text[n] && (quote || depth > 0 || text[n] != ','); n++) {
        if (quote)
            quote = text[n] == quote ? 0 : quote;
        else if (text[n] == '"' || text[n] == '\'')
            quote = text[n];
        else
            depth += (strchr("[{(", text[n]) != NULL) - (strchr("]})", text[n]) != NULL);
    }
    return n;
}

static bool is_whole(const char *text, size_t n)
{
    return n > 0 && strspn(text, "+-0123456789") >= n;
}

/* LOW..HIGH */
static bool read_range(Axis *axis, const char *text)
{
    char *rest, *end;
    const char *dots = strstr(text, "..");
    axis->low = strtod(text, &rest);
    if (!dots || dots == text)
        return false;
    /* "1..8": strtod takes the first dot for a decimal point */
    char *low = xstrndup(text, (size_t)(dots - text));
    axis->low = strtod(low, &rest);
    axis->high = strtod(dots + 2, &end);
    axis->whole = is_whole(text, (size_t)(dots - text)) && is_whole(dots + 2, strlen(dots + 2));
    const bool ok = *rest == '\0' && end > dots + 2 && *end == '\0' && isfinite(axis->low) && isfinite(axis->high) &&
                    axis->low < axis->high;
    free(low);
    axis->by_factors = ok && axis->low > 0 && axis->high / axis->low >= FACTORS;
    axis->range = ok;
    return ok;
}

static bool read_values(Axis *axis, const char *text)
{
    for (;;) {
        const size_t n = value_length(text);
        if (n == 0)
            return false;
        command_words_add(&axis->values, xstrndup(text, n));
        if (!text[n])
            return true;
        text += n + 1;
    }
}

static bool bad(const char *word, const char *what, Err *err)
{
    err_set(err, ERR_INPUT, "'%.200s' %s", word, what);
    return err_hint(err, "'lora.r=4,8,16'; with --random also 'train.learning_rate=1e-5..1e-3'");
}

static bool is_there(const Axes *axes, const char *key)
{
    for (int i = 0; i + 1 < axes->count; i++)
        if (strcmp(axes->items[i].key, key) == 0)
            return true;
    return false;
}

static bool read_axis(Axes *axes, const char *word, bool ranges, Err *err)
{
    const size_t n = strcspn(word, "=");
    if (n == 0 || word[n] != '=')
        return bad(word, "is no setting with its values", err);
    if (axes->count == AXES_MOST)
        return err_set(err, ERR_INPUT, "a sweep goes over %d settings at the most", AXES_MOST);
    Axis *axis = &axes->items[axes->count++];
    *axis = (Axis){ .key = xstrndup(word, n) };
    if (is_there(axes, axis->key))
        return bad(word, "names a setting twice", err);
    if (strcmp(axis->key, "train.output_dir") == 0)
        return bad(word, "is the command's own: each trial has a folder in --out", err);
    if (strstr(word, "..") && read_range(axis, word + n + 1))
        return ranges || bad(word, "is a range, and a grid has single values", err);
    return read_values(axis, word + n + 1) || bad(word, "has an empty value", err);
}

bool axes_read(Axes *axes, const char *const *words, int count, bool ranges, Err *err)
{
    *axes = (Axes){ 0 };
    bool ok = true;
    for (int i = 0; ok && i < count; i++)
        ok = read_axis(axes, words[i], ranges, err);
    if (!ok)
        axes_release(axes);
    return ok;
}

void axes_release(Axes *axes)
{
    for (int i = 0; i < axes->count; i++) {
        free(axes->items[i].key);
        command_words_release(&axes->items[i].values);
    }
    *axes = (Axes){ 0 };
}

/* ---- trials --------------------------------------------------------------------------------------- */

/* Of the words KEY=VALUE, which it takes. */
static void add_trial(TrialList *trials, const char *place, CommandWords *changes)
{
    Text name = { 0 };
    for (int i = 0; i < changes->count; i++)
        text_addf(&name, "%s%s", i ? "_" : "", changes->items[i]);
    Trial *trial = trial_add(trials, place, name.data);
    for (int i = 0; i + 1 < trials->count; i++)
        if (strcmp(trials->items[i].name, trial->name) == 0) { /* alike */
            free(trial->name);
            free(trial->folder);
            command_words_release(changes);
            trials->count--;
            text_release(&name);
            return;
        }
    trial->changes = *changes;
    *changes = (CommandWords){ 0 };
    text_release(&name);
}

bool axes_grid(const Axes *axes, TrialList *trials, const char *place, Err *err)
{
    int64_t all = 1;
    for (int i = 0; i < axes->count && all <= AXES_TRIALS; i++)
        all *= axes->items[i].values.count;
    if (all > AXES_TRIALS)
        return err_set(err, ERR_INPUT, "a grid has %d trials at the most", AXES_TRIALS);
    for (int64_t t = 0; t < all; t++) {
        CommandWords changes = { 0 };
        int64_t rest = all, at = t;
        for (int i = 0; i < axes->count; i++) {
            const Axis *axis = &axes->items[i];
            rest /= axis->values.count;
            command_words_add(&changes, xprintf("%s=%s", axis->key, axis->values.items[at / rest]));
            at %= rest;
        }
        add_trial(trials, place, &changes);
    }
    return true;
}

/* Three digits are enough for a rate, and make names that people can read. */
static char *draw(const Axis *axis, double u)
{
    if (!axis->range)
        return xprintf("%s=%s", axis->key, axis->values.items[(int)(u * axis->values.count)]);
    const double high = axis->whole ? axis->high + 1 : axis->high;
    double value = axis->low + u * (high - axis->low);
    if (axis->by_factors)
        value = axis->low * maths_pow(high / axis->low, u);
    return axis->whole ? xprintf("%s=%.0f", axis->key, floor(value)) : xprintf("%s=%.3g", axis->key, value);
}

void axes_random(const Axes *axes, TrialList *trials, const char *place, int64_t n, uint64_t seed)
{
    for (int64_t t = 0; t < n; t++) {
        CommandWords changes = { 0 };
        const RngKey key = rng_key(seed, t, 0, 0);
        for (int i = 0; i < axes->count; i++)
            command_words_add(&changes, draw(&axes->items[i], rng_uniform(key, (uint32_t)i)));
        add_trial(trials, place, &changes);
    }
}
