/* Filters of lists and dicts, and the methods of dicts. */
#include "worker/template/builtins.h"

#include <string.h>

static bool length(Call *c)
{
    if (c->self.kind == VALUE_STRING) {
        c->out = value_int(utf8_count(c->self.string.data, c->self.string.size));
        return true;
    }
    List items;
    if (!call_items(c, c->self, &items))
        return false;
    c->out = value_int(items.count);
    return true;
}

static bool end_item(Call *c, bool first)
{
    List items;
    if (!call_items(c, c->self, &items))
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
    if (!call_items(c, c->self, &items))
        return false;
    c->out = value_list(c->r->pool, VALUE_LIST);
    *c->out.list = items;
    return true;
}

static bool reverse(Call *c)
{
    List items;
    if (!call_items(c, c->self, &items))
        return false;
    c->out = value_list(c->r->pool, VALUE_LIST);
    for (int64_t i = items.count - 1; i >= 0; i--)
        list_add(c->r->pool, c->out.list, items.items[i]);
    if (c->self.kind != VALUE_STRING)
        return true;
    Text text = { 0 };
    text_add(&text, "", 0);
    for (int64_t i = 0; i < c->out.list->count; i++)
        value_write(&text, c->out.list->items[i]);
    return call_text(c, &text, &c->out);
}

static bool unique(Call *c)
{
    List items;
    if (!call_items(c, c->self, &items))
        return false;
    c->out = value_list(c->r->pool, VALUE_LIST);
    List *out = c->out.list;
    for (int64_t i = 0; i < items.count; i++) {
        bool seen = false;
        for (int64_t k = 0; k < out->count && !seen; k++)
            seen = value_equal(out->items[k], items.items[i]);
        if (!seen)
            list_add(c->r->pool, out, items.items[i]);
    }
    return true;
}

static Value pair(Call *c, Value key, Value value)
{
    Value out = value_list(c->r->pool, VALUE_TUPLE);
    list_add(c->r->pool, out.list, key);
    list_add(c->r->pool, out.list, value);
    return out;
}

static bool dict_items(Call *c)
{
    c->out = value_list(c->r->pool, VALUE_LIST);
    if (c->self.kind == VALUE_UNDEFINED)
        return true;
    if (c->self.kind != VALUE_DICT)
        return call_fail(c, "items wants a dict, not '%s'", value_type(c->self));
    for (int64_t i = 0; i < c->self.dict->count; i++)
        list_add(c->r->pool, c->out.list, pair(c, c->self.dict->keys[i], c->self.dict->values[i]));
    return true;
}

static bool dict_keys(Call *c)
{
    return list_filter(c);
}

static bool dict_values(Call *c)
{
    c->out = value_list(c->r->pool, VALUE_LIST);
    for (int64_t i = 0; i < c->self.dict->count; i++)
        list_add(c->r->pool, c->out.list, c->self.dict->values[i]);
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
        const Value name = value_copy(c->r->pool, p, n);
        if (!call_attribute(c, *out, name.string.data, false, out))
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
        if (!(test = call_find(c->r->builtins->tests, name.string.data)))
            return call_fail(c, "the template uses the test '%s', which is not supported", name.string.data);
    }
    if (!call_items(c, c->self, &items))
        return false;
    c->out = value_list(c->r->pool, VALUE_LIST);
    for (int64_t i = 0; i < items.count; i++) {
        Call one = { .r = c->r, .node = c->node };
        if (!path_of(c, items.items[i], path, &one.self))
            return false;
        if (c->args.count > offset + 1)
            one.args = (List){ c->args.items + offset + 1, c->args.count - offset - 1, 0 };
        one.out = one.self;
        if (test && !call_function(test, &one))
            return false;
        if (value_truth(one.out) == keep)
            list_add(c->r->pool, c->out.list, items.items[i]);
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
        if (!(filter = call_find(c->r->builtins->filters, name.string.data)))
            return call_fail(c, "the template uses the filter '%s', which is not supported", name.string.data);
    }
    if (!call_items(c, c->self, &items))
        return false;
    c->out = value_list(c->r->pool, VALUE_LIST);
    const bool instead = call_given(c, c->args.count, "default", &fallback);
    for (int64_t i = 0; i < items.count; i++) {
        Call one = { .r = c->r, .node = c->node, .self = items.items[i] };
        if (c->args.count > 1)
            one.args = (List){ c->args.items + 1, c->args.count - 1, 0 };
        if (filter ? !call_function(filter, &one) : !path_of(c, items.items[i], path, &one.out))
            return false;
        const bool missing = one.out.kind == VALUE_UNDEFINED && instead;
        list_add(c->r->pool, c->out.list, missing ? fallback : one.out);
    }
    return true;
}

const Function template_list_filters[] = {
    { .name = "length", .names = "", .call = length },
    { .name = "count", .names = "", .call = length },
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
    { 0 },
};

const Function template_dict_methods[] = {
    { .name = "items", .names = "", .call = dict_items },
    { .name = "keys", .names = "", .call = dict_keys },
    { .name = "values", .names = "", .call = dict_values },
    { .name = "get", .names = "key default", .call = dict_find },
    { 0 },
};
