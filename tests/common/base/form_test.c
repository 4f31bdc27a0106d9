/* Forms: fields filled in, parts left out, and what is said of one that is wrong. */
#include "common/base/form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* "ask" is "why", "empty" is empty, "list" is no text; no other is there. */
static bool field(void *self, const char *name, const char **text, size_t *n, Err *err)
{
    (void)self;
    if (strcmp(name, "list") == 0)
        return err_set(err, ERR_INPUT, "a list");
    *text = strcmp(name, "ask") == 0 ? "why" : strcmp(name, "empty") == 0 ? "" : NULL;
    *n = *text ? strlen(*text) : 0;
    return true;
}

static void expect(const char *form, const char *want)
{
    Err err = { 0 };
    Text out = { 0 };
    const bool ok = form_check(form, &err) && form_fill(form, field, NULL, &out, &err);
    assert_string_equal(ok ? out.data : err.what, want);
    text_release(&out);
}

static void fields_are_filled_in(void **state)
{
    (void)state;
    expect("{ask}? {ask}\n", "why? why\n");
    expect("<{empty}{ask}>", "<why>");
    expect("{{{ask}}} {{}}", "{why} {}");
    expect("a {gone}", "no column or field 'gone'");
    expect("a {list}", "a list");
}

static void parts_without_their_field_are_left_out(void **state)
{
    (void)state;
    expect("{ask}{?empty} and {empty}{/}{?gone} or {gone}{/}.", "why.");
    expect("{?ask}[{ask}]{/}", "[why]");
    expect("{?ask}a{?gone}b{?ask}c{/}d{/}e{/}{ask}", "aewhy");
    expect("{?gone}{?ask}{ask}{/}{gone}{/}{ask}", "why");
}

static void a_wrong_form_is_refused(void **state)
{
    (void)state;
    Err err = { 0 };
    expect("{ask", "a '{' without its '}'");
    expect("ask} {ask}", "a '}' without its '{'");
    expect("{a{ask}}", "a '{' without its '}'");
    expect("{ask}{/}", "a '{/}' without its '{?NAME}'");
    expect("{?ask}{ask}", "a '{?NAME}' without its '{/}'");
    expect("{ask}{}", "braces without a name");
    expect("{ask}{?}x{/}", "braces without a name");
    expect("always the same", "it has no field: all rows would be alike");
    assert_false(form_check("abc }", &err));
    assert_string_equal(err.where, "letter 5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_filled_in),
        cmocka_unit_test(parts_without_their_field_are_left_out),
        cmocka_unit_test(a_wrong_form_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
