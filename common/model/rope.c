/* DESIGN. config.json holds either rope_theta and rope_scaling (Transformers 4) or
 * rope_parameters with both (5). They are read into a RopeSettings once to be checked when
 * the model is opened, and again whenever frequencies are asked for.
 * Source: Transformers 5.23, modeling_rope_utils.py. */
#include "common/model/rope.h"
#include "common/base/maths.h"

#include "common/base/json.h"
#include "common/base/mem.h"

#include <math.h>
#include <string.h>

typedef enum { ROPE_DEFAULT, ROPE_LINEAR, ROPE_DYNAMIC, ROPE_LLAMA3, ROPE_YARN, ROPE_LONGROPE, ROPE_KINDS } RopeKind;

static const char *const kind_names[ROPE_KINDS] = { "default", "linear", "dynamic", "llama3", "yarn", "longrope" };

typedef struct RopeSettings {
    RopeKind kind;
    const json_t *from; /* rope_scaling or rope_parameters; may be NULL */
    double theta, factor;
    double now; /* max_position_embeddings */
    double original; /* longest sequence before it was stretched */
    double low, high; /* llama3: of frequencies; yarn: of rotations */
    double attention; /* of cosines and sines */
    const json_t *by_pair; /* longrope: short_factor */
    const json_t *by_pair2; /* longrope: long_factor, of sequences beyond the original length */
} RopeSettings;

/* ---- reading ------------------------------------------------------------------ */

static bool read_kind(RopeSettings *rope, Err *err)
{
    const char *old = json_get_string(rope->from, "type", "default", err);
    const char *name = json_get_string(rope->from, "rope_type", old, err);
    if (err->kind != ERR_NONE)
        return false;
    for (int i = 0; i < ROPE_KINDS; i++) {
        if (strcmp(name, kind_names[i]) == 0) {
            rope->kind = (RopeKind)i;
            return true;
        }
    }
    err_set(err, ERR_INPUT, "rope_type '%s' is not supported", name);
    return err_hint(err, "known are default, linear, dynamic, llama3, yarn, longrope");
}

/* Above zero, and finite as all numbers of JSON are. The fallback 0: it has to be there. */
static bool read_positive(const RopeSettings *rope, const char *key, double fallback, double *out, Err *err)
{
    *out = json_get_real(rope->from, key, fallback, err);
    if (err->kind != ERR_NONE)
        return false;
    if (*out > 0)
        return true;
    if (!json_object_get(rope->from, key))
        return err_set(err, ERR_INPUT, "rope_type '%s' without '%s'", kind_names[rope->kind], key);
    return err_set(err, ERR_INPUT, "'%s' is %g, allowed is above 0", key, *out);
}

/* Of the model, else of the rope, else what the model has now. */
static bool read_original(RopeSettings *rope, const ModelArch *arch, Err *err)
{
    static const char key[] = "original_max_position_embeddings";
    const double own = json_get_real(rope->from, key, rope->now, err);
    rope->original = json_get_real(arch->config, key, own, err);
    if (err->kind != ERR_NONE)
        return false;
    return rope->original > 1 || err_set(err, ERR_INPUT, "'%s' is %g, allowed is above 1", key, rope->original);
}

static double yarn_scale(double factor, double by)
{
    return factor <= 1 ? 1 : 0.1 * by * maths_log(factor) + 1;
}

static bool read_yarn(RopeSettings *rope, Err *err)
{
    const double one = json_get_real(rope->from, "mscale", 0, err);
    const double all = json_get_real(rope->from, "mscale_all_dim", 0, err);
    double usual = yarn_scale(rope->factor, 1);
    if (one != 0 && all != 0)
        usual = yarn_scale(rope->factor, one) / yarn_scale(rope->factor, all);
    rope->attention = json_get_real(rope->from, "attention_factor", usual, err);
    if (err->kind != ERR_NONE)
        return false;
    if (!(rope->theta > 1))
        return err_set(err, ERR_INPUT, "rope_type 'yarn' with a rope_theta of %g", rope->theta);
    return read_positive(rope, "beta_fast", 32, &rope->high, err) &&
           read_positive(rope, "beta_slow", 1, &rope->low, err);
}

static bool read_pairs(const RopeSettings *rope, const char *key, int64_t pairs, const json_t **out, Err *err)
{
    const json_t *list = json_object_get(rope->from, key);
    *out = list;
    bool ok = json_is_array(list) && (int64_t)json_array_size(list) == pairs;
    for (int64_t i = 0; ok && i < pairs; i++)
        ok = json_number_value(json_array_get(list, (size_t)i)) > 0;
    return ok || err_set(err, ERR_INPUT, "'%s' is not a list of %lld numbers above 0", key, (long long)pairs);
}

static bool read_longrope(RopeSettings *rope, const ModelArch *arch, Err *err)
{
    const double usual = rope->factor <= 1 ? 1 : sqrt(1 + maths_log(rope->factor) / maths_log(rope->original));
    rope->attention = json_get_real(rope->from, "attention_factor", usual, err);
    const int64_t pairs = arch_rotated(arch) / 2;
    return err->kind == ERR_NONE && read_pairs(rope, "short_factor", pairs, &rope->by_pair, err) &&
           read_pairs(rope, "long_factor", pairs, &rope->by_pair2, err);
}

static bool read_llama3(RopeSettings *rope, Err *err)
{
    if (!read_positive(rope, "low_freq_factor", 0, &rope->low, err) ||
        !read_positive(rope, "high_freq_factor", 0, &rope->high, err))
        return false;
    return rope->high > rope->low ||
           err_set(err, ERR_INPUT, "high_freq_factor %g is not above low_freq_factor %g", rope->high, rope->low);
}

static bool read_stretch(RopeSettings *rope, const ModelArch *arch, Err *err)
{
    if (rope->kind == ROPE_DEFAULT)
        return true;
    if (!read_original(rope, arch, err))
        return false;
    /* where it may be left out, it is the ratio of lengths */
    const bool ratio = rope->kind == ROPE_YARN || rope->kind == ROPE_LONGROPE;
    if (!read_positive(rope, "factor", ratio ? rope->now / rope->original : 0, &rope->factor, err))
        return false;
    switch (rope->kind) {
    case ROPE_LLAMA3:
        return read_llama3(rope, err);
    case ROPE_YARN:
        return read_yarn(rope, err);
    case ROPE_LONGROPE:
        return read_longrope(rope, arch, err);
    default:
        return true;
    }
}

/* What a family does not read is refused where it says anything. */
static bool check_flat(const RopeSettings *rope, const ModelArch *arch, Err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)rope->from, key, value)
    {
        if (json_is_object(value))
            return err_set(err, ERR_INPUT, "rope parameters of their own for '%s' are not supported", key);
    }
    const double part = json_get_real(rope->from, "partial_rotary_factor", 1, err);
    if (err->kind == ERR_NONE && part != 1 && arch->rotated == 0)
        err_set(err, ERR_INPUT, "a partial_rotary_factor of %g is not supported", part);
    return err->kind == ERR_NONE;
}

static bool find_settings(const ModelArch *arch, const json_t **from, Err *err)
{
    static const char *const keys[] = { "rope_scaling", "rope_parameters" };
    *from = NULL;
    for (size_t i = 0; i < 2 && !*from; i++) {
        const json_t *value = json_object_get(arch->config, keys[i]);
        if (value && !json_is_null(value) && !json_is_object(value))
            return err_set(err, ERR_INPUT, "'%s' is not an object", keys[i]);
        if (json_object_size(value) > 0)
            *from = value;
    }
    return true;
}

/* rope_parameters of models with several kinds of layers are an object for each. */
static bool read(RopeSettings *rope, const ModelArch *arch, int set, Err *err)
{
    static const char *const kinds[ROPE_SETS] = { "full_attention", "sliding_attention" };
    *rope = (RopeSettings){ .attention = 1 };
    if (!find_settings(arch, &rope->from, err))
        return false;
    const json_t *own = arch->rope_sets ? json_object_get(rope->from, kinds[set]) : NULL;
    if (json_is_object(own))
        rope->from = own;
    if (!check_flat(rope, arch, err) || !read_kind(rope, err))
        return false;
    const double theta = json_get_real(arch->config, "rope_theta", 10000, err);
    rope->now = json_get_real(arch->config, "max_position_embeddings", 0, err);
    return err->kind == ERR_NONE && read_positive(rope, "rope_theta", theta, &rope->theta, err) &&
           read_stretch(rope, arch, err);
}

static json_t *read_of_layers(ModelArch *arch, const char *name, RopeOfLayers kind)
{
    const json_t *given = json_object_get(json_object_get(arch->config, "rope_parameters"), name);
    const json_t *base = json_object_get(arch->config, kind.key);
    const json_t *scaling = json_object_get(arch->config, "rope_scaling");
    json_t *own = json_is_object(given) ? json_deep_copy(given) : json_object();
    if (kind.scaled && json_is_object(scaling))
        json_object_update(own, (json_t *)(uintptr_t)scaling);
    if (!json_object_get(own, "rope_theta"))
        json_object_set_new(own, "rope_theta", json_real(json_is_number(base) ? json_number_value(base) : kind.theta));
    json_object_set(arch->config, kind.key, json_object_get(own, "rope_theta"));
    return own;
}

void rope_read_kinds(ModelArch *arch, RopeOfLayers full, RopeOfLayers slides)
{
    json_t *both = json_object();
    json_object_set_new(both, "full_attention", read_of_layers(arch, "full_attention", full));
    json_object_set_new(both, "sliding_attention", read_of_layers(arch, "sliding_attention", slides));
    json_object_del(arch->config, "rope_scaling");
    json_object_set_new(arch->config, "rope_parameters", both);
}

bool rope_read_part(ModelArch *arch, const char *key, double fallback, Err *err)
{
    const json_t *from;
    if (!find_settings(arch, &from, err))
        return false;
    const double own = json_get_real(arch->config, key, fallback, err);
    const double part = json_get_real(from, "partial_rotary_factor", own, err);
    if (err->kind != ERR_NONE)
        return false;
    if (!(part > 0 && part <= 1))
        return err_set(err, ERR_INPUT, "'%s' is %g, allowed is above 0 to 1", key, part);
    arch->rotated = (int64_t)((double)arch->D * part);
    return arch->rotated > 0 ||
           err_set(err, ERR_INPUT, "'%s' %g of a head size of %lld turns nothing", key, part, (long long)arch->D);
}

bool rope_check(ModelArch *arch, Err *err)
{
    RopeSettings rope, other;
    if (arch_rotated(arch) % 2 != 0) {
        err_set(err, ERR_INPUT, "a head size of %lld is odd: rotary positions turn pairs",
                (long long)arch_rotated(arch));
        return false;
    }
    /* arch_rope will ask again, when positions may be more */
    json_object_set_new(arch->config, "max_position_embeddings", json_integer(arch->positions));
    if (!read(&rope, arch, 0, err) || !read(&other, arch, 1, err))
        return false;
    if (rope.kind != ROPE_DYNAMIC)
        return true;
    if (arch_rotated(arch) <= 2)
        return err_set(err, ERR_INPUT, "rope_type 'dynamic' with a head size of 2");
    if (rope.factor > 1 && rope.factor < 4096)
        arch->positions = (int64_t)((double)arch->positions * rope.factor);
    return true;
}

/* ---- frequencies ---------------------------------------------------------------- */

/* theta^(-2j/D) */
static double frequency(double theta, int64_t j, int64_t D)
{
    return 1.0 / maths_pow(theta, 2.0 * (double)j / (double)D);
}

/* Long waves are stretched, short ones are not, between them it slides. */
static double stretch_llama3(const RopeSettings *rope, double f)
{
    const double turns = rope->original * f / (2 * M_PI); /* in the original length */
    if (turns > rope->high)
        return f;
    if (turns < rope->low)
        return f / rope->factor;
    const double smooth = (turns - rope->low) / (rope->high - rope->low);
    return (1 - smooth) * f / rope->factor + smooth * f;
}

/* The pair that turns so many times in the original length, as a real number. */
static double yarn_pair(const RopeSettings *rope, double turns, int64_t D)
{
    return (double)D * maths_log(rope->original / (turns * 2 * M_PI)) / (2 * maths_log(rope->theta));
}

static double stretch_yarn(const RopeSettings *rope, double f, int64_t j, int64_t D)
{
    double from = yarn_pair(rope, rope->high, D), to = yarn_pair(rope, rope->low, D);
    const json_t *cut = json_object_get(rope->from, "truncate");
    if (!json_is_false(cut)) {
        from = floor(from);
        to = ceil(to);
    }
    from = fmax(from, 0);
    to = fmin(to, (double)(D - 1));
    if (from == to)
        to += 0.001;
    const double stretched = fmin(fmax(((double)j - from) / (to - from), 0), 1);
    return f / rope->factor * stretched + f * (1 - stretched);
}

static double pair_frequency(const RopeSettings *rope, const ModelArch *arch, int64_t length, int64_t j)
{
    const int64_t R = arch_rotated(arch);
    const double f = frequency(rope->theta, j, R);
    switch (rope->kind) {
    case ROPE_LINEAR:
        return f / rope->factor;
    case ROPE_DYNAMIC: {
        const double D = (double)R;
        const double long_by = fmax((double)length / rope->now, 1);
        const double by = maths_pow(rope->factor * long_by - (rope->factor - 1), D / (D - 2));
        return frequency(rope->theta * by, j, R);
    }
    case ROPE_LLAMA3:
        return stretch_llama3(rope, f);
    case ROPE_YARN:
        return stretch_yarn(rope, f, j, R);
    case ROPE_LONGROPE:
        return f / json_number_value(
                       json_array_get((double)length > rope->original ? rope->by_pair2 : rope->by_pair, (size_t)j));
    default:
        return f;
    }
}

int64_t arch_rotated(const ModelArch *arch)
{
    return arch->rotated > 0 ? arch->rotated : arch->D;
}

int arch_rope_set(const ModelArch *arch, int64_t layer)
{
    return !arch->rope ? ROPE_STANDS : arch->rope_sets ? arch->rope_sets[layer] : 0;
}

double arch_rope(const ModelArch *arch, int set, int64_t length, double *inverse)
{
    RopeSettings rope;
    Err err = { 0 };
    REQUIRE(arch->rope && read(&rope, arch, set, &err)); /* checked when it was opened */
    /* Transformers keeps them as f32, and long positions show it */
    for (int64_t j = 0; j < arch_rotated(arch) / 2; j++)
        inverse[j] = (float)pair_frequency(&rope, arch, length, j);
    return rope.attention;
}

bool arch_rope_of_batch(const ModelArch *arch)
{
    RopeSettings rope;
    Err err = { 0 };
    return arch->rope && read(&rope, arch, 0, &err) && rope.kind == ROPE_LONGROPE;
}
