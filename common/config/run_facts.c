#include "common/config/run_facts.h"

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "common/config/run_folder.h"

#include <stdlib.h>
#include <string.h>

static uint64_t from_hex(const json_t *object, const char *key, Err *err)
{
    const char *text = json_get_string(object, key, "", err);
    if (err->kind == ERR_NONE && (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16))
        err_set(err, ERR_INPUT, "\"%s\" is not a number of 16 hexadecimal digits", key);
    return strtoull(text, NULL, 16);
}

static bool take(RunFacts *facts, const json_t *own, Err *err)
{
    const json_t *from = json_object_get(own, "facts");
    if (!json_is_object(from))
        return err_set(err, ERR_INPUT, "there are no \"facts\": it is not what lora_ps wrote");
    *facts = (RunFacts){ .known = true,
                         .base = from_hex(from, "model", err),
                         .data = from_hex(from, "data", err),
                         .eval_examples = json_get_int(from, "eval_examples", 0, err) };
    return err->kind == ERR_NONE;
}

bool run_facts_read(RunFacts *facts, const char *adapter, Err *err)
{
    Err bad = { 0 };
    char *path = path_join(adapter, "lora_state.json");
    *facts = (RunFacts){ 0 };
    if (file_exists(path)) {
        json_t *own = json_file(path, &bad);
        if (own && !take(facts, own, &bad))
            err_at(&bad, "%s", path);
        json_decref(own);
    }
    free(path);
    if (bad.kind == ERR_NONE)
        return true;
    err_hint(&bad, "without this file the adapter is used as one of which nothing more is known");
    *err = bad;
    return false;
}

char *run_facts_exchanged(const char *adapter)
{
    Err none = { 0 };
    const bool whole = run_folder_is_model(adapter);
    char *path = path_join(adapter, "summary.json");
    char *weights = path_join(adapter, whole ? "model.safetensors" : "adapter_model.safetensors");
    char *answer = NULL, now[DIGEST_HEX];
    json_t *summary = file_exists(path) ? json_file(path, &none) : NULL;
    const char *then =
        summary ? json_get_string(summary, whole ? "model_sha256" : "adapter_sha256", NULL, &none) : NULL;
    FileMap map = { 0 };
    if (then && file_map(&map, weights, &none)) {
        digest_sha256(now, map.data ? map.data : "", map.size);
        if (strcmp(now, then) != 0)
            answer = xprintf("%s is not the %s that the run wrote: its SHA-256 is %.12s..., summary.json says "
                             "%.12s...",
                             weights, whole ? "model" : "adapter", now, then);
        file_unmap(&map);
    }
    json_decref(summary);
    free(weights);
    free(path);
    return answer;
}
