/* Short ways to load a configuration in the tests of this folder. */
#ifndef TESTS_COMMON_CONFIG_LOAD_H
#define TESTS_COMMON_CONFIG_LOAD_H

#include "common/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* `text` as the file "run.yaml", then overrides up to NULL. */
static inline bool load_with(Config *config, const char *text, const char *const *overrides, Err *err)
{
    int count = 0;
    while (overrides && overrides[count])
        count++;
    *err = (Err){ 0 };
    const ConfigSources sources = { .file = "run.yaml", .text = text, .overrides = overrides, .override_count = count };
    return config_load(config, &sources, err);
}

static inline void load_good(Config *config, const char *text, const char *const *overrides)
{
    Err err;
    if (!load_with(config, text, overrides, &err))
        fail_msg("%s | %s | %s", err.what, err.where, err.hint);
}

#define OVERRIDES(...) ((const char *const[]){ __VA_ARGS__, NULL })

static inline void expect_in(const char *whole, const char *part)
{
    if (!strstr(whole, part))
        fail_msg("'%s' is not in '%s'", part, whole);
}

/* Refused with exit code 2, and with these words in what, where and hint. */
static inline void expect_refused(const char *text, const char *const *overrides, const char *what, const char *where,
                                  const char *hint)
{
    Config config;
    Err err;
    if (load_with(&config, text, overrides, &err)) {
        config_release(&config);
        fail_msg("accepted: %s", text);
    }
    expect_in(err.what, what);
    expect_in(err.where, where);
    expect_in(err.hint, hint);
    assert_int_equal(err_exit_code(&err), 2);
    assert_null(config.model); /* nothing is left to release */
    assert_null(config.origins);
}

#endif
