#include "common/model/family.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* No product or sum of sizes below these overflows 64 bits. */
enum { MOST_SIZE = 1 << 22, MOST_LAYERS = 4096 };

/* ---- reading config.json -------------------------------------------------------- */

static bool read_count(const ModelArch *arch, const char *key, int64_t fallback, int64_t most, int64_t *out, Err *err)
{
    *out = json_get_int(arch->config, key, fallback, err);
    if (err->kind != ERR_NONE)
        return false;
    if (*out < 1 || *out > most)
        return err_set(err, ERR_INPUT, "'%s' is %lld, allowed is 1 to %lld", key, (long long)*out, (long long)most);
    return true;
}

bool arch_size(const ModelArch *arch, const char *key, int64_t fallback, int64_t *out, Err *err)
{
    return read_count(arch, key, fallback, MOST_SIZE, out, err);
}

bool arch_layers(ModelArch *arch, const char *key, int64_t fallback, Err *err)
{
    return read_count(arch, key, fallback, MOST_LAYERS, &arch->layers, err);
}

bool arch_dropout(const ModelArch *arch, const char *key, double fallback, double *out, Err *err)
{
    *out = json_get_real(arch->config, key, fallback, err);
    if (err->kind != ERR_NONE)
        return false;
    if (!(*out >= 0 && *out < 1))
        return err_set(err, ERR_INPUT, "'%s' is %g, allowed is 0 to below 1", key, *out);
    return true;
}

bool arch_no_layerdrop(const ModelArch *arch, const char *key, Err *err)
{
    double drop;
    if (!arch_dropout(arch, key, 0, &drop, err))
        return false;
    return drop <= 0 || err_set(err, ERR_INPUT, "a %s with '%s' is not supported", arch->family->model_type, key) ||
           err_hint(err, "model_config: {%s: 0.0}", key);
}

/* Source: transformers/activations.py, ACT2CLS. */
bool arch_activation_named(const char *name, const char *key, Activation *act, Err *err)
{
    static const struct {
        const char *name;
        Activation act;
    } known[] = {
        { "gelu", ACT_GELU },
        { "gelu_python", ACT_GELU },
        { "gelu_new", ACT_GELU_TANH },
        { "gelu_pytorch_tanh", ACT_GELU_TANH },
        { "gelu_python_tanh", ACT_GELU_TANH },
        { "gelu_accurate", ACT_GELU_TANH },
        { "gelu_fast", ACT_GELU_FAST },
        { "quick_gelu", ACT_QUICK_GELU },
        { "relu", ACT_RELU },
        { "silu", ACT_SILU },
        { "swish", ACT_SILU },
        { "tanh", ACT_TANH },
    };
    Text names = { 0 };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name) == 0) {
            *act = known[i].act;
            text_release(&names);
            return true;
        }
        text_addf(&names, "%s%s", i > 0 ? ", " : "", known[i].name);
    }
    err_set(err, ERR_INPUT, "%s '%s' is not supported", key, name);
    err_hint(err, "known are %s", names.data);
    text_release(&names);
    return false;
}

bool arch_activation(const ModelArch *arch, const char *key, const char *fallback, Activation *act, Err *err)
{
    const char *name = json_get_string(arch->config, key, fallback, err);
    return err->kind == ERR_NONE && arch_activation_named(name, key, act, err);
}

bool arch_flag(const ModelArch *arch, const char *key, bool fallback, bool *out, Err *err)
{
    *out = json_get_bool(arch->config, key, fallback, err);
    return err->kind == ERR_NONE;
}

bool arch_factor(const ModelArch *arch, const char *key, double fallback, double *out, Err *err)
{
    *out = json_get_real(arch->config, key, fallback, err);
    if (err->kind != ERR_NONE)
        return false;
    return *out > 0 || err_set(err, ERR_INPUT, "'%s' is %g, allowed is above 0", key, *out);
}

bool arch_cap(const ModelArch *arch, const char *key, double fallback, double *out, Err *err)
{
    const json_t *value = json_object_get(arch->config, key);
    *out = 0;
    if (json_is_null(value) || (!value && fallback <= 0))
        return true;
    return arch_factor(arch, key, fallback, out, err);
}

bool arch_says(const ModelArch *arch, const char *key, bool fallback)
{
    const json_t *value = json_object_get(arch->config, key);
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}

void arch_decoder(ModelArch *arch)
{
    arch->pre_norm = true;
    arch->causal = true;
    arch->padding_row = -1;
    arch->head.rows = arch->head.task->of_tokens ? READ_LABELLED : READ_LAST;
}

bool arch_initializer(ModelArch *arch, const char *key, Err *err)
{
    arch->initializer_range = json_get_real(arch->config, key, 0.02, err);
    if (err->kind != ERR_NONE)
        return false;
    return arch->initializer_range >= 0 || err_set(err, ERR_INPUT, "'%s' is out of range", key);
}

bool arch_norms(ModelArch *arch, const char *eps_key, double eps, Err *err)
{
    arch->norm_eps = json_get_real(arch->config, eps_key, eps, err);
    if (err->kind != ERR_NONE)
        return false;
    if (!(arch->norm_eps > 0))
        return err_set(err, ERR_INPUT, "'%s' is out of range", eps_key);
    return arch_initializer(arch, "initializer_range", err);
}

/* null and, without a fallback, nothing are -1; of several end tokens the first counts. */
static int64_t read_token(const ModelArch *arch, const char *key, int64_t fallback, Err *err)
{
    const json_t *value = json_object_get(arch->config, key);
    if (json_is_null(value))
        return -1;
    if (json_is_array(value) && json_is_integer(json_array_get(value, 0)))
        return json_integer_value(json_array_get(value, 0));
    return json_get_int(arch->config, key, fallback, err);
}

bool arch_tokens(ModelArch *arch, int64_t pad, int64_t bos, int64_t eos, Err *err)
{
    arch->pad_id = read_token(arch, "pad_token_id", pad, err);
    arch->bos_id = read_token(arch, "bos_token_id", bos, err);
    arch->eos_id = read_token(arch, "eos_token_id", eos, err);
    return err->kind == ERR_NONE;
}

bool arch_start(ModelArch *arch, int64_t fallback, Err *err)
{
    arch->start_id = read_token(arch, "decoder_start_token_id", fallback, err);
    if (err->kind != ERR_NONE)
        return false;
    return (arch->start_id >= 0 && arch->start_id < arch->V) ||
           err_set(err, ERR_INPUT, "'decoder_start_token_id' is %lld, the model has %lld words",
                   (long long)arch->start_id, (long long)arch->V);
}

bool arch_stacks(ModelArch *arch, const char *source_key, const char *key, int64_t fallback, Err *err)
{
    const json_t *own = json_object_get(arch->config, key);
    if (!arch_layers(arch, source_key, fallback, err))
        return false;
    arch->source_layers = arch->layers;
    if (!json_is_null(own) && !arch_layers(arch, key, own ? fallback : arch->source_layers, err))
        return false;
    arch->layers += arch->source_layers;
    return true;
}

void arch_scale_by(ModelArch *arch, double scale)
{
    arch->scales = xcalloc((size_t)arch->layers, sizeof *arch->scales);
    for (int64_t l = 0; l < arch->layers; l++)
        arch->scales[l] = scale;
}

void arch_scale(ModelArch *arch)
{
    arch_scale_by(arch, 1.0 / sqrt((double)arch->D));
}

bool arch_heads(ModelArch *arch, const char *width_key, const char *heads_key, Err *err)
{
    if (arch->C % arch->H != 0)
        return err_set(err, ERR_INPUT, "%s %lld is no multiple of %s %lld", width_key, (long long)arch->C, heads_key,
                       (long long)arch->H);
    arch->D = arch->C / arch->H;
    arch->K = arch->H;
    arch_scale(arch);
    return true;
}

/* Source: modeling_layers.GenericForTokenClassification, GPT2ForTokenClassification. */
bool arch_token_dropout(ModelArch *arch, Err *err)
{
    double hidden;
    return arch_dropout(arch, "hidden_dropout", 0.1, &hidden, err) &&
           arch_dropout(arch, "classifier_dropout", hidden, &arch->head.dropout, err);
}

bool arch_no_decoder(const ModelArch *arch, Err *err)
{
    bool decoder, cross;
    if (!arch_flag(arch, "is_decoder", false, &decoder, err) ||
        !arch_flag(arch, "add_cross_attention", false, &cross, err))
        return false;
    if (decoder || cross)
        return err_set(err, ERR_INPUT, "a %s with '%s' is not supported", arch->family->model_type,
                       decoder ? "is_decoder" : "add_cross_attention");
    return true;
}

/* A number, or two equal ones. */
static bool read_square(const ModelArch *arch, const char *key, int64_t fallback, int64_t *out, Err *err)
{
    const json_t *value = json_object_get(arch->config, key);
    if (!json_is_array(value))
        return arch_size(arch, key, fallback, out, err);
    *out = json_integer_value(json_array_get(value, 0));
    if (json_array_size(value) == 2 && *out == json_integer_value(json_array_get(value, 1)) && *out > 0 &&
        *out <= 65536)
        return true;
    return err_set(err, ERR_INPUT, "'%s' is neither a number nor two equal ones", key);
}

bool arch_image(ModelArch *arch, int64_t size, int64_t patch, Err *err)
{
    if (!read_square(arch, "image_size", size, &arch->image_size, err) ||
        !read_square(arch, "patch_size", patch, &arch->patch, err) ||
        !arch_size(arch, "num_channels", 3, &arch->channels, err))
        return false;
    if (arch->channels != 3) {
        err_set(err, ERR_INPUT, "num_channels %lld is not supported", (long long)arch->channels);
        return err_hint(err, "images are read as red, green and blue: take a model of three channels");
    }
    if (arch->image_size % arch->patch != 0 || arch->image_size / arch->patch > 1024)
        return err_set(err, ERR_INPUT, "images of %lld pixels in patches of %lld are not supported",
                       (long long)arch->image_size, (long long)arch->patch);
    const int64_t side = arch->image_size / arch->patch;
    arch->positions = side * side + 1;
    return true;
}

/* ---- listing modules --------------------------------------------------------------- */

void arch_add(ModelArch *arch, char *path, const Module *module)
{
    arch->modules = xrealloc(arch->modules, ((size_t)arch->module_count + 1) * sizeof *arch->modules);
    Module *added = &arch->modules[arch->module_count++];
    *added = *module;
    added->path = path;
}

void arch_add_linear(ModelArch *arch, char *path, int layer, Role role, int64_t out, int64_t in, bool bias)
{
    arch_add(arch, path,
             &(Module){ .kind = MODULE_LINEAR, .role = role, .layer = layer, .out = out, .in = in, .bias = bias });
}

void arch_add_table(ModelArch *arch, char *path, Role role, int64_t rows)
{
    arch_add(
        arch, path,
        &(Module){ .kind = MODULE_EMBEDDING, .role = role, .layer = -1, .out = rows, .in = arch_table_width(arch) });
}

void arch_add_norm(ModelArch *arch, char *path, int layer, Role role)
{
    arch_add(arch, path,
             &(Module){ .kind = MODULE_NORM,
                        .role = role,
                        .layer = layer,
                        .out = arch->C,
                        .bias = arch->norm == NORM_LAYER && !arch->norm_bare,
                        .is_new = role == ROLE_HEAD_NORM });
}

void arch_add_embed_norm(ModelArch *arch, char *path)
{
    arch_add_norm(arch, path, -1, ROLE_EMBED_NORM);
    if (!arch->project_first)
        arch->modules[arch->module_count - 1].out = arch_table_width(arch);
}

void arch_add_layer(ModelArch *arch, const char *stack, int layer, const LayerModule *modules, int count)
{
    arch_add_block(arch, stack, layer, 0, modules, count);
}

void arch_add_block(ModelArch *arch, const char *stack, int number, int first, const LayerModule *modules, int count)
{
    const int layer = first + number;
    for (int i = 0; i < count; i++) {
        const LayerModule *m = &modules[i];
        if (!m->name)
            continue;
        char *path = xprintf("%s.%d.%s", stack, number, m->name);
        if (m->role == ROLE_BUCKETS)
            arch_add(
                arch, path,
                &(Module){ .kind = MODULE_EMBEDDING, .role = m->role, .layer = layer, .out = m->out, .in = m->in });
        else if (m->in == 0 && m->out == arch->C)
            arch_add_norm(arch, path, layer, m->role);
        else if (m->in == 0)
            arch_add(arch, path,
                     &(Module){ .kind = MODULE_NORM, .role = m->role, .layer = layer, .out = m->out, .bias = m->bias });
        else
            arch_add_linear(arch, path, layer, m->role, m->out, m->in, m->bias);
    }
}

/* What the task puts on top: not in the base's checkpoint. */
static void add_new(ModelArch *arch, char *path, Role role, int64_t out, bool bias)
{
    arch_add(arch, path,
             &(Module){ .kind = MODULE_LINEAR,
                        .role = role,
                        .layer = -1,
                        .out = out,
                        .in = arch->C,
                        .bias = bias,
                        .is_new = true });
}

void arch_add_head(ModelArch *arch, char *path, bool bias)
{
    if (arch->head.task->embeds) {
        free(path);
        return;
    }
    const char *of_task = arch->head.task->head;
    if (of_task && arch->family->span_head)
        of_task = arch->family->span_head;
    if (of_task) {
        free(path);
        path = xstrdup(of_task);
    }
    add_new(arch, path, ROLE_HEAD, arch->head.labels, bias || of_task);
}

void arch_add_head_pooler(ModelArch *arch, char *path, bool bias)
{
    if (!arch->head.task->embeds)
        add_new(arch, path, ROLE_POOLER, arch->C, bias);
    else
        free(path);
}

void arch_add_head_norm(ModelArch *arch, char *path)
{
    if (!arch->head.task->embeds)
        arch_add_norm(arch, path, -1, ROLE_HEAD_NORM);
    else
        free(path);
}

void arch_add_idle_pooler(ModelArch *arch, char *path)
{
    if (arch->head.task->embeds)
        add_new(arch, path, ROLE_IDLE, arch->C, true);
    else
        free(path);
}

void arch_add_head_two(ModelArch *arch)
{
    if (arch->head.task->of_tokens) {
        arch_add_head(arch, xstrdup("classifier"), true);
        return;
    }
    arch_add_head_pooler(arch, xstrdup("classifier.dense"), true);
    arch_add_head(arch, xstrdup("classifier.out_proj"), true);
}

void arch_add_lm_head(ModelArch *arch, bool bias)
{
    arch_add(arch, xstrdup("lm_head"),
             &(Module){ .kind = MODULE_LINEAR,
                        .role = ROLE_HEAD,
                        .layer = -1,
                        .out = arch->V,
                        .in = arch->C,
                        .bias = bias,
                        .tied = arch->tied });
}
