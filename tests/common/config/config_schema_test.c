/* The schema of the run file: a property for every key and name, with what the checks allow.
 * (tests/interop/names.py has a validator of others judge it.) */
#include "common/config/config_names.h"
#include "common/config/config_schema.h"
#include "common/config/config_table.h"
#include "tests/common/config/load.h"

/* Lent; fails where there is none. */
static const json_t *property(const json_t *schema, const char *name)
{
    const char *dot = strchr(name, '.');
    const json_t *all = json_object_get(schema, "properties");
    if (dot) {
        const json_t *section = json_object_getn(all, name, (size_t)(dot - name));
        assert_true(json_is_false(json_object_get(section, "additionalProperties")));
        all = json_object_get(section, "properties");
    }
    const json_t *found = json_object_get(all, dot ? dot + 1 : name);
    if (!json_is_object(found) || !json_is_string(json_object_get(found, "description")))
        fail_msg("the schema says nothing of %s", name);
    return found;
}

static bool has(const json_t *list, const char *word)
{
    size_t i;
    const json_t *item;
    json_array_foreach(list, i,
                       item) if (json_is_string(item) && strcmp(json_string_value(item), word) == 0) return true;
    return false;
}

static void every_key_and_name_is_a_property(void **state)
{
    (void)state;
    json_t *schema = config_schema();
    int keys, names;
    const ConfigKey *key = config_keys(&keys);
    const PeerName *row = config_names(&names);
    for (int i = 0; i < keys; i++) {
        const json_t *found = property(schema, key[i].name), *words = json_object_get(found, "enum");
        if (!words) /* beside words with a number */
            words = json_object_get(json_array_get(json_object_get(found, "anyOf"), 0), "enum");
        for (const KeyWord *w = key[i].words; w && w->name; w++) {
            const bool truth = strcmp(w->name, "true") == 0 || strcmp(w->name, "false") == 0;
            if (!truth && config_word_stem(w) == 0 && has(words, w->name) == w->later)
                fail_msg("%s: %s", key[i].name, w->name);
        }
    }
    for (int i = 0; i < names; i++)
        property(schema, row[i].name);
    assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
    json_decref(schema);
}

static void ranges_and_defaults_are_those_of_the_checks(void **state)
{
    (void)state;
    json_t *schema = config_schema();
    const json_t *r = property(schema, "lora.r"), *dropout = property(schema, "lora.lora_dropout");
    assert_string_equal(json_string_value(json_object_get(r, "type")), "integer");
    assert_int_equal(json_integer_value(json_object_get(r, "minimum")), 1);
    assert_int_equal(json_integer_value(json_object_get(r, "maximum")), 4096);
    assert_int_equal(json_integer_value(json_object_get(r, "default")), 8);
    assert_int_equal(json_integer_value(json_object_get(dropout, "exclusiveMaximum")), 1);
    assert_true(json_real_value(json_object_get(property(schema, "train.learning_rate"), "default")) == 1e-4);
    const json_t *fp16 = json_object_get(property(schema, "train.fp16"), "enum");
    size_t i;
    const json_t *item;
    json_array_foreach(fp16, i, item) assert_false(json_is_true(item));
    json_decref(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_and_name_is_a_property),
        cmocka_unit_test(ranges_and_defaults_are_those_of_the_checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
