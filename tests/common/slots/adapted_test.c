/* A model and its slots, opened as a run file says, and what cannot be. */
#include "common/slots/adapted.h"

#include "common/base/file.h"
#include "common/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void load(Config *config, const char *one, const char *two)
{
    const char *const overrides[] = { one, two };
    Err err = { 0 };
    assert_true(config_load(config,
                            &(ConfigSources){ .file = "tests/golden/bert-seqcls/run.yaml",
                                              .overrides = overrides,
                                              .override_count = two ? 2 : 1 },
                            &err));
}

static uint64_t digest_of(const AdaptedOptions *o)
{
    Adapted adapted;
    Err err = { 0 };
    assert_true(adapted_open(&adapted, o, &err));
    assert_null(adapted.files);
    assert_true(adapted_open_files(&adapted, &err));
    const uint64_t digest = adapted_digest(&adapted);
    adapted_close_files(&adapted);
    assert_null(adapted.files);
    adapted_release(&adapted);
    adapted_release(&adapted);
    return digest;
}

static void a_run_file_opens_model_and_slots(void **state)
{
    (void)state;
    Config config;
    Adapted adapted;
    Err err = { 0 };
    load(&config, "lora.r=6", NULL);
    const AdaptedOptions o = adapted_of(&config);
    assert_true(adapted_open(&adapted, &o, &err));
    assert_int_equal(adapted.arch->head.labels, 3);
    assert_string_equal(adapted.arch->head.label_names[1], "neutral");
    assert_ptr_equal(adapted.table->arch, adapted.arch);
    assert_int_equal(adapted.table->slots[0].dim[0], 6);
    adapted_release(&adapted);
    config_release(&config);
}

/* What decides the base's numbers decides the digest, and nothing of the adapter does. */
static void the_digest_is_of_the_base(void **state)
{
    (void)state;
    Config config, other, numbers;
    load(&config, "lora.r=6", NULL);
    load(&other, "lora.r=2", "labels=[a, b, c]");
    load(&numbers, "model_config={layer_norm_eps: 0.001}", NULL);
    AdaptedOptions o = adapted_of(&config), another = adapted_of(&other), overridden = adapted_of(&numbers);
    const uint64_t digest = digest_of(&o);
    assert_true(digest == digest_of(&another));
    assert_true(digest != digest_of(&overridden));
    o.lora = NULL; /* no slot table */
    assert_true(digest == digest_of(&o));
    config_release(&config);
    config_release(&other);
    config_release(&numbers);
}

static void what_cannot_be_leaves_nothing(void **state)
{
    (void)state;
    Config config;
    Adapted adapted;
    Err err = { 0 };
    load(&config, "lora.target_modules=[nothing_like_it]", NULL);
    AdaptedOptions o = adapted_of(&config);
    assert_false(adapted_open(&adapted, &o, &err));
    assert_true(!adapted.arch && !adapted.table && !adapted.files);
    assert_int_equal(err.kind, ERR_INPUT);
    err = (Err){ 0 };
    o.lora_from = "some/adapter";
    assert_false(adapted_open(&adapted, &o, &err));
    assert_non_null(strstr(err.where, "some/adapter"));
    err = (Err){ 0 };
    o.model = "tests/golden/no-such-model";
    assert_false(adapted_open(&adapted, &o, &err));
    assert_non_null(strstr(err.what, "no-such-model"));
    assert_true(!adapted.arch && !adapted.table && !adapted.files);
    config_release(&config);
}

/* A loss of numbers or of several labels has no goal that could be softened. */
static void smoothing_needs_classes(void **state)
{
    (void)state;
    static const char *const settings[][2] = { { "labels=1", "problem_type=regression" },
                                               { "labels=3", "problem_type=multi_label_classification" } };
    for (int i = 0; i < 3; i++) {
        Config config;
        Adapted adapted;
        Err err = { 0 };
        load(&config, i < 2 ? settings[i][0] : "labels=3", i < 2 ? settings[i][1] : NULL);
        AdaptedOptions o = adapted_of(&config);
        o.label_smoothing = 0.1;
        assert_int_equal(adapted_open(&adapted, &o, &err), i == 2);
        assert_int_equal(err.kind, i < 2 ? ERR_INPUT : ERR_NONE);
        assert_true(i == 2 || (strstr(err.what, "label_smoothing_factor") && strstr(err.hint, "remove")));
        adapted_release(&adapted);
        config_release(&config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_file_opens_model_and_slots),
        cmocka_unit_test(the_digest_is_of_the_base),
        cmocka_unit_test(what_cannot_be_leaves_nothing),
        cmocka_unit_test(smoothing_needs_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
