#include "worker/data/template_run.h"

#include "common/base/mem.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_MEMORY = 64 << 20, MOST_STEPS = 20000000, DEEPEST = 2000, DEEPEST_MACROS = 60 };

/* Variables: of the template, of one round of a loop, of a call of a macro. */
typedef struct Scope {
    struct Scope *outer;
    Dict names;
} Scope;

typedef struct Macro {
    const Node *node;
    Scope *scope; /* where it was defined */
} Macro;

typedef struct Loop {
    const List *items;
    int64_t index;
} Loop;

typedef enum { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE, FLOW_FAIL } Flow;

static bool eval(Run *r, const Node *n, Scope *scope, Value *out);
static Flow body(Run *r, const Node *n, Scope *scope);

/* ---- shared with the builtins --------------------------------------------------------- */

bool run_fail(Run *run, const Node *node, const char *what, ...)
{
    char text[768];
    va_list args;
    va_start(args, what);
    vsnprintf(text, sizeof text, what, args);
    va_end(args);
    err_set(run->err, ERR_INPUT, "%s", text);
    return err_at(run->err, "%s:%d", run->where, node->line);
}

static bool room(Run *r, const Node *n, size_t more)
{
    if (r->pool->used + more <= MOST_MEMORY && ++r->steps <= MOST_STEPS)
        return true;
    return run_fail(r, n, "the chat template takes too %s", r->steps > MOST_STEPS ? "long" : "much memory");
}

bool run_text(Run *run, const Node *node, Text *text, Value *value)
{
    const bool ok = room(run, node, text->size);
    if (ok)
        *value = value_copy(run->pool, text->data, text->size);
    text_release(text);
    return ok;
}

static Value undefined(Run *r, const char *format, const char *a, const char *b)
{
    Text text = { 0 };
    for (const char *p = format; *p; p++)
        if (*p == '$')
            text_adds(&text, *++p == '1' ? a : b);
        else
            text_add(&text, p, 1);
    Value out = value_copy(r->pool, text.data, text.size);
    text_release(&text);
    out.kind = VALUE_UNDEFINED;
    return out;
}

static bool loop_attribute(Run *r, const Loop *loop, const char *name, Value *out)
{
    const int64_t count = loop->items->count, i = loop->index;
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = { { "index", i + 1 },        { "index0", i },
                    { "revindex", count - i }, { "revindex0", count - i - 1 },
                    { "length", count },       { "depth", 1 }, /* of recursive loops */
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
        *out = before ? i > 0 ? loop->items->items[i - 1] : undefined(r, "there is no previous item", "", "")
                      : i + 1 < count ? loop->items->items[i + 1] : undefined(r, "there is no next item", "", "");
    else
        return false;
    return true;
}

bool run_attribute(Run *run, const Node *node, Value object, const char *name, bool dot, Value *out)
{
    if (object.kind == VALUE_UNDEFINED)
        return run_fail(run, node, "%s", object.string.data);
    if (object.kind == VALUE_LOOP && loop_attribute(run, object.loop, name, out))
        return true;
    if (object.kind == VALUE_LOOP && strcmp(name, "cycle") != 0)
        return run_fail(run, node, "the template uses loop.%s, which is not supported", name);
    const Function *method = template_method(object.kind, name);
    const bool dict = object.kind == VALUE_DICT || object.kind == VALUE_NAMESPACE;
    const Value *item = dict ? dict_get(object.dict, name, strlen(name)) : NULL;
    if (item && (!dot || !method)) {
        *out = *item;
    } else if (method) {
        Function *bound = pool_take(run->pool, sizeof *bound);
        *bound = *method;
        bound->self = object;
        *out = (Value){ .kind = VALUE_FUNCTION, .function = bound };
    } else {
        *out = undefined(run, "'$1' has no '$2'", value_type(object), name);
    }
    return true;
}

bool run_items(Run *run, const Node *node, Value value, List *out)
{
    *out = (List){ 0 };
    if (value.kind == VALUE_LIST || value.kind == VALUE_TUPLE) {
        *out = *value.list;
    } else if (value.kind == VALUE_DICT) {
        *out = (List){ value.dict->keys, value.dict->count, value.dict->count };
    } else if (value.kind == VALUE_STRING) {
        for (size_t i = 0, size; i < value.string.size; i += size) {
            size = utf8_offset(value.string.data + i, value.string.size - i, 1);
            list_add(run->pool, out, value_copy(run->pool, value.string.data + i, size));
        }
    } else if (value.kind != VALUE_UNDEFINED) {
        return run_fail(run, node, "a '%s' has no items to go over", value_type(value));
    }
    return room(run, node, 0);
}

/* ---- names -------------------------------------------------------------------------------- */

static Value lookup(Run *r, const char *name, const Scope *scope)
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
    const Function *function = template_function(name);
    if (function)
        return (Value){ .kind = VALUE_FUNCTION, .function = function };
    return undefined(r, "'$1' is undefined", name, "");
}

static bool assign(Run *r, const Node *target, Scope *scope, Value value)
{
    if (target->kind == NODE_NAME) {
        dict_put(r->pool, &scope->names, value_text(target->name), value);
        return true;
    }
    if (target->kind == NODE_ATTRIBUTE) {
        const Value space = lookup(r, target->a->name, scope);
        if (space.kind != VALUE_NAMESPACE)
            return run_fail(r, target, "'%s' is no namespace", target->a->name);
        dict_put(r->pool, space.dict, value_text(target->name), value);
        return true;
    }
    List items;
    if (!run_items(r, target, value, &items))
        return false;
    int64_t i = 0;
    for (const Node *n = target->a; n; n = n->next, i++)
        if (i < items.count && !assign(r, n, scope, items.items[i]))
            return false;
    return i == items.count ||
           run_fail(r, target, "%lld values for %lld names", (long long)items.count, (long long)i);
}

/* ---- expressions ----------------------------------------------------------------------------- */

static int64_t length_of(Value v)
{
    return v.kind == VALUE_STRING ? utf8_count(v.string.data, v.string.size) : v.list->count;
}

static bool item(Run *r, const Node *n, Value object, Value index, Value *out)
{
    const bool sequence = object.kind == VALUE_STRING || object.kind == VALUE_LIST || object.kind == VALUE_TUPLE;
    if (index.kind == VALUE_STRING)
        return run_attribute(r, n, object, index.string.data, false, out);
    if (object.kind == VALUE_UNDEFINED)
        return run_fail(r, n, "%s", object.string.data);
    *out = undefined(r, "'$1' has no such item", value_type(object), "");
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

static bool slice(Run *r, const Node *n, Scope *scope, Value object, Value *out)
{
    Value part[3];
    const Node *node = n->b;
    for (int i = 0; i < 3; i++, node = node->next) {
        if (!eval(r, node, scope, &part[i]))
            return false;
        if (part[i].kind != VALUE_NONE && part[i].kind != VALUE_INT)
            return run_fail(r, n, "a slice wants whole numbers, not '%s'", value_type(part[i]));
    }
    const bool string = object.kind == VALUE_STRING;
    if (!string && object.kind != VALUE_LIST && object.kind != VALUE_TUPLE)
        return run_fail(r, n, "a '%s' cannot be sliced", value_type(object));
    const int64_t step = part[2].kind == VALUE_NONE ? 1 : part[2].whole, count = length_of(object);
    if (step == 0 || step > INT32_MAX || step < -INT32_MAX)
        return run_fail(r, n, "a slice cannot have this step");
    const int64_t begin = bound(part[0], count, step, true), end = bound(part[1], count, step, false);
    List items;
    if (!run_items(r, n, object, &items))
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
    return run_text(r, n, &text, out);
}

static bool arguments(Run *r, const Node *first, Scope *scope, Call *call)
{
    for (const Node *n = first; n; n = n->next) {
        Value value;
        if (!eval(r, n->kind == NODE_KEYWORD ? n->a : n, scope, &value))
            return false;
        if (n->kind == NODE_KEYWORD)
            dict_put(r->pool, &call->keywords, value_text(n->name), value);
        else if (call->keywords.count > 0)
            return run_fail(r, n, "a positional argument follows a named one");
        else
            list_add(r->pool, &call->args, value);
    }
    return true;
}

static bool call_macro(Run *r, const Node *n, const Macro *macro, const Call *call, Value *out)
{
    Scope *scope = pool_take(r->pool, sizeof *scope);
    scope->outer = macro->scope;
    int64_t i = 0, used = 0;
    for (const Node *p = macro->node->a; p; p = p->next, i++) {
        const Value *keyword = dict_get(&call->keywords, p->name, strlen(p->name));
        Value value = undefined(r, "parameter '$1' was not given", p->name, "");
        if (i < call->args.count)
            value = call->args.items[i];
        else if (keyword)
            value = *keyword;
        else if (p->a && !eval(r, p->a, scope, &value))
            return false;
        used += keyword != NULL;
        dict_put(r->pool, &scope->names, value_text(p->name), value);
    }
    if (call->args.count > i || used < call->keywords.count)
        return run_fail(r, n, "macro '%s' has no such parameter", macro->node->name);
    if (++r->macros > DEEPEST_MACROS)
        return run_fail(r, n, "macro '%s' calls itself too often", macro->node->name);
    Text text = { 0 }, *outer = r->out;
    text_add(&text, "", 0);
    r->out = &text;
    const Flow flow = body(r, macro->node->body, scope);
    r->out = outer;
    r->macros--;
    if (flow != FLOW_FAIL)
        return run_text(r, n, &text, out);
    text_release(&text);
    return false;
}

static bool call(Run *r, const Node *n, Scope *scope, Value *out)
{
    Value callee;
    Call call = { .run = r, .node = n };
    if (!eval(r, n->a, scope, &callee) || !arguments(r, n->b, scope, &call))
        return false;
    if (callee.kind == VALUE_MACRO)
        return call_macro(r, n, callee.macro, &call, out);
    if (callee.kind == VALUE_UNDEFINED)
        return run_fail(r, n, "%s, so it cannot be called", callee.string.data);
    if (callee.kind != VALUE_FUNCTION)
        return run_fail(r, n, "a '%s' cannot be called", value_type(callee));
    call.self = callee.function->self;
    if (!call_function(callee.function, &call))
        return false;
    *out = call.out;
    return true;
}

static bool filter_or_test(Run *r, const Node *n, Scope *scope, Value *out)
{
    const bool filter = n->kind == NODE_FILTER;
    const Function *function = filter ? template_filter(n->name) : template_test(n->name);
    Call call = { .run = r, .node = n };
    if (!function)
        return run_fail(r, n, "the template uses the %s '%s', which is not supported", filter ? "filter" : "test", n->name);
    if (!eval(r, n->a, scope, &call.self) || !arguments(r, n->b, scope, &call) || !call_function(function, &call))
        return false;
    *out = call.out;
    return true;
}

static bool reals(Run *r, const Node *n, double x, double y, Value *out)
{
    const char *sign = n->name;
    if (sign[0] == '+' || sign[0] == '-')
        *out = value_real(sign[0] == '+' ? x + y : x - y);
    else if (sign[0] == '*')
        *out = value_real(sign[1] ? pow(x, y) : x * y);
    else if (y == 0)
        return run_fail(r, n, "division by zero");
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

static bool wholes(Run *r, const Node *n, int64_t x, int64_t y, Value *out)
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
        return run_fail(r, n, "division by zero");
    else if (y == -1)
        over = sign[0] == '/' && __builtin_sub_overflow(0, x, &z);
    else
        z = sign[0] == '/' ? x / y - (x % y != 0 && (x < 0) != (y < 0))
                           : x % y + (x % y != 0 && (x < 0) != (y < 0) ? y : 0);
    *out = value_int(z);
    return !over || run_fail(r, n, "a number is too large for 64 bits");
}

static bool repeat(Run *r, const Node *n, Value what, int64_t times, Value *out)
{
    times = times < 0 ? 0 : times;
    const bool string = what.kind == VALUE_STRING;
    const size_t size = string ? what.string.size : (size_t)what.list->count * sizeof(Value);
    if (size > 0 && (size_t)times > MOST_MEMORY / size)
        return room(r, n, MOST_MEMORY + 1);
    if (string) {
        Text text = { 0 };
        text_add(&text, "", 0);
        for (int64_t i = 0; size > 0 && i < times; i++)
            text_add(&text, what.string.data, what.string.size);
        return run_text(r, n, &text, out);
    }
    *out = value_list(r->pool, what.kind);
    for (int64_t i = 0; size > 0 && i < times; i++)
        for (int64_t k = 0; k < what.list->count; k++)
            list_add(r->pool, out->list, what.list->items[k]);
    return room(r, n, 0);
}

static bool arithmetic(Run *r, const Node *n, Scope *scope, Value *out)
{
    Value a, b;
    double x, y;
    if (!eval(r, n->a, scope, &a) || !eval(r, n->b, scope, &b))
        return false;
    if (value_number(a, &x) && value_number(b, &y))
        return a.kind != VALUE_REAL && b.kind != VALUE_REAL ? wholes(r, n, a.whole, b.whole, out) : reals(r, n, x, y, out);
    const bool plus = strcmp(n->name, "+") == 0, list = a.kind == VALUE_LIST || a.kind == VALUE_TUPLE;
    if (plus && a.kind == b.kind && a.kind == VALUE_STRING) {
        Text text = { 0 };
        text_add(&text, a.string.data, a.string.size);
        text_add(&text, b.string.data, b.string.size);
        return run_text(r, n, &text, out);
    }
    if (plus && a.kind == b.kind && list) {
        *out = value_list(r->pool, a.kind);
        for (int64_t i = 0; i < a.list->count + b.list->count; i++)
            list_add(r->pool, out->list, i < a.list->count ? a.list->items[i] : b.list->items[i - a.list->count]);
        return room(r, n, 0);
    }
    if (strcmp(n->name, "*") == 0 && (a.kind == VALUE_STRING || list) && b.kind == VALUE_INT)
        return repeat(r, n, a, b.whole, out);
    if (strcmp(n->name, "*") == 0 && a.kind == VALUE_INT &&
        (b.kind == VALUE_STRING || b.kind == VALUE_LIST || b.kind == VALUE_TUPLE))
        return repeat(r, n, b, a.whole, out);
    if (a.kind == VALUE_UNDEFINED || b.kind == VALUE_UNDEFINED)
        return run_fail(r, n, "%s", a.kind == VALUE_UNDEFINED ? a.string.data : b.string.data);
    return run_fail(r, n, "there is no '%s' of '%s' and '%s'", n->name, value_type(a), value_type(b));
}

static bool holds(Run *r, const Node *n, Value a, Value b, bool *yes)
{
    *yes = false;
    if (b.kind == VALUE_STRING && a.kind == VALUE_STRING) {
        *yes = a.string.size == 0 ||
               (b.string.size >= a.string.size && memmem(b.string.data, b.string.size, a.string.data, a.string.size));
        return true;
    }
    if (b.kind == VALUE_STRING)
        return run_fail(r, n, "'in' wants a string on the left of a string, not '%s'", value_type(a));
    List items;
    if (!run_items(r, n, b, &items))
        return false;
    for (int64_t i = 0; i < items.count && !*yes; i++)
        *yes = value_equal(items.items[i], a);
    return true;
}

static bool compared(Run *r, const Node *n, Value a, Value b, bool *yes)
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
        return run_fail(r, n, "there is no '%s' of '%s' and '%s'", sign, value_type(a), value_type(b));
    *yes = sign[0] == '<' ? order < 0 : order > 0;
    *yes = *yes || (sign[1] == '=' && order == 0);
    return true;
}

static bool compare(Run *r, const Node *n, Scope *scope, Value *out)
{
    Value left, right;
    bool yes = true;
    if (!eval(r, n->a, scope, &left))
        return false;
    for (const Node *c = n->b; c && yes; c = c->next, left = right)
        if (!eval(r, c->a, scope, &right) || !compared(r, c, left, right, &yes))
            return false;
    *out = value_bool(yes);
    return true;
}

static bool collection(Run *r, const Node *n, Scope *scope, Value *out)
{
    const bool dict = n->kind == NODE_DICT;
    *out = dict ? value_dict(r->pool, VALUE_DICT)
                : value_list(r->pool, n->kind == NODE_LIST ? VALUE_LIST : VALUE_TUPLE);
    for (const Node *i = n->a; i; i = i->next) {
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
            return run_fail(r, n, "keys of a dict are strings here, not '%s'", value_type(key));
        if (!eval(r, i, scope, &value))
            return false;
        dict_put(r->pool, out->dict, key, value);
    }
    return room(r, n, 0);
}

static bool concat(Run *r, const Node *n, Scope *scope, Value *out)
{
    Value a, b;
    if (!eval(r, n->a, scope, &a) || !eval(r, n->b, scope, &b))
        return false;
    Text text = { 0 };
    text_add(&text, "", 0);
    value_write(&text, a);
    value_write(&text, b);
    return run_text(r, n, &text, out);
}

static bool negative(Run *r, const Node *n, Value v, Value *out)
{
    if (v.kind == VALUE_REAL)
        *out = value_real(-v.real);
    else if ((v.kind == VALUE_INT || v.kind == VALUE_BOOL) && v.whole != INT64_MIN)
        *out = value_int(-v.whole);
    else
        return run_fail(r, n, "there is no '-' of '%s'", value_type(v));
    return true;
}

static bool eval_kind(Run *r, const Node *n, Scope *scope, Value *out)
{
    Value a, b;
    switch (n->kind) {
    case NODE_CONST:
        *out = n->value;
        return true;
    case NODE_NAME:
        *out = lookup(r, n->name, scope);
        return true;
    case NODE_LIST:
    case NODE_TUPLE:
    case NODE_DICT:
        return collection(r, n, scope, out);
    case NODE_ATTRIBUTE:
        return eval(r, n->a, scope, &a) && run_attribute(r, n, a, n->name, true, out);
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
        return eval(r, n->a, scope, out) &&
               (value_truth(*out) == (n->kind == NODE_OR) || eval(r, n->b, scope, out));
    case NODE_CHOICE:
        if (!eval(r, n->a, scope, &a))
            return false;
        if (!value_truth(a) && !n->c) {
            *out = undefined(r, "an 'if' without 'else' did not hold", "", "");
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

static bool eval(Run *r, const Node *n, Scope *scope, Value *out)
{
    if (++r->depth > DEEPEST)
        return run_fail(r, n, "the chat template is nested too deep");
    const bool ok = room(r, n, 0) && eval_kind(r, n, scope, out);
    r->depth--;
    return ok;
}

/* ---- statements --------------------------------------------------------------------------------- */

/* The items that the loop's condition keeps. */
static bool loop_items(Run *r, const Node *n, Scope *scope, List *out)
{
    Value value;
    List all;
    if (!eval(r, n->b, scope, &value) || !run_items(r, n, value, &all))
        return false;
    *out = all;
    if (!n->c)
        return true;
    *out = (List){ 0 };
    for (int64_t i = 0; i < all.count; i++) {
        Scope one = { scope, { 0 } };
        if (!assign(r, n->a, &one, all.items[i]) || !eval(r, n->c, &one, &value))
            return false;
        if (value_truth(value))
            list_add(r->pool, out, all.items[i]);
    }
    return true;
}

static Flow for_loop(Run *r, const Node *n, Scope *scope)
{
    List *items = pool_take(r->pool, sizeof *items);
    if (!loop_items(r, n, scope, items))
        return FLOW_FAIL;
    if (items->count == 0)
        return body(r, n->other, scope);
    Loop *loop = pool_take(r->pool, sizeof *loop);
    loop->items = items;
    for (; loop->index < items->count; loop->index++) {
        Scope *one = pool_take(r->pool, sizeof *one);
        one->outer = scope;
        if (!room(r, n, 0) || !assign(r, n->a, one, items->items[loop->index]))
            return FLOW_FAIL;
        dict_put(r->pool, &one->names, value_text("loop"), (Value){ .kind = VALUE_LOOP, .loop = loop });
        const Flow flow = body(r, n->body, one);
        if (flow == FLOW_FAIL)
            return flow;
        if (flow == FLOW_BREAK)
            break;
    }
    return FLOW_ON;
}

static Flow print(Run *r, const Node *n, Value value)
{
    value_write(r->out, value);
    return room(r, n, r->out->size) ? FLOW_ON : FLOW_FAIL;
}

static Flow set_block(Run *r, const Node *n, Scope *scope)
{
    Value value;
    Text text = { 0 }, *outer = r->out;
    Scope *inner = pool_take(r->pool, sizeof *inner);
    inner->outer = scope;
    text_add(&text, "", 0);
    r->out = &text;
    const Flow flow = body(r, n->body, inner);
    r->out = outer;
    if (flow != FLOW_ON) {
        text_release(&text);
        return flow;
    }
    return run_text(r, n, &text, &value) && assign(r, n->a, scope, value) ? FLOW_ON : FLOW_FAIL;
}

static Flow generation(Run *r, const Node *n, Scope *scope)
{
    const size_t begin = r->out->size;
    Scope *inner = pool_take(r->pool, sizeof *inner);
    inner->outer = scope;
    if (r->out != r->main)
        return run_fail(r, n, "{%% generation %%} inside of a macro or a {%% set %%} block is not supported"), FLOW_FAIL;
    const Flow flow = body(r, n->body, inner);
    r->parts = xrealloc(r->parts, (size_t)(r->part_count + 1) * sizeof *r->parts);
    r->parts[r->part_count++] = (GeneratedPart){ begin, r->out->size };
    return flow;
}

static Flow statement(Run *r, const Node *n, Scope *scope)
{
    Value value;
    switch (n->kind) {
    case NODE_TEXT:
        return print(r, n, n->value);
    case NODE_PRINT:
        return eval(r, n->a, scope, &value) ? print(r, n, value) : FLOW_FAIL;
    case NODE_FOR:
        return for_loop(r, n, scope);
    case NODE_IF:
        if (!eval(r, n->a, scope, &value))
            return FLOW_FAIL;
        return body(r, value_truth(value) ? n->body : n->other, scope);
    case NODE_SET:
        return eval(r, n->b, scope, &value) && assign(r, n->a, scope, value) ? FLOW_ON : FLOW_FAIL;
    case NODE_SET_BLOCK:
        return set_block(r, n, scope);
    case NODE_MACRO: {
        Macro *macro = pool_take(r->pool, sizeof *macro);
        *macro = (Macro){ n, scope };
        dict_put(r->pool, &scope->names, value_text(n->name), (Value){ .kind = VALUE_MACRO, .macro = macro });
        return FLOW_ON;
    }
    case NODE_GENERATION:
        return generation(r, n, scope);
    case NODE_BREAK:
        return FLOW_BREAK;
    case NODE_CONTINUE:
        return FLOW_CONTINUE;
    default:
        REQUIRE(!"an expression is no statement");
        return FLOW_FAIL;
    }
}

static Flow body(Run *r, const Node *n, Scope *scope)
{
    Flow flow = FLOW_ON;
    for (; n && flow == FLOW_ON; n = n->next)
        flow = statement(r, n, scope);
    return flow;
}

bool template_run(Run *run, const Node *tree)
{
    Scope *scope = pool_take(run->pool, sizeof *scope);
    run->main = run->out;
    text_add(run->out, "", 0);
    return body(run, tree, scope) != FLOW_FAIL;
}
