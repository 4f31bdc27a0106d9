#include "worker/template/builtins.h"

#include <stdlib.h>
#include <string.h>

static bool answer(Call *c, bool yes)
{
    c->out = value_bool(yes);
    return true;
}

static bool is_defined(Call *c)
{
    return answer(c, c->self.kind != VALUE_UNDEFINED);
}
static bool is_undefined(Call *c)
{
    return answer(c, c->self.kind == VALUE_UNDEFINED);
}
static bool is_none(Call *c)
{
    return answer(c, c->self.kind == VALUE_NONE);
}
static bool is_string(Call *c)
{
    return answer(c, c->self.kind == VALUE_STRING);
}
static bool is_number(Call *c)
{
    double number;
    return answer(c, value_number(c->self, &number));
}
static bool is_integer(Call *c)
{
    return answer(c, c->self.kind == VALUE_INT);
}
static bool is_float(Call *c)
{
    return answer(c, c->self.kind == VALUE_REAL);
}
static bool is_boolean(Call *c)
{
    return answer(c, c->self.kind == VALUE_BOOL);
}
static bool is_true(Call *c)
{
    return answer(c, c->self.kind == VALUE_BOOL && c->self.whole);
}
static bool is_false(Call *c)
{
    return answer(c, c->self.kind == VALUE_BOOL && !c->self.whole);
}
static bool is_mapping(Call *c)
{
    return answer(c, c->self.kind == VALUE_DICT);
}
static bool has_items(const Call *c)
{
    return c->self.kind == VALUE_STRING || c->self.kind == VALUE_LIST || c->self.kind == VALUE_TUPLE ||
           c->self.kind == VALUE_DICT || c->self.kind == VALUE_UNDEFINED;
}
static bool is_iterable(Call *c)
{
    return answer(c, has_items(c) || c->self.kind == VALUE_LOOP);
}
static bool is_sequence(Call *c) /* what has a length and items: dicts too */
{
    return answer(c, has_items(c));
}
static bool is_callable(Call *c)
{
    return answer(c, c->self.kind == VALUE_MACRO || c->self.kind == VALUE_FUNCTION);
}

static bool other(Call *c, Value *value)
{
    return call_given(c, 0, "other", value) || call_fail(c, "the test lacks what to compare with");
}

static bool is_equal(Call *c)
{
    Value value;
    return other(c, &value) && answer(c, value_equal(c->self, value));
}
static bool is_unequal(Call *c)
{
    Value value;
    return other(c, &value) && answer(c, !value_equal(c->self, value));
}
static bool is_in(Call *c)
{
    Value list;
    List items;
    if (!other(c, &list))
        return false;
    if (list.kind == VALUE_STRING && c->self.kind == VALUE_STRING)
        return answer(c, strstr(list.string.data, c->self.string.data) != NULL);
    if (!call_items(c, list, &items))
        return false;
    bool yes = false;
    for (int64_t i = 0; i < items.count; i++)
        yes = yes || value_equal(items.items[i], c->self);
    return answer(c, yes);
}

static bool divisible(Call *c, int64_t by, int64_t rest)
{
    if ((c->self.kind != VALUE_INT && c->self.kind != VALUE_BOOL) || by == 0)
        return call_fail(c, "the test wants whole numbers");
    return answer(c, by == -1 || llabs(c->self.whole % by) == rest);
}
static bool is_odd(Call *c)
{
    return divisible(c, 2, 1);
}
static bool is_even(Call *c)
{
    return divisible(c, 2, 0);
}
static bool is_divisible(Call *c)
{
    int64_t by;
    return call_whole(c, 0, "other", 0, &by) && divisible(c, by, 0);
}

const Function template_tests[] = {
    { .name = "defined", .names = "", .call = is_defined },
    { .name = "undefined", .names = "", .call = is_undefined },
    { .name = "none", .names = "", .call = is_none },
    { .name = "string", .names = "", .call = is_string },
    { .name = "number", .names = "", .call = is_number },
    { .name = "integer", .names = "", .call = is_integer },
    { .name = "float", .names = "", .call = is_float },
    { .name = "boolean", .names = "", .call = is_boolean },
    { .name = "true", .names = "", .call = is_true },
    { .name = "false", .names = "", .call = is_false },
    { .name = "mapping", .names = "", .call = is_mapping },
    { .name = "iterable", .names = "", .call = is_iterable },
    { .name = "sequence", .names = "", .call = is_sequence },
    { .name = "callable", .names = "", .call = is_callable },
    { .name = "equalto", .names = "other", .call = is_equal },
    { .name = "eq", .names = "other", .call = is_equal },
    { .name = "ne", .names = "other", .call = is_unequal },
    { .name = "in", .names = "other", .call = is_in },
    { .name = "odd", .names = "", .call = is_odd },
    { .name = "even", .names = "", .call = is_even },
    { .name = "divisibleby", .names = "other", .call = is_divisible },
    { 0 },
};
