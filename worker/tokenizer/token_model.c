#include "worker/tokenizer/token_model.h"

#include "common/base/json.h"

#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const TokenModelKind *const kinds[] = { &wordpiece_model };

/* Files of old have no type; the fields tell. */
static const char *guess(const json_t *spec)
{
    if (json_object_get(spec, "merges"))
        return "BPE";
    return json_object_get(spec, "max_input_chars_per_word") ? "WordPiece" : NULL;
}

bool token_model_read(TokenModel *model, const json_t *spec, Err *err)
{
    if (!json_is_object(spec))
        return err_set(err, ERR_INPUT, "there is no 'model'");
    const char *name = json_get_string(spec, "type", guess(spec), err);
    if (!name)
        return err->kind == ERR_NONE ? err_set(err, ERR_INPUT, "the model has no 'type'") : false;
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        if (strcmp(kinds[i]->name, name) != 0)
            continue;
        model->kind = kinds[i];
        model->state = kinds[i]->read(spec, &model->vocab, err);
        return model->state != NULL;
    }
    return err_set(err, ERR_INPUT, "model type '%s' is not supported yet", name);
}

void token_model_release(TokenModel *model)
{
    if (model->kind)
        model->kind->free(model->state);
    vocab_release(&model->vocab);
    *model = (TokenModel){ 0 };
}
