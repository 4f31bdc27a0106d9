#include "worker/train/settings.h"

static RowKind kind_of(const Config *config)
{
    const DataConfig *d = &config->data;
    switch (config->task) {
    case TASK_TOKEN_CLS:
        return ROWS_WORDS;
    case TASK_IMAGE_CLS:
        return ROWS_IMAGES;
    case TASK_CAUSAL_LM:
        return d->completion                      ? ROWS_COMPLETIONS
               : d->messages                      ? ROWS_MESSAGES
               : d->block_size > 0 && !d->packing ? ROWS_BLOCKS
                                                  : ROWS_TEXTS;
    case TASK_SEQ_CLS:
        break;
    }
    return ROWS_LABELLED;
}

DatasetOptions settings_data(const Config *config, const StringList *files)
{
    const DataConfig *d = &config->data;
    const RowKind kind = kind_of(config);
    const bool prompts = kind == ROWS_COMPLETIONS;
    return (DatasetOptions){
        .kind = kind,
        .files = files,
        .text = d->template_text ? NULL
                : prompts        ? d->prompt
                                 : d->text,
        .form = d->template_text,
        .system = d->system,
        .text_pair = prompts ? d->completion : d->text_pair,
        .label = kind == ROWS_LABELLED ? d->label : NULL,
        .tokens = d->tokens,
        .tags = d->tags,
        .messages = d->messages,
        .max_length = d->max_length,
        .block_size = d->block_size,
        .limit = d->limit,
        .skip_bad_rows = d->skip_bad_rows,
        .labelled = true,
    };
}
