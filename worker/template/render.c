#include "worker/template/render.h"

#include "common/base/mem.h"
#include "worker/template/builtins.h"
#include "worker/template/eval.h"

#include <stdlib.h>
#include <string.h>

enum { DEEPEST_MACROS = 60 };

typedef enum { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE, FLOW_FAIL } Flow;

static Flow body(Rendering *r, const TemplateNode *n, Scope *scope);

/* ---- names -------------------------------------------------------------------------------- */

static bool assign(Rendering *r, const TemplateNode *target, Scope *scope, Value value)
{
    if (target->kind == NODE_NAME) {
        dict_put(r->pool, &scope->names, value_text(target->name), value);
        return true;
    }
    if (target->kind == NODE_ATTRIBUTE) {
        const Value space = eval_name(r, target->a->name, scope);
        if (space.kind != VALUE_NAMESPACE)
            return rendering_fail(r, target, "'%s' is no namespace", target->a->name);
        dict_put(r->pool, space.dict, value_text(target->name), value);
        return true;
    }
    List items;
    if (!rendering_items(r, target, value, &items))
        return false;
    int64_t i = 0;
    for (const TemplateNode *n = target->a; n; n = n->next, i++)
        if (i < items.count && !assign(r, n, scope, items.items[i]))
            return false;
    return i == items.count ||
           rendering_fail(r, target, "%lld values for %lld names", (long long)items.count, (long long)i);
}

/* ---- macros ---------------------------------------------------------------------------------- */

static bool call_macro(Rendering *r, const TemplateNode *n, const Macro *macro, const Call *call, Value *out)
{
    Scope *scope = pool_take(r->pool, sizeof *scope);
    scope->outer = macro->scope;
    int64_t i = 0, used = 0;
    for (const TemplateNode *p = macro->node->a; p; p = p->next, i++) {
        const Value *keyword = dict_get(&call->keywords, p->name, strlen(p->name));
        Value value = rendering_undefined(r, "parameter '$1' was not given", p->name, "");
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
        return rendering_fail(r, n, "macro '%s' has no such parameter", macro->node->name);
    if (++r->macros > DEEPEST_MACROS)
        return rendering_fail(r, n, "macro '%s' calls itself too often", macro->node->name);
    Text text = { 0 }, *outer = r->out;
    text_add(&text, "", 0);
    r->out = &text;
    const Flow flow = body(r, macro->node->body, scope);
    r->out = outer;
    r->macros--;
    if (flow != FLOW_FAIL)
        return rendering_text(r, n, &text, out);
    text_release(&text);
    return false;
}

/* ---- statements ---------------------------------------------------------------------------------
 */

/* The items that the loop's condition keeps. */
static bool loop_items(Rendering *r, const TemplateNode *n, Scope *scope, List *out)
{
    Value value;
    List all;
    if (!eval(r, n->b, scope, &value) || !rendering_items(r, n, value, &all))
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

static Flow for_loop(Rendering *r, const TemplateNode *n, Scope *scope)
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
        if (!rendering_room(r, n, 0) || !assign(r, n->a, one, items->items[loop->index]))
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

static Flow print(Rendering *r, const TemplateNode *n, Value value)
{
    value_write(r->out, value);
    return rendering_room(r, n, r->out->size) ? FLOW_ON : FLOW_FAIL;
}

static Flow set_block(Rendering *r, const TemplateNode *n, Scope *scope)
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
    return rendering_text(r, n, &text, &value) && assign(r, n->a, scope, value) ? FLOW_ON : FLOW_FAIL;
}

static Flow generation(Rendering *r, const TemplateNode *n, Scope *scope)
{
    const size_t begin = r->out->size;
    Scope *inner = pool_take(r->pool, sizeof *inner);
    inner->outer = scope;
    if (r->out != r->main)
        return rendering_fail(r, n, "{%% generation %%} inside of a macro or a {%% set %%} block is not supported"),
               FLOW_FAIL;
    const Flow flow = body(r, n->body, inner);
    r->parts = xrealloc(r->parts, (size_t)(r->part_count + 1) * sizeof *r->parts);
    r->parts[r->part_count++] = (GeneratedPart){ begin, r->out->size };
    return flow;
}

static Flow statement(Rendering *r, const TemplateNode *n, Scope *scope)
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
        *macro = (Macro){ n, scope, call_macro };
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

static Flow body(Rendering *r, const TemplateNode *n, Scope *scope)
{
    Flow flow = FLOW_ON;
    for (; n && flow == FLOW_ON; n = n->next)
        flow = statement(r, n, scope);
    return flow;
}

bool template_render(Rendering *r, const TemplateNode *tree)
{
    Scope *scope = pool_take(r->pool, sizeof *scope);
    r->builtins = &template_builtins;
    r->main = r->out;
    text_add(r->out, "", 0);
    return body(r, tree, scope) != FLOW_FAIL;
}
