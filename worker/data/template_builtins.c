#include "worker/data/template_run.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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
        return run_fail(c->run, c->node, "'%s' wants to be a string, not '%s'", name, value_type(value));
    *out = there ? value : *out;
    return there || fallback || run_fail(c->run, c->node, "'%s' is missing", name);
}

bool call_whole(Call *c, int64_t i, const char *name, int64_t fallback, int64_t *out)
{
    Value value = value_int(fallback);
    call_given(c, i, name, &value);
    *out = value.whole;
    return value.kind == VALUE_INT || value.kind == VALUE_BOOL ||
           run_fail(c->run, c->node, "'%s' wants to be a whole number, not '%s'", name, value_type(value));
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
        return run_fail(c->run, c->node, "'%s' takes %lld arguments at most", f->name, (long long)most);
    for (int64_t i = 0; !any && i < c->keywords.count; i++)
        if (!listed(f->names, c->keywords.keys[i]))
            return run_fail(c->run, c->node, "'%s' has no argument '%s' that is supported", f->name,
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
    return run_text(c->run, c->node, &text, out);
}

/* ---- lists --------------------------------------------------------------------------------- */

static bool length(Call *c)
{
    if (c->self.kind == VALUE_STRING) {
        c->out = value_int(utf8_count(c->self.string.data, c->self.string.size));
        return true;
    }
    List items;
    if (!run_items(c->run, c->node, c->self, &items))
        return false;
    c->out = value_int(items.count);
    return true;
}

static bool end_item(Call *c, bool first)
{
    List items;
    if (!run_items(c->run, c->node, c->self, &items))
        return false;
    c->out = (Value){ .kind = VALUE_UNDEFINED };
    c->out.string.data = "the list is empty";
    if (items.count > 0)
        c->out = items.items[first ? 0 : items.count - 1];
    return true;
}

static bool first(Call *c)
{
    return end_item(c, true);
}
static bool last(Call *c)
{
    return end_item(c, false);
}

static bool list_filter(Call *c)
{
    List items;
    if (!run_items(c->run, c->node, c->self, &items))
        return false;
    c->out = value_list(c->run->pool, VALUE_LIST);
    *c->out.list = items;
    return true;
}

static bool reverse(Call *c)
{
    List items;
    if (!run_items(c->run, c->node, c->self, &items))
        return false;
    c->out = value_list(c->run->pool, VALUE_LIST);
    for (int64_t i = items.count - 1; i >= 0; i--)
        list_add(c->run->pool, c->out.list, items.items[i]);
    if (c->self.kind != VALUE_STRING)
        return true;
    Text text = { 0 };
    text_add(&text, "", 0);
    for (int64_t i = 0; i < c->out.list->count; i++)
        value_write(&text, c->out.list->items[i]);
    return run_text(c->run, c->node, &text, &c->out);
}

static bool unique(Call *c)
{
    List items;
    if (!run_items(c->run, c->node, c->self, &items))
        return false;
    c->out = value_list(c->run->pool, VALUE_LIST);
    List *out = c->out.list;
    for (int64_t i = 0; i < items.count; i++) {
        bool seen = false;
        for (int64_t k = 0; k < out->count && !seen; k++)
            seen = value_equal(out->items[k], items.items[i]);
        if (!seen)
            list_add(c->run->pool, out, items.items[i]);
    }
    return true;
}

static Value pair(Call *c, Value key, Value value)
{
    Value out = value_list(c->run->pool, VALUE_TUPLE);
    list_add(c->run->pool, out.list, key);
    list_add(c->run->pool, out.list, value);
    return out;
}

static bool dict_items(Call *c)
{
    c->out = value_list(c->run->pool, VALUE_LIST);
    if (c->self.kind == VALUE_UNDEFINED)
        return true;
    if (c->self.kind != VALUE_DICT)
        return run_fail(c->run, c->node, "items wants a dict, not '%s'", value_type(c->self));
    for (int64_t i = 0; i < c->self.dict->count; i++)
        list_add(c->run->pool, c->out.list, pair(c, c->self.dict->keys[i], c->self.dict->values[i]));
    return true;
}

static bool dict_keys(Call *c)
{
    return list_filter(c);
}

static bool dict_values(Call *c)
{
    c->out = value_list(c->run->pool, VALUE_LIST);
    for (int64_t i = 0; i < c->self.dict->count; i++)
        list_add(c->run->pool, c->out.list, c->self.dict->values[i]);
    return true;
}

static bool dict_find(Call *c)
{
    Value key;
    if (!call_string(c, 0, "key", NULL, &key))
        return false;
    const Value *value = dict_get(c->self.dict, key.string.data, key.string.size);
    c->out = (Value){ .kind = VALUE_NONE };
    call_given(c, 1, "default", &c->out);
    if (value)
        c->out = *value;
    return true;
}

/* Keys without regard to case, as Jinja's default; ASCII's. */
static bool dict_sort(Call *c)
{
    if (!dict_items(c))
        return false;
    List *list = c->out.list;
    for (int64_t i = 1; i < list->count; i++)
        for (int64_t k = i; k > 0; k--) {
            const Value a = list->items[k - 1], b = list->items[k];
            if (strcasecmp(a.list->items[0].string.data, b.list->items[0].string.data) <= 0)
                break;
            list->items[k - 1] = b;
            list->items[k] = a;
        }
    return true;
}

/* "a.b" of a value. */
static bool path_of(Call *c, Value of, Value path, Value *out)
{
    *out = of;
    for (const char *p = path.string.data; *p;) {
        const size_t n = strcspn(p, ".");
        const Value name = value_copy(c->run->pool, p, n);
        if (!run_attribute(c->run, c->node, *out, name.string.data, false, out))
            return false;
        p += n + (p[n] == '.');
    }
    return true;
}

/* select, reject (offset 0) and selectattr, rejectattr (offset 1: the attribute's name first). */
static bool pick(Call *c, int64_t offset, bool keep)
{
    Value path = value_text(""), name;
    List items;
    if (offset && !call_string(c, 0, "attribute", NULL, &path))
        return false;
    const Function *test = NULL;
    if (c->args.count > offset) {
        if (!call_string(c, offset, "test", NULL, &name))
            return false;
        if (!(test = template_test(name.string.data)))
            return run_fail(c->run, c->node, "the template uses the test '%s', which is not supported",
                            name.string.data);
    }
    if (!run_items(c->run, c->node, c->self, &items))
        return false;
    c->out = value_list(c->run->pool, VALUE_LIST);
    for (int64_t i = 0; i < items.count; i++) {
        Call one = { .run = c->run, .node = c->node };
        if (!path_of(c, items.items[i], path, &one.self))
            return false;
        if (c->args.count > offset + 1)
            one.args = (List){ c->args.items + offset + 1, c->args.count - offset - 1, 0 };
        one.out = one.self;
        if (test && !call_function(test, &one))
            return false;
        if (value_truth(one.out) == keep)
            list_add(c->run->pool, c->out.list, items.items[i]);
    }
    return true;
}

static bool select_items(Call *c)
{
    return pick(c, 0, true);
}
static bool reject_items(Call *c)
{
    return pick(c, 0, false);
}
static bool select_attribute(Call *c)
{
    return pick(c, 1, true);
}
static bool reject_attribute(Call *c)
{
    return pick(c, 1, false);
}

/* map(attribute="a.b", default=x), map("filter", arguments) */
static bool map(Call *c)
{
    Value path, fallback, name;
    List items;
    const Value *attribute = dict_get(&c->keywords, "attribute", 9);
    const Function *filter = NULL;
    if (attribute && !call_string(c, c->args.count, "attribute", NULL, &path))
        return false;
    if (!attribute) {
        if (!call_string(c, 0, "filter", NULL, &name))
            return false;
        if (!(filter = template_filter(name.string.data)))
            return run_fail(c->run, c->node, "the template uses the filter '%s', which is not supported",
                            name.string.data);
    }
    if (!run_items(c->run, c->node, c->self, &items))
        return false;
    c->out = value_list(c->run->pool, VALUE_LIST);
    const bool instead = call_given(c, c->args.count, "default", &fallback);
    for (int64_t i = 0; i < items.count; i++) {
        Call one = { .run = c->run, .node = c->node, .self = items.items[i] };
        if (c->args.count > 1)
            one.args = (List){ c->args.items + 1, c->args.count - 1, 0 };
        if (filter ? !call_function(filter, &one) : !path_of(c, items.items[i], path, &one.out))
            return false;
        const bool missing = one.out.kind == VALUE_UNDEFINED && instead;
        list_add(c->run->pool, c->out.list, missing ? fallback : one.out);
    }
    return true;
}

/* ---- other filters ----------------------------------------------------------------------------
 */

static bool string(Call *c)
{
    return call_soft(c, &c->out);
}

static bool same(Call *c)
{
    c->out = c->self;
    return true;
}

static bool fallback(Call *c)
{
    Value other = value_text("");
    call_given(c, 0, "default_value", &other);
    const bool empty = call_flag(c, 1, "boolean") && !value_truth(c->self);
    c->out = c->self.kind == VALUE_UNDEFINED || empty ? other : c->self;
    return true;
}

static bool to_json(Call *c)
{
    Value indent = { .kind = VALUE_NONE }, separators;
    char spaces[33];
    JsonStyle style = { .ascii = call_flag(c, 0, "ensure_ascii"), .sorted = call_flag(c, 3, "sort_keys") };
    call_given(c, 1, "indent", &indent);
    if (indent.kind == VALUE_INT && indent.whole >= 0 && indent.whole <= 32) {
        snprintf(spaces, sizeof spaces, "%*s", (int)indent.whole, "");
        style.indent = spaces;
    } else if (indent.kind == VALUE_STRING) {
        style.indent = indent.string.data;
    } else if (indent.kind != VALUE_NONE) {
        return run_fail(c->run, c->node, "tojson cannot indent by '%s'", value_type(indent));
    }
    style.comma = style.indent ? "," : ", ";
    style.colon = ": ";
    if (call_given(c, 2, "separators", &separators) && separators.kind != VALUE_NONE) {
        const bool two = (separators.kind == VALUE_TUPLE || separators.kind == VALUE_LIST) &&
                         separators.list->count == 2 && separators.list->items[0].kind == VALUE_STRING &&
                         separators.list->items[1].kind == VALUE_STRING;
        if (!two)
            return run_fail(c->run, c->node, "tojson wants two separators");
        style.comma = separators.list->items[0].string.data;
        style.colon = separators.list->items[1].string.data;
    }
    Text text = { 0 };
    if (value_dump(&text, c->self, &style))
        return run_text(c->run, c->node, &text, &c->out);
    text_release(&text);
    return run_fail(c->run, c->node, "tojson has no form for what it is given");
}

/* int and float: of numbers and of strings that hold one, else `default`. */
static bool to_number(Call *c, bool whole)
{
    double real = 0;
    char *end = NULL;
    c->out = whole ? value_int(0) : value_real(0);
    call_given(c, 0, "default", &c->out);
    bool is = value_number(c->self, &real);
    if (c->self.kind == VALUE_STRING && c->self.string.size > 0) {
        real = strtod(c->self.string.data, &end);
        is = *end == '\0' || isspace((unsigned char)*end);
    }
    if (is && whole && fabs(real) < 9e15)
        c->out = value_int((int64_t)real);
    else if (is && !whole)
        c->out = value_real(real);
    return true;
}

static bool to_int(Call *c)
{
    return to_number(c, true);
}
static bool to_float(Call *c)
{
    return to_number(c, false);
}

static bool absolute(Call *c)
{
    double real;
    if (!value_number(c->self, &real))
        return run_fail(c->run, c->node, "abs wants a number, not '%s'", value_type(c->self));
    c->out = c->self.kind == VALUE_REAL ? value_real(fabs(real))
                                        : value_int(c->self.whole < 0 ? -c->self.whole : c->self.whole);
    return true;
}

/* ---- functions
 * ------------------------------------------------------------------------------------ */

static bool range(Call *c)
{
    enum { MOST = 100000 }; /* Jinja's sandbox has the same bound */
    int64_t a, b, step;
    if (!call_whole(c, 0, "start", 0, &a) || !call_whole(c, 1, "stop", 0, &b) || !call_whole(c, 2, "step", 1, &step))
        return false;
    const int64_t begin = c->args.count > 1 ? a : 0, end = c->args.count > 1 ? b : a;
    if (step == 0 || llabs(begin) > INT32_MAX || llabs(end) > INT32_MAX || llabs(step) > INT32_MAX ||
        llabs(end - begin) / llabs(step) > MOST)
        return run_fail(c->run, c->node, "the range is too large or has no step");
    c->out = value_list(c->run->pool, VALUE_LIST);
    for (int64_t i = begin; step > 0 ? i < end : i > end; i += step)
        list_add(c->run->pool, c->out.list, value_int(i));
    return true;
}

static bool make_dict(Call *c, ValueKind kind)
{
    c->out = value_dict(c->run->pool, kind);
    for (int64_t i = 0; i < c->args.count; i++) {
        const Value from = c->args.items[i];
        if (from.kind != VALUE_DICT)
            return run_fail(c->run, c->node, "a dict is made of a dict, not of '%s'", value_type(from));
        for (int64_t k = 0; k < from.dict->count; k++)
            dict_put(c->run->pool, c->out.dict, from.dict->keys[k], from.dict->values[k]);
    }
    for (int64_t k = 0; k < c->keywords.count; k++)
        dict_put(c->run->pool, c->out.dict, c->keywords.keys[k], c->keywords.values[k]);
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
    return run_fail(c->run, c->node, "%s", what.string.data);
}

static bool strftime_now(Call *c)
{
    Value format;
    struct tm now;
    char out[512];
    if (!call_string(c, 0, "format", NULL, &format))
        return false;
    localtime_r(&c->run->now, &now);
/* the format is the template's, and bounded by out */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    const size_t size = strftime(out, sizeof out, format.string.data, &now);
#pragma GCC diagnostic pop
    if (size == 0 && format.string.size > 0)
        return run_fail(c->run, c->node, "strftime_now cannot write '%s'", format.string.data);
    c->out = value_copy(c->run->pool, out, size);
    return true;
}

static bool loop_cycle(Call *c)
{
    Value index;
    if (c->args.count == 0)
        return run_fail(c->run, c->node, "loop.cycle has nothing to go round");
    if (!run_attribute(c->run, c->node, c->self, "index0", true, &index))
        return false;
    c->out = c->args.items[index.whole % c->args.count];
    return true;
}

/* ---- tables
 * ------------------------------------------------------------------------------------------ */

static const Function filters[] = {
    { .name = "tojson", .names = "ensure_ascii indent separators sort_keys", .call = to_json },
    { .name = "length", .names = "", .call = length },
    { .name = "count", .names = "", .call = length },
    { .name = "default", .names = "default_value boolean", .call = fallback },
    { .name = "d", .names = "default_value boolean", .call = fallback },
    { .name = "first", .names = "", .call = first },
    { .name = "last", .names = "", .call = last },
    { .name = "list", .names = "", .call = list_filter },
    { .name = "reverse", .names = "", .call = reverse },
    { .name = "unique", .names = "", .call = unique },
    { .name = "items", .names = "", .call = dict_items },
    { .name = "dictsort", .names = "", .call = dict_sort },
    { .name = "select", .names = "*", .call = select_items },
    { .name = "reject", .names = "*", .call = reject_items },
    { .name = "selectattr", .names = "*", .call = select_attribute },
    { .name = "rejectattr", .names = "*", .call = reject_attribute },
    { .name = "map", .names = "*", .call = map },
    { .name = "string", .names = "", .call = string },
    { .name = "safe", .names = "", .call = same },
    { .name = "int", .names = "default", .call = to_int },
    { .name = "float", .names = "default", .call = to_float },
    { .name = "abs", .names = "", .call = absolute },
    { 0 },
};

static const Function functions[] = {
    { .name = "range", .names = "start stop step", .call = range },
    { .name = "namespace", .names = "*", .call = make_namespace },
    { .name = "dict", .names = "*", .call = make_plain_dict },
    { .name = "raise_exception", .names = "message", .call = raise_exception },
    { .name = "strftime_now", .names = "format", .call = strftime_now },
    { 0 },
};

static const Function dict_methods[] = {
    { .name = "items", .names = "", .call = dict_items },
    { .name = "keys", .names = "", .call = dict_keys },
    { .name = "values", .names = "", .call = dict_values },
    { .name = "get", .names = "key default", .call = dict_find },
    { 0 },
};

static const Function loop_methods[] = {
    { .name = "cycle", .names = "*", .call = loop_cycle },
    { 0 },
};

static const Function *found(const Function *table, const char *name)
{
    for (; table->name; table++)
        if (strcmp(table->name, name) == 0)
            return table;
    return NULL;
}

const Function *template_filter(const char *name)
{
    const Function *filter = found(template_string_filters, name);
    return filter ? filter : found(filters, name);
}

const Function *template_test(const char *name)
{
    return found(template_tests, name);
}

const Function *template_function(const char *name)
{
    return found(functions, name);
}

const Function *template_method(ValueKind kind, const char *name)
{
    if (kind == VALUE_STRING)
        return found(template_string_methods, name);
    if (kind == VALUE_DICT)
        return found(dict_methods, name);
    return kind == VALUE_LOOP ? found(loop_methods, name) : NULL;
}
