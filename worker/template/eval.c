#include "worker/template/eval.h"

#include "worker/template/call.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 2000 };

Value eval_name(Rendering *r, const char *name, const Scope *scope)
{
    const size_t size = strlen(name);
    for (; scope; scope = scope->outer) {
        const Value *value = dict_get(&scope->names, name, size);
        if (value)
            return *value;
    }
    const Value *value = dict_get(r->globals.dict, name, size);
    if (value)
        return *value;
    const Function *function = call_find(r->builtins->functions, name);
    if (function)
        return (Value){ .kind = VALUE_FUNCTION, .function = function };
    return rendering_undefined(r, "'$1' is undefined", name, "");
}

static int64_t length_of(Value v)
{
    return v.kind == VALUE_STRING ? utf8_count(v.string.data, v.string.size) : v.list->count;
}

static bool item(Rendering *r, const TemplateNode *n, Value object, Value index, Value *out)
{
    const bool sequence = object.kind == VALUE_STRING || object.kind == VALUE_LIST || object.kind == VALUE_TUPLE;
    if (index.kind == VALUE_STRING)
        return call_attribute(&(Call){ .r = r, .node = n }, object, index.string.data, false, out);
    if (object.kind == VALUE_UNDEFINED)
        return rendering_fail(r, n, "%s", object.string.data);
    *out = rendering_undefined(r, "'$1' has no such item", value_type(object), "");
    if (!sequence || (index.kind != VALUE_INT && index.kind != VALUE_BOOL))
        return true;
    const int64_t count = length_of(object), at = index.whole < 0 ? index.whole + count : index.whole;
    if (at < 0 || at >= count)
        return true;
    if (object.kind != VALUE_STRING) {
        *out = object.list->items[at];
        return true;
    }
    const char *s = object.string.data + utf8_offset(object.string.data, object.string.size, at);
    const size_t left = object.string.size - (size_t)(s - object.string.data);
    *out = value_copy(r->pool, s, utf8_offset(s, left, 1));
    return true;
}

/* One bound of a slice as Python clips it. */
static int64_t bound(Value v, int64_t count, int64_t step, bool begin)
{
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? count : count - 1;
    if (v.kind == VALUE_NONE)
        return begin == (step > 0) ? low : high;
    const int64_t at = v.whole < 0 ? v.whole + count : v.whole;
    return at < low ? low : at > high ? high : at;
}

static bool slice(Rendering *r, const TemplateNode *n, const Scope *scope, Value object, Value *out)
{
    Value part[3];
    const TemplateNode *node = n->b;
    for (int i = 0; i < 3; i++, node = node->next) {
        if (!eval(r, node, scope, &part[i]))
            return false;
        if (part[i].kind != VALUE_NONE && part[i].kind != VALUE_INT)
            return rendering_fail(r, n, "a slice wants whole numbers, not '%s'", value_type(part[i]));
    }
    const bool string = object.kind == VALUE_STRING;
    if (!string && object.kind != VALUE_LIST && object.kind != VALUE_TUPLE)
        return rendering_fail(r, n, "a '%s' cannot be sliced", value_type(object));
    const int64_t step = part[2].kind == VALUE_NONE ? 1 : part[2].whole, count = length_of(object);
    if (step == 0 || step > INT32_MAX || step < -INT32_MAX)
        return rendering_fail(r, n, "a slice cannot have this step");
    const int64_t begin = bound(part[0], count, step, true), end = bound(part[1], count, step, false);
    List items;
    if (!rendering_items(r, n, object, &items))
        return false;
    Value list = value_list(r->pool, string ? VALUE_LIST : object.kind);
    Text text = { 0 };
    text_add(&text, "", 0);
    for (int64_t i = begin; step > 0 ? i < end : i > end; i += step) {
        if (string)
            value_write(&text, items.items[i]);
        else
            list_add(r->pool, list.list, items.items[i]);
    }
    if (!string) {
        text_release(&text);
        *out = list;
        return true;
    }
    return rendering_text(r, n, &text, out);
}

static bool arguments(Rendering *r, const TemplateNode *first, const Scope *scope, Call *call)
{
    for (const TemplateNode *n = first; n; n = n->next) {
        Value value;
        if (!eval(r, n->kind == NODE_KEYWORD ? n->a : n, scope, &value))
            return false;
        if (n->kind == NODE_KEYWORD)
            dict_put(r->pool, &call->keywords, value_text(n->name), value);
        else if (call->keywords.count > 0)
            return rendering_fail(r, n, "a positional argument follows a named one");
        else
            list_add(r->pool, &call->args, value);
    }
    return true;
}

static bool call(Rendering *r, const TemplateNode *n, const Scope *scope, Value *out)
{
    Value callee;
    Call call = { .r = r, .node = n };
    if (!eval(r, n->a, scope, &callee) || !arguments(r, n->b, scope, &call))
        return false;
    if (callee.kind == VALUE_MACRO)
        return callee.macro->call(r, n, callee.macro, &call, out);
    if (callee.kind == VALUE_UNDEFINED)
        return rendering_fail(r, n, "%s, so it cannot be called", callee.string.data);
    if (callee.kind != VALUE_FUNCTION)
        return rendering_fail(r, n, "a '%s' cannot be called", value_type(callee));
    call.self = callee.function->self;
    if (!call_function(callee.function, &call))
        return false;
    *out = call.out;
    return true;
}

static bool filter_or_test(Rendering *r, const TemplateNode *n, const Scope *scope, Value *out)
{
    const bool filter = n->kind == NODE_FILTER;
    const Function *function = call_find(filter ? r->builtins->filters : r->builtins->tests, n->name);
    Call call = { .r = r, .node = n };
    if (!function)
        return rendering_fail(r, n, "the template uses the %s '%s', which is not supported", filter ? "filter" : "test",
                              n->name);
    if (!eval(r, n->a, scope, &call.self) || !arguments(r, n->b, scope, &call) || !call_function(function, &call))
        return false;
    *out = call.out;
    return true;
}

static bool reals(Rendering *r, const TemplateNode *n, double x, double y, Value *out)
{
    const char *sign = n->name;
    if (sign[0] == '+' || sign[0] == '-')
        *out = value_real(sign[0] == '+' ? x + y : x - y);
    else if (sign[0] == '*')
        *out = value_real(sign[1] ? pow(x, y) : x * y);
    else if (y == 0)
        return rendering_fail(r, n, "division by zero");
    else if (sign[0] == '/')
        *out = value_real(sign[1] ? floor(x / y) : x / y);
    else
        *out = value_real(x - y * floor(x / y));
    return true;
}

static bool power(int64_t x, int64_t y, int64_t *out)
{
    bool over = y < 0;
    *out = 1;
    for (int64_t i = 0; !over && i < y && x != 1; i++)
        over = i > 64 || __builtin_mul_overflow(*out, x, out);
    return over;
}

static bool wholes(Rendering *r, const TemplateNode *n, int64_t x, int64_t y, Value *out)
{
    const char *sign = n->name;
    int64_t z = 0;
    bool over = false;
    if (strcmp(sign, "+") == 0)
        over = __builtin_add_overflow(x, y, &z);
    else if (strcmp(sign, "-") == 0)
        over = __builtin_sub_overflow(x, y, &z);
    else if (strcmp(sign, "*") == 0)
        over = __builtin_mul_overflow(x, y, &z);
    else if (strcmp(sign, "**") == 0)
        over = power(x, y, &z);
    else if (strcmp(sign, "/") == 0)
        return reals(r, n, (double)x, (double)y, out);
    else if (y == 0)
        return rendering_fail(r, n, "division by zero");
    else if (y == -1)
        over = sign[0] == '/' && __builtin_sub_overflow(0, x, &z);
    else
        z = sign[0] == '/' ? x / y - (x % y != 0 && (x < 0) != (y < 0))
                           : x % y + (x % y != 0 && (x < 0) != (y < 0) ? y : 0);
    *out = value_int(z);
    return !over || rendering_fail(r, n, "a number is too large for 64 bits");
}

static bool repeat(Rendering *r, const TemplateNode *n, Value what, int64_t times, Value *out)
{
    times = times < 0 ? 0 : times;
    const bool string = what.kind == VALUE_STRING;
    const size_t size = string ? what.string.size : (size_t)what.list->count * sizeof(Value);
    if (size > 0 && (size_t)times > RENDERING_MOST_MEMORY / size)
        return rendering_room(r, n, RENDERING_MOST_MEMORY + 1);
    if (string) {
        Text text = { 0 };
        text_add(&text, "", 0);
        for (int64_t i = 0; size > 0 && i < times; i++)
            text_add(&text, what.string.data, what.string.size);
        return rendering_text(r, n, &text, out);
    }
    *out = value_list(r->pool, what.kind);
    for (int64_t i = 0; size > 0 && i < times; i++)
        for (int64_t k = 0; k < what.list->count; k++)
            list_add(r->pool, out->list, what.list->items[k]);
    return rendering_room(r, n, 0);
}

static bool arithmetic(Rendering *r, const TemplateNode *n, const Scope *scope, Value *out)
{
    Value a, b;
    double x, y;
    if (!eval(r, n->a, scope, &a) || !eval(r, n->b, scope, &b))
        return false;
    if (value_number(a, &x) && value_number(b, &y))
        return a.kind != VALUE_REAL && b.kind != VALUE_REAL ? wholes(r, n, a.whole, b.whole, out)
                                                            : reals(r, n, x, y, out);
    const bool plus = strcmp(n->name, "+") == 0, list = a.kind == VALUE_LIST || a.kind == VALUE_TUPLE;
    if (plus && a.kind == b.kind && a.kind == VALUE_STRING) {
        Text text = { 0 };
        text_add(&text, a.string.data, a.string.size);
        text_add(&text, b.string.data, b.string.size);
        return rendering_text(r, n, &text, out);
    }
    if (plus && a.kind == b.kind && list) {
        *out = value_list(r->pool, a.kind);
        for (int64_t i = 0; i < a.list->count + b.list->count; i++)
            list_add(r->pool, out->list, i < a.list->count ? a.list->items[i] : b.list->items[i - a.list->count]);
        return rendering_room(r, n, 0);
    }
    if (strcmp(n->name, "*") == 0 && (a.kind == VALUE_STRING || list) && b.kind == VALUE_INT)
        return repeat(r, n, a, b.whole, out);
    if (strcmp(n->name, "*") == 0 && a.kind == VALUE_INT &&
        (b.kind == VALUE_STRING || b.kind == VALUE_LIST || b.kind == VALUE_TUPLE))
        return repeat(r, n, b, a.whole, out);
    if (a.kind == VALUE_UNDEFINED || b.kind == VALUE_UNDEFINED)
        return rendering_fail(r, n, "%s", a.kind == VALUE_UNDEFINED ? a.string.data : b.string.data);
    return rendering_fail(r, n, "there is no '%s' of '%s' and '%s'", n->name, value_type(a), value_type(b));
}

static bool holds(Rendering *r, const TemplateNode *n, Value a, Value b, bool *yes)
{
    *yes = false;
    if (b.kind == VALUE_STRING && a.kind == VALUE_STRING) {
        *yes = a.string.size == 0 ||
               (b.string.size >= a.string.size && memmem(b.string.data, b.string.size, a.string.data, a.string.size));
        return true;
    }
    if (b.kind == VALUE_STRING)
        return rendering_fail(r, n, "'in' wants a string on the left of a string, not '%s'", value_type(a));
    List items;
    if (!rendering_items(r, n, b, &items))
        return false;
    for (int64_t i = 0; i < items.count && !*yes; i++)
        *yes = value_equal(items.items[i], a);
    return true;
}

static bool compared(Rendering *r, const TemplateNode *n, Value a, Value b, bool *yes)
{
    const char *sign = n->name;
    int order = 0;
    if (strcmp(sign, "in") == 0 || strcmp(sign, "not in") == 0) {
        const bool ok = holds(r, n, a, b, yes);
        *yes = *yes == (sign[0] == 'i');
        return ok;
    }
    if (strcmp(sign, "==") == 0 || strcmp(sign, "!=") == 0) {
        *yes = value_equal(a, b) == (sign[0] == '=');
        return true;
    }
    if (!value_order(a, b, &order))
        return rendering_fail(r, n, "there is no '%s' of '%s' and '%s'", sign, value_type(a), value_type(b));
    *yes = sign[0] == '<' ? order < 0 : order > 0;
    *yes = *yes || (sign[1] == '=' && order == 0);
    return true;
}

static bool compare(Rendering *r, const TemplateNode *n, const Scope *scope, Value *out)
{
    Value left, right;
    bool yes = true;
    if (!eval(r, n->a, scope, &left))
        return false;
    for (const TemplateNode *c = n->b; c && yes; c = c->next, left = right)
        if (!eval(r, c->a, scope, &right) || !compared(r, c, left, right, &yes))
            return false;
    *out = value_bool(yes);
    return true;
}

static bool collection(Rendering *r, const TemplateNode *n, const Scope *scope, Value *out)
{
    const bool dict = n->kind == NODE_DICT;
    *out =
        dict ? value_dict(r->pool, VALUE_DICT) : value_list(r->pool, n->kind == NODE_LIST ? VALUE_LIST : VALUE_TUPLE);
    for (const TemplateNode *i = n->a; i; i = i->next) {
        Value value, key;
        if (!eval(r, i, scope, &value))
            return false;
        if (!dict) {
            list_add(r->pool, out->list, value);
            continue;
        }
        key = value;
        i = i->next;
        if (key.kind != VALUE_STRING)
            return rendering_fail(r, n, "keys of a dict are strings here, not '%s'", value_type(key));
        if (!eval(r, i, scope, &value))
            return false;
        dict_put(r->pool, out->dict, key, value);
    }
    return rendering_room(r, n, 0);
}

static bool concat(Rendering *r, const TemplateNode *n, const Scope *scope, Value *out)
{
    Value a, b;
    if (!eval(r, n->a, scope, &a) || !eval(r, n->b, scope, &b))
        return false;
    Text text = { 0 };
    text_add(&text, "", 0);
    value_write(&text, a);
    value_write(&text, b);
    return rendering_text(r, n, &text, out);
}

static bool negative(Rendering *r, const TemplateNode *n, Value v, Value *out)
{
    if (v.kind == VALUE_REAL)
        *out = value_real(-v.real);
    else if ((v.kind == VALUE_INT || v.kind == VALUE_BOOL) && v.whole != INT64_MIN)
        *out = value_int(-v.whole);
    else
        return rendering_fail(r, n, "there is no '-' of '%s'", value_type(v));
    return true;
}

static bool eval_kind(Rendering *r, const TemplateNode *n, const Scope *scope, Value *out)
{
    Value a, b;
    switch (n->kind) {
    case NODE_CONST:
        *out = n->value;
        return true;
    case NODE_NAME:
        *out = eval_name(r, n->name, scope);
        return true;
    case NODE_LIST:
    case NODE_TUPLE:
    case NODE_DICT:
        return collection(r, n, scope, out);
    case NODE_ATTRIBUTE:
        return eval(r, n->a, scope, &a) && call_attribute(&(Call){ .r = r, .node = n }, a, n->name, true, out);
    case NODE_ITEM:
        return eval(r, n->a, scope, &a) && eval(r, n->b, scope, &b) && item(r, n, a, b, out);
    case NODE_SLICE:
        return eval(r, n->a, scope, &a) && slice(r, n, scope, a, out);
    case NODE_CALL:
        return call(r, n, scope, out);
    case NODE_FILTER:
    case NODE_TEST:
        return filter_or_test(r, n, scope, out);
    case NODE_NEGATIVE:
        return eval(r, n->a, scope, &a) && negative(r, n, a, out);
    case NODE_NOT:
        if (!eval(r, n->a, scope, &a))
            return false;
        *out = value_bool(!value_truth(a));
        return true;
    case NODE_AND:
    case NODE_OR: /* the value of the side that decided */
        return eval(r, n->a, scope, out) && (value_truth(*out) == (n->kind == NODE_OR) || eval(r, n->b, scope, out));
    case NODE_CHOICE:
        if (!eval(r, n->a, scope, &a))
            return false;
        if (!value_truth(a) && !n->c) {
            *out = rendering_undefined(r, "an 'if' without 'else' did not hold", "", "");
            return true;
        }
        return eval(r, value_truth(a) ? n->b : n->c, scope, out);
    case NODE_CONCAT:
        return concat(r, n, scope, out);
    case NODE_ARITHMETIC:
        return arithmetic(r, n, scope, out);
    case NODE_COMPARE:
        return compare(r, n, scope, out);
    default:
        REQUIRE(!"a statement is no expression");
        return false;
    }
}

bool eval(Rendering *r, const TemplateNode *n, const Scope *scope, Value *out)
{
    if (++r->depth > DEEPEST)
        return rendering_fail(r, n, "the chat template is nested too deep");
    const bool ok = rendering_room(r, n, 0) && eval_kind(r, n, scope, out);
    r->depth--;
    return ok;
}
