/* Folders as sentence-transformers writes them: both forms are read, what is not offered is refused with its file, and
 * what is written is read again. */
#include "common/model/sentence.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/support/folder.h"
#include "tests/support/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void put(const char *folder, const char *name, const char *text)
{
    Err err = { 0 };
    char *path = path_join(folder, name), *above = path_folder(path);
    must(folder_make(above, &err) && file_write(path, text, strlen(text), &err), &err);
    free(path);
    free(above);
}

static void write_modules(const char *folder, const char *transformer, const char *pooling, const char *normalize)
{
    char *text =
        xprintf("[{\"idx\": 0, \"path\": \"\", \"type\": \"%s\"}, {\"idx\": 1, \"path\": \"1_Pooling\", "
                "\"type\": \"%s\"}%s%s%s]",
                transformer, pooling, normalize ? ", {\"idx\": 2, \"path\": \"2_Normalize\", \"type\": \"" : "",
                normalize ? normalize : "", normalize ? "\"}" : "");
    put(folder, "modules.json", text);
    free(text);
}

static void both_forms_are_read(void **state)
{
    (void)state;
    char *folder = test_folder_new();
    SentenceFolder s;
    Err err = { 0 };
    must(sentence_read(&s, folder, &err), &err);
    assert_false(s.is);
    assert_true(s.pooling == POOLING_AUTO && s.normalize == NORMALIZE_AUTO);
    write_modules(folder, "sentence_transformers.models.Transformer", "sentence_transformers.models.Pooling",
                  "sentence_transformers.models.Normalize");
    put(folder, "1_Pooling/config.json", "{\"pooling_mode_cls_token\": true, \"pooling_mode_mean_tokens\": false}");
    put(folder, "sentence_bert_config.json", "{\"max_seq_length\": 256, \"do_lower_case\": false}");
    must(sentence_read(&s, folder, &err), &err);
    assert_true(s.is && s.pooling == POOLING_CLS && s.normalize == NORMALIZE_YES && s.max_length == 256);
    write_modules(folder, "sentence_transformers.base.modules.transformer.Transformer",
                  "sentence_transformers.sentence_transformer.modules.pooling.Pooling", NULL);
    put(folder, "1_Pooling/config.json", "{\"embedding_dimension\": 32, \"pooling_mode\": \"lasttoken\"}");
    put(folder, "sentence_bert_config.json", "{\"transformer_task\": \"feature-extraction\"}");
    must(sentence_read(&s, folder, &err), &err);
    assert_true(s.is && s.pooling == POOLING_LAST && s.normalize == NORMALIZE_NO && s.max_length == 0);
    test_folder_drop(folder);
}

static void what_is_not_offered_is_refused_by_name(void **state)
{
    (void)state;
    const char *const bad[][2] = {
        { "{\"pooling_mode_max_tokens\": true}", "the pooling max is not supported" },
        { "{\"pooling_mode_cls_token\": true, \"pooling_mode_mean_tokens\": true}", "the pooling of several at once" },
        { "{\"pooling_mode\": \"odd\"}", "the pooling odd is not supported" },
        { "{}", "the pooling of none is not supported" },
    };
    char *folder = test_folder_new();
    SentenceFolder s;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Err err = { 0 };
        write_modules(folder, "a.Transformer", "a.Pooling", NULL);
        put(folder, "1_Pooling/config.json", bad[i][0]);
        assert_false(sentence_read(&s, folder, &err));
        assert_non_null(strstr(err.what, bad[i][1]));
        assert_non_null(strstr(err.where, "1_Pooling/config.json"));
    }
    Err err = { 0 };
    write_modules(folder, "a.Transformer", "a.Dense", NULL);
    assert_false(sentence_read(&s, folder, &err));
    assert_string_equal(err.what, "the module 'a.Dense' is not supported");
    assert_non_null(strstr(err.where, "modules.json"));
    test_folder_drop(folder);
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    const StringList none = { 0 };
    Err err = { 0 };
    char *folder = test_folder_new();
    ModelArch *arch =
        arch_open("tests/golden/bert-embed-mnr/model", NULL, TASK_FEATURE_EXTRACTION, &none, 0, PROBLEM_AUTO, &err);
    must(arch != NULL, &err);
    for (Pooling pooling = POOLING_MEAN; pooling <= POOLING_LAST; pooling++) {
        const Normalize normalize = pooling == POOLING_CLS ? NORMALIZE_NO : NORMALIZE_YES;
        SentenceFolder s;
        arch_embed(arch, &(EmbedHead){ .how = { .pooling = pooling, .normalize = normalize }, .columns = 2 });
        must(sentence_write(folder, arch, 17, &err) && sentence_read(&s, folder, &err), &err);
        assert_true(s.is && s.pooling == pooling && s.normalize == normalize && s.max_length == 17);
    }
    arch_close(arch);
    test_folder_drop(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_are_read),
        cmocka_unit_test(what_is_not_offered_is_refused_by_name),
        cmocka_unit_test(what_is_written_is_read_again),
    };
    return cmocka_run_group_tests_name("sentence", tests, NULL, NULL);
}
