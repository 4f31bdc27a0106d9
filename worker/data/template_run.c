#include "worker/data/template_run.h"

#include "common/base/mem.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_STEPS = 20000000, DEEPEST_MACROS = 60 };

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

bool run_room(Run *r, const Node *n, size_t more)
{
    if (r->pool->used + more <= RUN_MOST_MEMORY && ++r->steps <= MOST_STEPS)
        return true;
    return run_fail(r, n, "the chat template takes too %s", r->steps > MOST_STEPS ? "long" : "much memory");
}

bool run_text(Run *run, const Node *node, Text *text, Value *value)
{
    const bool ok = run_room(run, node, text->size);
    if (ok)
        *value = value_copy(run->pool, text->data, text->size);
    text_release(text);
    return ok;
}

Value run_undefined(Run *r, const char *format, const char *a, const char *b)
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
        *out = before ? i > 0 ? loop->items->items[i - 1] : run_undefined(r, "there is no previous item", "", "")
               : i + 1 < count ? loop->items->items[i + 1]
                               : run_undefined(r, "there is no next item", "", "");
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
        *out = run_undefined(run, "'$1' has no '$2'", value_type(object), name);
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
    return run_room(run, node, 0);
}

/* ---- names -------------------------------------------------------------------------------- */

Value run_lookup(Run *r, const char *name, const Scope *scope)
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
    return run_undefined(r, "'$1' is undefined", name, "");
}

static bool assign(Run *r, const Node *target, Scope *scope, Value value)
{
    if (target->kind == NODE_NAME) {
        dict_put(r->pool, &scope->names, value_text(target->name), value);
        return true;
    }
    if (target->kind == NODE_ATTRIBUTE) {
        const Value space = run_lookup(r, target->a->name, scope);
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
    return i == items.count || run_fail(r, target, "%lld values for %lld names", (long long)items.count, (long long)i);
}

/* ---- macros ---------------------------------------------------------------------------------- */

bool run_macro(Run *r, const Node *n, const Macro *macro, const Call *call, Value *out)
{
    Scope *scope = pool_take(r->pool, sizeof *scope);
    scope->outer = macro->scope;
    int64_t i = 0, used = 0;
    for (const Node *p = macro->node->a; p; p = p->next, i++) {
        const Value *keyword = dict_get(&call->keywords, p->name, strlen(p->name));
        Value value = run_undefined(r, "parameter '$1' was not given", p->name, "");
        if (i < call->args.count)
            value = call->args.items[i];
        else if (keyword)
            value = *keyword;
        else if (p->a && !run_eval(r, p->a, scope, &value))
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

/* ---- statements ---------------------------------------------------------------------------------
 */

/* The items that the loop's condition keeps. */
static bool loop_items(Run *r, const Node *n, Scope *scope, List *out)
{
    Value value;
    List all;
    if (!run_eval(r, n->b, scope, &value) || !run_items(r, n, value, &all))
        return false;
    *out = all;
    if (!n->c)
        return true;
    *out = (List){ 0 };
    for (int64_t i = 0; i < all.count; i++) {
        Scope one = { scope, { 0 } };
        if (!assign(r, n->a, &one, all.items[i]) || !run_eval(r, n->c, &one, &value))
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
        if (!run_room(r, n, 0) || !assign(r, n->a, one, items->items[loop->index]))
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
    return run_room(r, n, r->out->size) ? FLOW_ON : FLOW_FAIL;
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
        return run_fail(r, n, "{%% generation %%} inside of a macro or a {%% set %%} block is not supported"),
               FLOW_FAIL;
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
        return run_eval(r, n->a, scope, &value) ? print(r, n, value) : FLOW_FAIL;
    case NODE_FOR:
        return for_loop(r, n, scope);
    case NODE_IF:
        if (!run_eval(r, n->a, scope, &value))
            return FLOW_FAIL;
        return body(r, value_truth(value) ? n->body : n->other, scope);
    case NODE_SET:
        return run_eval(r, n->b, scope, &value) && assign(r, n->a, scope, value) ? FLOW_ON : FLOW_FAIL;
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
