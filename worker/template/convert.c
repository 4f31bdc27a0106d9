/* Filters that make one value of another. */
#include "worker/template/builtins.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

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
        return call_fail(c, "tojson cannot indent by '%s'", value_type(indent));
    }
    style.comma = style.indent ? "," : ", ";
    style.colon = ": ";
    if (call_given(c, 2, "separators", &separators) && separators.kind != VALUE_NONE) {
        const bool two = (separators.kind == VALUE_TUPLE || separators.kind == VALUE_LIST) &&
                         separators.list->count == 2 && separators.list->items[0].kind == VALUE_STRING &&
                         separators.list->items[1].kind == VALUE_STRING;
        if (!two)
            return call_fail(c, "tojson wants two separators");
        style.comma = separators.list->items[0].string.data;
        style.colon = separators.list->items[1].string.data;
    }
    Text text = { 0 };
    if (value_dump(&text, c->self, &style))
        return call_text(c, &text, &c->out);
    text_release(&text);
    return call_fail(c, "tojson has no form for what it is given");
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
        return call_fail(c, "abs wants a number, not '%s'", value_type(c->self));
    c->out = c->self.kind == VALUE_REAL ? value_real(fabs(real))
                                        : value_int(c->self.whole < 0 ? -c->self.whole : c->self.whole);
    return true;
}

const Function template_value_filters[] = {
    { .name = "tojson", .names = "ensure_ascii indent separators sort_keys", .call = to_json },
    { .name = "default", .names = "default_value boolean", .call = fallback },
    { .name = "d", .names = "default_value boolean", .call = fallback },
    { .name = "string", .names = "", .call = string },
    { .name = "safe", .names = "", .call = same },
    { .name = "int", .names = "default", .call = to_int },
    { .name = "float", .names = "default", .call = to_float },
    { .name = "abs", .names = "", .call = absolute },
    { 0 },
};
