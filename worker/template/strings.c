#include "worker/template/builtins.h"

#include "common/metrics/words.h"
#include "worker/tokenizer/unicode.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- strings ------------------------------------------------------------------------------ */

static bool in_set(Value set, const char *s, size_t size)
{
    return memmem(set.string.data, set.string.size, s, size) != NULL;
}

/* Cuts off both ends, as told, what is in `set`, or white space. */
static Value stripped(Value v, const Value *set, bool left, bool right)
{
    const char *s = v.string.data;
    size_t begin = 0, end = 0, first = 0;
    bool solid = false;
    for (size_t i = 0, size; i < v.string.size; i += size) {
        size = utf8_offset(s + i, v.string.size - i, 1);
        if (set ? in_set(*set, s + i, size) : words_space(s + i, v.string.size - i) > 0)
            continue;
        first = solid ? first : i;
        solid = true;
        end = i + size;
    }
    begin = !left ? 0 : solid ? first : v.string.size;
    end = right ? end : v.string.size;
    return value_string(s + begin, end > begin ? end - begin : 0);
}

static bool strip(Call *c, bool left, bool right)
{
    Value set, v;
    const bool chars = call_given(c, 0, "chars", &set) && set.kind != VALUE_NONE;
    if (!call_soft(c, &v) || (chars && !call_string(c, 0, "chars", NULL, &set)))
        return false;
    const Value out = stripped(v, chars ? &set : NULL, left, right);
    c->out = value_copy(c->r->pool, out.string.data, out.string.size);
    return true;
}

static bool strip_both(Call *c)
{
    return strip(c, true, true);
}
static bool strip_left(Call *c)
{
    return strip(c, true, false);
}
static bool strip_right(Call *c)
{
    return strip(c, false, true);
}

typedef enum { CASE_LOWER, CASE_UPPER, CASE_TITLE, CASE_WORDS, CASE_CAPITAL } LetterCase;

/* title(): a letter behind a letter is small. |title: words part at white space, - ( { [ <. */
static bool begins_word(LetterCase how, const char *s, size_t i)
{
    if (how == CASE_TITLE)
        return i == 0 || !isalpha((unsigned char)s[i - 1]);
    return i == 0 || isspace((unsigned char)s[i - 1]) || strchr("-({[<", s[i - 1]);
}

/* Only small letters are known of all scripts; the final form of sigma depends on what is around.
 */
static bool cased(Call *c, LetterCase how)
{
    Value v;
    if (!call_soft(c, &v))
        return false;
    Text text = { 0 };
    text_add(&text, "", 0);
    for (size_t i = 0; i < v.string.size;) {
        const size_t from = i;
        const int32_t ch = unicode_next(v.string.data, &i);
        if (ch == 0x3A3 || (ch >= 0x80 && how != CASE_LOWER)) {
            text_release(&text);
            return call_fail(c, "'%s' of letters outside of ASCII is not supported",
                             how == CASE_LOWER ? "lower" : "upper or title");
        }
        int32_t small[2] = { 0 };
        const size_t count = unicode_lower(small, ch);
        const bool up = how == CASE_UPPER ||
                        (how == CASE_CAPITAL ? from == 0 : how != CASE_LOWER && begins_word(how, v.string.data, from));
        if (up)
            unicode_add(&text, toupper((int)ch));
        else
            for (size_t k = 0; k < count; k++)
                unicode_add(&text, small[k]);
    }
    return call_text(c, &text, &c->out);
}

static bool lower(Call *c)
{
    return cased(c, CASE_LOWER);
}
static bool upper(Call *c)
{
    return cased(c, CASE_UPPER);
}
static bool title(Call *c)
{
    return cased(c, CASE_TITLE);
}
static bool title_words(Call *c)
{
    return cased(c, CASE_WORDS);
}
static bool capitalize(Call *c)
{
    return cased(c, CASE_CAPITAL);
}

static void add_part(Call *c, List *list, const char *s, size_t size)
{
    list_add(c->r->pool, list, value_copy(c->r->pool, s, size));
}

/* str.split() at runs of white space. */
static void split_space(Call *c, int64_t most, List *list)
{
    const char *s = c->self.string.data;
    const size_t n = c->self.string.size;
    size_t i = 0;
    for (;;) {
        for (size_t space; i < n && (space = words_space(s + i, n - i)) > 0;)
            i += space;
        if (i == n)
            return;
        size_t end = i;
        if (most-- == 0) {
            add_part(c, list, s + i, n - i);
            return;
        }
        while (end < n && !words_space(s + end, n - end))
            end++;
        add_part(c, list, s + i, end - i);
        i = end;
    }
}

static bool split(Call *c)
{
    Value sep;
    int64_t most;
    if (!call_string(c, 0, "sep", "", &sep) || !call_whole(c, 1, "maxsplit", -1, &most))
        return false;
    c->out = value_list(c->r->pool, VALUE_LIST);
    if (!call_given(c, 0, "sep", &sep) || sep.kind == VALUE_NONE) {
        split_space(c, most, c->out.list);
        return true;
    }
    if (sep.string.size == 0)
        return call_fail(c, "split wants a separator that is not empty");
    const char *s = c->self.string.data, *end = s + c->self.string.size, *hit;
    while (most-- != 0 && (hit = memmem(s, (size_t)(end - s), sep.string.data, sep.string.size)) != NULL) {
        add_part(c, c->out.list, s, (size_t)(hit - s));
        s = hit + sep.string.size;
    }
    add_part(c, c->out.list, s, (size_t)(end - s));
    return true;
}

/* From the right; only where a limit makes a difference to split. */
static bool split_right(Call *c)
{
    Value sep;
    int64_t most;
    if (!call_string(c, 0, "sep", NULL, &sep) || !call_whole(c, 1, "maxsplit", -1, &most))
        return false;
    if (sep.string.size == 0)
        return call_fail(c, "rsplit wants a separator that is not empty");
    c->out = value_list(c->r->pool, VALUE_LIST);
    List parts = { 0 };
    const char *s = c->self.string.data;
    size_t end = c->self.string.size;
    for (size_t i = end; most != 0 && i >= sep.string.size;) {
        if (memcmp(s + i - sep.string.size, sep.string.data, sep.string.size) != 0) {
            i--;
            continue;
        }
        add_part(c, &parts, s + i, end - i);
        i = end = i - sep.string.size;
        most--;
    }
    add_part(c, &parts, s, end);
    for (int64_t i = parts.count - 1; i >= 0; i--)
        list_add(c->r->pool, c->out.list, parts.items[i]);
    return true;
}

static bool split_lines(Call *c)
{
    c->out = value_list(c->r->pool, VALUE_LIST);
    const char *s = c->self.string.data, *end = s + c->self.string.size;
    while (s < end) {
        const size_t n = strcspn(s, "\n\r\v\f\x1c\x1d\x1e");
        add_part(c, c->out.list, s, n);
        s += n;
        s += s[0] == '\r' && s[1] == '\n' ? 2 : s < end;
    }
    return true;
}

static bool has_end(Value v, Value part, bool front)
{
    if (part.kind != VALUE_STRING || part.string.size > v.string.size)
        return false;
    const char *at = front ? v.string.data : v.string.data + v.string.size - part.string.size;
    return memcmp(at, part.string.data, part.string.size) == 0;
}

static bool ends(Call *c, bool front)
{
    Value part;
    if (!call_given(c, 0, "prefix", &part))
        return call_fail(c, "what to look for is missing");
    bool yes = has_end(c->self, part, front);
    if (part.kind == VALUE_TUPLE)
        for (int64_t i = 0; i < part.list->count; i++)
            yes = yes || has_end(c->self, part.list->items[i], front);
    else if (part.kind != VALUE_STRING)
        return call_fail(c, "what to look for is no string, but '%s'", value_type(part));
    c->out = value_bool(yes);
    return true;
}

static bool starts_with(Call *c)
{
    return ends(c, true);
}
static bool ends_with(Call *c)
{
    return ends(c, false);
}

static bool without(Call *c, bool front)
{
    Value part;
    if (!call_string(c, 0, "prefix", NULL, &part))
        return false;
    const size_t less = has_end(c->self, part, front) ? part.string.size : 0;
    c->out = value_copy(c->r->pool, c->self.string.data + (front ? less : 0), c->self.string.size - less);
    return true;
}

static bool remove_prefix(Call *c)
{
    return without(c, true);
}
static bool remove_suffix(Call *c)
{
    return without(c, false);
}

static bool find(Call *c, bool last)
{
    Value part;
    if (!call_string(c, 0, "sub", NULL, &part))
        return false;
    const char *s = c->self.string.data;
    int64_t at = -1;
    for (size_t i = 0; i + part.string.size <= c->self.string.size && (last || at < 0); i++)
        if (memcmp(s + i, part.string.data, part.string.size) == 0)
            at = utf8_count(s, i);
    c->out = value_int(at);
    return true;
}

static bool find_first(Call *c)
{
    return find(c, false);
}
static bool find_last(Call *c)
{
    return find(c, true);
}

static bool count_part(Call *c)
{
    Value part;
    if (!call_string(c, 0, "sub", NULL, &part))
        return false;
    const char *s = c->self.string.data, *end = s + c->self.string.size;
    int64_t count = part.string.size == 0 ? utf8_count(s, c->self.string.size) + 1 : 0;
    while (part.string.size > 0 && (s = memmem(s, (size_t)(end - s), part.string.data, part.string.size)) != NULL) {
        s += part.string.size;
        count++;
    }
    c->out = value_int(count);
    return true;
}

static bool replace(Call *c)
{
    Value v, old, new;
    int64_t most;
    if (!call_soft(c, &v) || !call_string(c, 0, "old", NULL, &old) || !call_string(c, 1, "new", NULL, &new) ||
        !call_whole(c, 2, "count", -1, &most))
        return false;
    if (old.string.size == 0)
        return call_fail(c, "replace wants an old text that is not empty");
    Text text = { 0 };
    const char *s = v.string.data, *end = s + v.string.size, *hit;
    while (most-- != 0 && (hit = memmem(s, (size_t)(end - s), old.string.data, old.string.size)) != NULL) {
        text_add(&text, s, (size_t)(hit - s));
        text_add(&text, new.string.data, new.string.size);
        s = hit + old.string.size;
        if (text.size > 1U << 28)
            break; /* rendering_text will say so */
    }
    text_add(&text, s, (size_t)(end - s));
    return call_text(c, &text, &c->out);
}

static bool all_of(Call *c, int (*is)(int))
{
    bool yes = c->self.string.size > 0;
    for (size_t i = 0; i < c->self.string.size; i++) {
        const unsigned char ch = (unsigned char)c->self.string.data[i];
        if (ch >= 0x80)
            return call_fail(c, "kinds of characters outside of ASCII are not supported");
        yes = yes && is(ch);
    }
    c->out = value_bool(yes);
    return true;
}

static bool is_digits(Call *c)
{
    return all_of(c, isdigit);
}
static bool is_letters(Call *c)
{
    return all_of(c, isalpha);
}
static bool is_spaces(Call *c)
{
    return all_of(c, isspace);
}

/* "sep".join(list), list|join(sep, attribute) */
static bool joined(Call *c, Value list, Value sep, const char *attribute, bool soft)
{
    List items;
    if (!call_items(c, list, &items))
        return false;
    Text text = { 0 };
    text_add(&text, "", 0);
    bool ok = true;
    for (int64_t i = 0; ok && i < items.count && text.size < 1U << 28; i++) {
        Value item = items.items[i];
        ok = !attribute || call_attribute(c, item, attribute, false, &item);
        if (ok && !soft && item.kind != VALUE_STRING)
            ok = call_fail(c, "join wants strings, not '%s'", value_type(item));
        text_add(&text, sep.string.data, i > 0 ? sep.string.size : 0);
        if (ok)
            value_write(&text, item);
    }
    if (ok)
        return call_text(c, &text, &c->out);
    text_release(&text);
    return false;
}

static bool join_method(Call *c)
{
    Value list;
    return call_given(c, 0, "iterable", &list) ? joined(c, list, c->self, NULL, false)
                                               : call_fail(c, "what to join is missing");
}

static bool join_filter(Call *c)
{
    Value sep, attribute;
    if (!call_string(c, 0, "d", "", &sep) || !call_string(c, 1, "attribute", "", &attribute))
        return false;
    return joined(c, c->self, sep, attribute.string.size ? attribute.string.data : NULL, true);
}

static bool indent(Call *c)
{
    Value v, width;
    if (!call_soft(c, &v))
        return false;
    if (!call_given(c, 0, "width", &width))
        width = value_int(4);
    if (width.kind != VALUE_STRING && (width.kind != VALUE_INT || width.whole < 0 || width.whole > 1000))
        return call_fail(c, "'width' wants to be a string or a small number");
    const bool first = call_flag(c, 1, "first"), blank = call_flag(c, 2, "blank");
    Text text = { 0 };
    text_add(&text, "", 0);
    for (size_t i = 0; i < v.string.size || i == 0;) {
        const size_t end = i + strcspn(v.string.data + i, "\n");
        if ((i == 0 ? first : blank || end > i) && width.kind == VALUE_STRING)
            value_write(&text, width);
        else if (i == 0 ? first : blank || end > i)
            text_addf(&text, "%*s", (int)width.whole, "");
        text_add(&text, v.string.data + i, end - i + (end < v.string.size));
        i = end + 1;
    }
    return call_text(c, &text, &c->out);
}

/* ---- tables -------------------------------------------------------------------------------- */

const Function template_string_methods[] = {
    { .name = "strip", .names = "chars", .call = strip_both },
    { .name = "lstrip", .names = "chars", .call = strip_left },
    { .name = "rstrip", .names = "chars", .call = strip_right },
    { .name = "split", .names = "sep maxsplit", .call = split },
    { .name = "rsplit", .names = "sep maxsplit", .call = split_right },
    { .name = "splitlines", .names = "", .call = split_lines },
    { .name = "startswith", .names = "prefix", .call = starts_with },
    { .name = "endswith", .names = "prefix", .call = ends_with },
    { .name = "removeprefix", .names = "prefix", .call = remove_prefix },
    { .name = "removesuffix", .names = "prefix", .call = remove_suffix },
    { .name = "lower", .names = "", .call = lower },
    { .name = "upper", .names = "", .call = upper },
    { .name = "title", .names = "", .call = title },
    { .name = "capitalize", .names = "", .call = capitalize },
    { .name = "replace", .names = "old new count", .call = replace },
    { .name = "find", .names = "sub", .call = find_first },
    { .name = "rfind", .names = "sub", .call = find_last },
    { .name = "count", .names = "sub", .call = count_part },
    { .name = "join", .names = "iterable", .call = join_method },
    { .name = "isdigit", .names = "", .call = is_digits },
    { .name = "isalpha", .names = "", .call = is_letters },
    { .name = "isspace", .names = "", .call = is_spaces },
    { 0 },
};

const Function template_string_filters[] = {
    { .name = "trim", .names = "chars", .call = strip_both },
    { .name = "lower", .names = "", .call = lower },
    { .name = "upper", .names = "", .call = upper },
    { .name = "title", .names = "", .call = title_words },
    { .name = "capitalize", .names = "", .call = capitalize },
    { .name = "replace", .names = "old new count", .call = replace },
    { .name = "join", .names = "d attribute", .call = join_filter },
    { .name = "indent", .names = "width first blank", .call = indent },
    { 0 },
};
