/* schedule_options - lr_scheduler_kwargs: which options a schedule has, and what they may be. Declared in schedule.h. */
#include "common/base/text.h"
#include "common/optim/schedule.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

typedef enum { FORM_NUMBER, FORM_BELOW, FORM_POSITIVE, FORM_STEPS, FORM_WORD } Form;

typedef struct ScheduleOption {
    RateKind kind;
    const char *name;
    Form form;
    size_t offset; /* of a double, or of an enum */
    double initial, most; /* FORM_BELOW: less than most */
    const char *const *words; /* of FORM_WORD, by the enum's values; NULL behind the last */
} ScheduleOption;

_Static_assert(sizeof(RateBend) == sizeof(int) && sizeof(PlateauMode) == sizeof(int) &&
                   sizeof(PlateauThreshold) == sizeof(int),
               "a word is written as an int");

#define AT(field) offsetof(Schedule, field)

enum { MOST_CYCLES = 1000000, MOST_POWER = 1000 };

static const char *const bends[] = { "linear", "cosine", "1-sqrt", NULL }; /* RateBend */
static const char *const modes[] = { "min", "max", NULL }; /* PlateauMode */
static const char *const thresholds[] = { "rel", "abs", NULL }; /* PlateauThreshold */

/* The least rate itself; some schedules take it instead of a share of the highest. */
static const char min_lr[] = "min_lr";

/* clang-format off */
static const ScheduleOption options[] = {
    { RATE_COSINE, "num_cycles", FORM_NUMBER, AT(cycles), 0.5, MOST_CYCLES, NULL },
    { RATE_COSINE_WITH_RESTARTS, "num_cycles", FORM_NUMBER, AT(cycles), 1, MOST_CYCLES, NULL },
    { RATE_COSINE_WITH_MIN_LR, "num_cycles", FORM_NUMBER, AT(cycles), 0.5, MOST_CYCLES, NULL },
    { RATE_COSINE_WITH_MIN_LR, "min_lr_rate", FORM_NUMBER, AT(least), -1, 1, NULL },
    { RATE_COSINE_WARMUP_WITH_MIN_LR, "num_cycles", FORM_NUMBER, AT(cycles), 0.5, MOST_CYCLES, NULL },
    { RATE_COSINE_WARMUP_WITH_MIN_LR, "min_lr_rate", FORM_NUMBER, AT(least), -1, 1, NULL },
    { RATE_COSINE_WARMUP_WITH_MIN_LR, "warmup_lr_rate", FORM_NUMBER, AT(begin), -1, 1, NULL },
    { RATE_POLYNOMIAL, "lr_end", FORM_NUMBER, AT(lr_end), 1e-7, 100, NULL },
    { RATE_POLYNOMIAL, "power", FORM_NUMBER, AT(power), 1, MOST_POWER, NULL },
    { RATE_INVERSE_SQRT, "timescale", FORM_POSITIVE, AT(timescale), 0, 1e12, NULL },
    { RATE_WARMUP_STABLE_DECAY, "num_decay_steps", FORM_STEPS, AT(decay), -1, 1e12, NULL },
    { RATE_WARMUP_STABLE_DECAY, "num_stable_steps", FORM_STEPS, AT(stable), -1, 1e12, NULL },
    { RATE_WARMUP_STABLE_DECAY, "warmup_type", FORM_WORD, AT(warmup_bend), BEND_LINEAR, 0, bends },
    { RATE_WARMUP_STABLE_DECAY, "decay_type", FORM_WORD, AT(decay_bend), BEND_COSINE, 0, bends },
    { RATE_WARMUP_STABLE_DECAY, "min_lr_ratio", FORM_NUMBER, AT(least), 0, 1, NULL },
    { RATE_WARMUP_STABLE_DECAY, "num_cycles", FORM_NUMBER, AT(cycles), 0.5, MOST_CYCLES, NULL },
    { RATE_REDUCE_ON_PLATEAU, "mode", FORM_WORD, AT(mode), PLATEAU_MIN, 0, modes },
    { RATE_REDUCE_ON_PLATEAU, "factor", FORM_BELOW, AT(factor), 0.1, 1, NULL },
    { RATE_REDUCE_ON_PLATEAU, "patience", FORM_STEPS, AT(patience), 10, 1e12, NULL },
    { RATE_REDUCE_ON_PLATEAU, "threshold", FORM_NUMBER, AT(threshold), 1e-4, 1e12, NULL },
    { RATE_REDUCE_ON_PLATEAU, "threshold_mode", FORM_WORD, AT(threshold_mode), PLATEAU_REL, 0, thresholds },
    { RATE_REDUCE_ON_PLATEAU, "cooldown", FORM_STEPS, AT(cooldown), 0, 1e12, NULL },
    { RATE_REDUCE_ON_PLATEAU, min_lr, FORM_NUMBER, AT(min_lr), 0, 100, NULL },
    { RATE_REDUCE_ON_PLATEAU, "eps", FORM_NUMBER, AT(eps), 1e-8, 100, NULL },
};
/* clang-format on */

enum { OPTIONS = sizeof options / sizeof options[0] };

static bool has_least(RateKind kind)
{
    return kind == RATE_COSINE_WITH_MIN_LR || kind == RATE_COSINE_WARMUP_WITH_MIN_LR;
}

static const ScheduleOption *find(RateKind kind, const char *name)
{
    for (int i = 0; i < OPTIONS; i++)
        if (options[i].kind == kind && strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

static void put(Schedule *s, const ScheduleOption *o, double value)
{
    char *field = (char *)s + o->offset;
    const int word = o->form == FORM_WORD ? (int)value : 0;
    if (o->form == FORM_WORD)
        memcpy(field, &word, sizeof word);
    else
        memcpy(field, &value, sizeof value);
}

static bool unknown(RateKind kind, const char *name, Err *err)
{
    Text list = { 0 };
    for (int i = 0; i < OPTIONS; i++)
        if (options[i].kind == kind)
            text_addf(&list, "%s%s", list.size > 0 ? ", " : "", options[i].name);
    if (has_least(kind))
        text_addf(&list, ", %s", min_lr);
    err_set(err, ERR_INPUT, "the schedule has no option '%.80s'", name);
    err_hint(err, list.size > 0 ? "it has %s" : "it has none: remove it%s", list.size > 0 ? list.data : "");
    text_release(&list);
    return false;
}

static bool read_word(Schedule *s, const ScheduleOption *o, const json_t *value, Err *err)
{
    Text list = { 0 };
    for (int i = 0; o->words[i]; i++) {
        if (json_is_string(value) && strcmp(o->words[i], json_string_value(value)) == 0) {
            put(s, o, i);
            text_release(&list);
            return true;
        }
        text_addf(&list, "%s%s", i > 0 ? " or " : "", o->words[i]);
    }
    err_set(err, ERR_INPUT, "%s is not %s", o->name, list.data);
    err_hint(err, "write %s: %s, or another of them", o->name, o->words[0]);
    text_release(&list);
    return false;
}

static bool read_number(const char *name, Form form, double most, const json_t *json, double *value, Err *err)
{
    const double v = json_number_value(json); /* 0 where it is none */
    const bool whole = form == FORM_STEPS;
    const bool low = form == FORM_POSITIVE ? !(v > 0) : !(v >= 0);
    const bool high = form == FORM_BELOW ? !(v < most) : !(v <= most);
    if (!json_is_number(json) || low || high || (whole && v != floor(v))) {
        err_set(err, ERR_INPUT, "%s is not a %snumber it may be", name, whole ? "whole " : "");
        return err_hint(err, "it takes %s %s 0 to %s%.15g", whole ? "whole numbers" : "numbers",
                        form == FORM_POSITIVE ? "above" : "from", form == FORM_BELOW ? "below " : "", most);
    }
    *value = v;
    return true;
}

/* min_lr, which is a rate. */
static bool read_least(Schedule *s, const json_t *json, Err *err)
{
    double v = 0;
    if (s->least >= 0) {
        err_set(err, ERR_INPUT, "the least learning rate is given as %s and as min_lr_rate", min_lr);
        return err_hint(err, "keep one of them");
    }
    if (!read_number(min_lr, FORM_NUMBER, 100, json, &v, err))
        return false;
    if (!(s->rate > 0) || v > s->rate) {
        err_set(err, ERR_INPUT, "%s is %.15g, above the learning rate %.15g", min_lr, v, s->rate);
        return err_hint(err, "lower it, or raise learning_rate");
    }
    s->least = v / s->rate;
    return true;
}

static bool read_option(Schedule *s, const char *name, const json_t *json, Err *err)
{
    const ScheduleOption *o = find(s->kind, name);
    double value = 0;
    if (!o)
        return has_least(s->kind) && strcmp(name, min_lr) == 0 ? true : unknown(s->kind, name, err);
    if (json_is_null(json))
        return true; /* as if it were not there */
    if (o->form == FORM_WORD)
        return read_word(s, o, json, err);
    if (!read_number(o->name, o->form, o->most, json, &value, err))
        return false;
    put(s, o, value);
    return true;
}

/* What a schedule cannot do without. */
static bool is_whole(const Schedule *s, Err *err)
{
    if (has_least(s->kind) && s->least < 0) {
        err_set(err, ERR_INPUT, "the schedule needs its least learning rate");
        return err_hint(err, "lr_scheduler_kwargs: {min_lr_rate: 0.1}, a share of learning_rate, or {min_lr: RATE}");
    }
    if (s->kind == RATE_WARMUP_STABLE_DECAY && s->decay < 0) {
        err_set(err, ERR_INPUT, "the schedule needs the number of steps in which the learning rate falls");
        return err_hint(err, "lr_scheduler_kwargs: {num_decay_steps: 100}");
    }
    if (s->kind == RATE_POLYNOMIAL && !(s->rate > s->lr_end)) {
        err_set(err, ERR_INPUT, "lr_end is %.15g, not below the learning rate %.15g", s->lr_end, s->rate);
        return err_hint(err, "lower it, or raise learning_rate");
    }
    if (s->min_lr > s->rate) {
        err_set(err, ERR_INPUT, "%s is %.15g, above the learning rate %.15g", min_lr, s->min_lr, s->rate);
        return err_hint(err, "lower it, or raise learning_rate");
    }
    return true;
}

bool schedule_init(Schedule *s, RateKind kind, double rate, const json_t *given, Err *err)
{
    *s = (Schedule){ .kind = kind, .rate = rate };
    for (int i = 0; i < OPTIONS; i++)
        if (options[i].kind == kind)
            put(s, &options[i], options[i].initial);
    const char *name;
    json_t *value;
    /* json_object_foreach wants a mutable object, and leaves it as it is */
    json_object_foreach((json_t *)(uintptr_t)given, name, value)
    {
        if (!read_option(s, name, value, err))
            return false;
    }
    const json_t *least = has_least(kind) ? json_object_get(given, min_lr) : NULL;
    if (least && !json_is_null(least) && !read_least(s, least, err))
        return false;
    return is_whole(s, err);
}
