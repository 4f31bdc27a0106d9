#include "worker/template/rendering.h"

#include <stdarg.h>
#include <stdio.h>

enum { MOST_STEPS = 20000000 };

bool rendering_fail(Rendering *r, const TemplateNode *node, const char *what, ...)
{
    char text[768];
    va_list args;
    va_start(args, what);
    vsnprintf(text, sizeof text, what, args);
    va_end(args);
    err_set(r->err, ERR_INPUT, "%s", text);
    return err_at(r->err, "%s:%d", r->where, node->line);
}

bool rendering_room(Rendering *r, const TemplateNode *n, size_t more)
{
    if (r->pool->used + more <= RENDERING_MOST_MEMORY && ++r->steps <= MOST_STEPS)
        return true;
    return rendering_fail(r, n, "the chat template takes too %s", r->steps > MOST_STEPS ? "long" : "much memory");
}

bool rendering_text(Rendering *r, const TemplateNode *node, Text *text, Value *value)
{
    const bool ok = rendering_room(r, node, text->size);
    if (ok)
        *value = value_copy(r->pool, text->data, text->size);
    text_release(text);
    return ok;
}

Value rendering_undefined(Rendering *r, const char *format, const char *a, const char *b)
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

bool rendering_items(Rendering *r, const TemplateNode *node, Value value, List *out)
{
    *out = (List){ 0 };
    if (value.kind == VALUE_LIST || value.kind == VALUE_TUPLE) {
        *out = *value.list;
    } else if (value.kind == VALUE_DICT) {
        *out = (List){ value.dict->keys, value.dict->count, value.dict->count };
    } else if (value.kind == VALUE_STRING) {
        for (size_t i = 0, size; i < value.string.size; i += size) {
            size = utf8_offset(value.string.data + i, value.string.size - i, 1);
            list_add(r->pool, out, value_copy(r->pool, value.string.data + i, size));
        }
    } else if (value.kind != VALUE_UNDEFINED) {
        return rendering_fail(r, node, "a '%s' has no items to go over", value_type(value));
    }
    return rendering_room(r, node, 0);
}
