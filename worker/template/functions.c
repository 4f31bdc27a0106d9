/* Functions, and the method of `loop`. */
#include "worker/template/builtins.h"

#include <stdlib.h>

static bool range(Call *c)
{
    enum { MOST = 100000 }; /* Jinja's sandbox has the same bound */
    int64_t a, b, step;
    if (!call_whole(c, 0, "start", 0, &a) || !call_whole(c, 1, "stop", 0, &b) || !call_whole(c, 2, "step", 1, &step))
        return false;
    const int64_t begin = c->args.count > 1 ? a : 0, end = c->args.count > 1 ? b : a;
    if (step == 0 || llabs(begin) > INT32_MAX || llabs(end) > INT32_MAX || llabs(step) > INT32_MAX ||
        llabs(end - begin) / llabs(step) > MOST)
        return call_fail(c, "the range is too large or has no step");
    c->out = value_list(c->r->pool, VALUE_LIST);
    for (int64_t i = begin; step > 0 ? i < end : i > end; i += step)
        list_add(c->r->pool, c->out.list, value_int(i));
    return true;
}

static bool make_dict(Call *c, ValueKind kind)
{
    c->out = value_dict(c->r->pool, kind);
    for (int64_t i = 0; i < c->args.count; i++) {
        const Value from = c->args.items[i];
        if (from.kind != VALUE_DICT)
            return call_fail(c, "a dict is made of a dict, not of '%s'", value_type(from));
        for (int64_t k = 0; k < from.dict->count; k++)
            dict_put(c->r->pool, c->out.dict, from.dict->keys[k], from.dict->values[k]);
    }
    for (int64_t k = 0; k < c->keywords.count; k++)
        dict_put(c->r->pool, c->out.dict, c->keywords.keys[k], c->keywords.values[k]);
    return true;
}

static bool make_namespace(Call *c)
{
    return make_dict(c, VALUE_NAMESPACE);
}
static bool make_plain_dict(Call *c)
{
    return make_dict(c, VALUE_DICT);
}

static bool raise_exception(Call *c)
{
    Value what;
    if (!call_string(c, 0, "message", "the template refuses this conversation", &what))
        return false;
    return call_fail(c, "%s", what.string.data);
}

static bool strftime_now(Call *c)
{
    Value format;
    struct tm now;
    char out[512];
    if (!call_string(c, 0, "format", NULL, &format))
        return false;
    localtime_r(&c->r->now, &now);
/* the format is the template's, and bounded by out */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    const size_t size = strftime(out, sizeof out, format.string.data, &now);
#pragma GCC diagnostic pop
    if (size == 0 && format.string.size > 0)
        return call_fail(c, "strftime_now cannot write '%s'", format.string.data);
    c->out = value_copy(c->r->pool, out, size);
    return true;
}

static bool loop_cycle(Call *c)
{
    Value index;
    if (c->args.count == 0)
        return call_fail(c, "loop.cycle has nothing to go round");
    if (!call_attribute(c, c->self, "index0", true, &index))
        return false;
    c->out = c->args.items[index.whole % c->args.count];
    return true;
}

const Function template_functions[] = {
    { .name = "range", .names = "start stop step", .call = range },
    { .name = "namespace", .names = "*", .call = make_namespace },
    { .name = "dict", .names = "*", .call = make_plain_dict },
    { .name = "raise_exception", .names = "message", .call = raise_exception },
    { .name = "strftime_now", .names = "format", .call = strftime_now },
    { 0 },
};

const Function template_loop_methods[] = {
    { .name = "cycle", .names = "*", .call = loop_cycle },
    { 0 },
};
