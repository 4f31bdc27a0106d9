#include "worker/template/call.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool call_fail(Call *c, const char *what, ...)
{
    char text[768];
    va_list args;
    va_start(args, what);
    vsnprintf(text, sizeof text, what, args);
    va_end(args);
    return rendering_fail(c->r, c->node, "%s", text);
}

bool call_text(Call *c, Text *text, Value *value)
{
    return rendering_text(c->r, c->node, text, value);
}

bool call_items(Call *c, Value value, List *out)
{
    return rendering_items(c->r, c->node, value, out);
}

/* ---- arguments ------------------------------------------------------------------------ */

/* The argument at `i` of the function's parameters, or by its name; false: not given. */
bool call_given(const Call *c, int64_t i, const char *name, Value *out)
{
    const Value *keyword = dict_get(&c->keywords, name, strlen(name));
    if (i >= c->args.count && !keyword)
        return false;
    *out = i < c->args.count ? c->args.items[i] : *keyword;
    return true;
}

bool call_flag(const Call *c, int64_t i, const char *name)
{
    Value value;
    return call_given(c, i, name, &value) && value_truth(value);
}

/* A string argument; *out is `fallback` where it is not given or none. */
bool call_string(Call *c, int64_t i, const char *name, const char *fallback, Value *out)
{
    Value value;
    const bool there = call_given(c, i, name, &value) && value.kind != VALUE_NONE;
    *out = value_text(fallback ? fallback : "");
    if (there && value.kind != VALUE_STRING)
        return call_fail(c, "'%s' wants to be a string, not '%s'", name, value_type(value));
    *out = there ? value : *out;
    return there || fallback || call_fail(c, "'%s' is missing", name);
}

bool call_whole(Call *c, int64_t i, const char *name, int64_t fallback, int64_t *out)
{
    Value value = value_int(fallback);
    call_given(c, i, name, &value);
    *out = value.whole;
    return value.kind == VALUE_INT || value.kind == VALUE_BOOL ||
           call_fail(c, "'%s' wants to be a whole number, not '%s'", name, value_type(value));
}

/* Whether `name` is one of the words of `names`. */
static bool listed(const char *names, Value name)
{
    for (const char *p = names; *p;) {
        const size_t n = strcspn(p, " ");
        if (n == name.string.size && memcmp(p, name.string.data, n) == 0)
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

bool call_function(const Function *f, Call *c)
{
    int64_t most = 0;
    for (const char *p = f->names; *p; p += strcspn(p, " "), p += *p == ' ')
        most++;
    const bool any = f->names[0] == '*'; /* takes what comes */
    if (!any && c->args.count > most)
        return call_fail(c, "'%s' takes %lld arguments at most", f->name, (long long)most);
    for (int64_t i = 0; !any && i < c->keywords.count; i++)
        if (!listed(f->names, c->keywords.keys[i]))
            return call_fail(c, "'%s' has no argument '%s' that is supported", f->name,
                             c->keywords.keys[i].string.data);
    return f->call(c);
}

/* What a filter of strings sees of any value. */
bool call_soft(Call *c, Value *out)
{
    if (c->self.kind == VALUE_STRING) {
        *out = c->self;
        return true;
    }
    Text text = { 0 };
    text_add(&text, "", 0);
    value_write(&text, c->self);
    return call_text(c, &text, out);
}

/* ---- builtins and attributes ------------------------------------------------------------- */

const Function *call_find(const Function *const *tables, const char *name)
{
    for (; *tables; tables++)
        for (const Function *f = *tables; f->name; f++)
            if (strcmp(f->name, name) == 0)
                return f;
    return NULL;
}

static const Function *method_of(const Builtins *all, ValueKind kind, const char *name)
{
    if (kind == VALUE_STRING)
        return call_find(all->string_methods, name);
    if (kind == VALUE_DICT)
        return call_find(all->dict_methods, name);
    return kind == VALUE_LOOP ? call_find(all->loop_methods, name) : NULL;
}

static bool loop_attribute(Rendering *r, const Loop *loop, const char *name, Value *out)
{
    const int64_t count = loop->items->count, i = loop->index;
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = { { "index", i + 1 },  { "index0", i }, { "revindex", count - i }, { "revindex0", count - i - 1 },
                    { "length", count }, { "depth", 1 }, /* of recursive loops */
                    { "depth0", 0 } };
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
        if (strcmp(name, numbers[k].name) == 0) {
            *out = value_int(numbers[k].value);
            return true;
        }
    const bool before = strcmp(name, "previtem") == 0;
    if (strcmp(name, "first") == 0 || strcmp(name, "last") == 0)
        *out = value_bool(name[0] == 'f' ? i == 0 : i == count - 1);
    else if (before || strcmp(name, "nextitem") == 0)
        *out = before ? i > 0 ? loop->items->items[i - 1] : rendering_undefined(r, "there is no previous item", "", "")
               : i + 1 < count ? loop->items->items[i + 1]
                               : rendering_undefined(r, "there is no next item", "", "");
    else
        return false;
    return true;
}

bool call_attribute(Call *c, Value object, const char *name, bool dot, Value *out)
{
    if (object.kind == VALUE_UNDEFINED)
        return call_fail(c, "%s", object.string.data);
    if (object.kind == VALUE_LOOP && loop_attribute(c->r, object.loop, name, out))
        return true;
    if (object.kind == VALUE_LOOP && strcmp(name, "cycle") != 0)
        return call_fail(c, "the template uses loop.%s, which is not supported", name);
    const Function *method = method_of(c->r->builtins, object.kind, name);
    const bool dict = object.kind == VALUE_DICT || object.kind == VALUE_NAMESPACE;
    const Value *item = dict ? dict_get(object.dict, name, strlen(name)) : NULL;
    if (item && (!dot || !method)) {
        *out = *item;
    } else if (method) {
        Function *bound = pool_take(c->r->pool, sizeof *bound);
        *bound = *method;
        bound->self = object;
        *out = (Value){ .kind = VALUE_FUNCTION, .function = bound };
    } else {
        *out = rendering_undefined(c->r, "'$1' has no '$2'", value_type(object), name);
    }
    return true;
}
