#include "worker/train/settings.h"

static RowKind rows_of_language(const DataConfig *d)
{
    return d->completion                      ? ROWS_COMPLETIONS
           : d->messages                      ? ROWS_MESSAGES
           : d->block_size > 0 && !d->packing ? ROWS_BLOCKS
                                              : ROWS_TEXTS;
}

static RowKind kind_of(const Config *config)
{
    static const RowKind kinds[] = { [TASK_SEQ_CLS] = ROWS_LABELLED,     [TASK_TOKEN_CLS] = ROWS_WORDS,
                                     [TASK_IMAGE_CLS] = ROWS_IMAGES,     [TASK_FEATURE_EXTRACTION] = ROWS_COLUMNS,
                                     [TASK_SEQ_2_SEQ_LM] = ROWS_SOURCES, [TASK_QUESTION_ANS] = ROWS_QUESTIONS };
    const Task *task = task_get(config->task);
    return task->speaks && !task->two_texts ? rows_of_language(&config->data) : kinds[config->task];
}

static DatasetOptions questions(const DataConfig *d, const StringList *files)
{
    return (DatasetOptions){
        .kind = ROWS_QUESTIONS,
        .files = files,
        .text = d->question,
        .text_pair = d->context,
        .label = d->answers,
        .max_length = d->max_length,
        .doc_stride = d->doc_stride,
        .padded = d->padded,
        .impossible = d->impossible,
        .limit = d->limit,
        .skip_bad_rows = d->skip_bad_rows,
        .labelled = true,
    };
}

SpansOptions settings_spans(const Config *config)
{
    const DataConfig *d = &config->data;
    return (SpansOptions){ d->n_best, d->longest_answer, d->impossible, d->null_threshold };
}

DatasetOptions settings_data(const Config *config, const StringList *files)
{
    const DataConfig *d = &config->data;
    const RowKind kind = kind_of(config);
    const bool prompts = kind == ROWS_COMPLETIONS || kind == ROWS_SOURCES;
    if (kind == ROWS_QUESTIONS)
        return questions(d, files);
    const int *of = files == &d->train ? config->tasks.train_of : config->tasks.validation_of;
    return (DatasetOptions){
        .tasks = config->tasks.count > 0 ? &config->tasks : NULL,
        .task_of = of,
        .kind = kind,
        .files = files,
        .text = d->template_text ? NULL
                : prompts        ? d->prompt
                                 : d->text,
        .form = d->template_text,
        .system = d->system,
        .text_pair = prompts ? d->completion : d->text_pair,
        .label = kind == ROWS_LABELLED  ? d->label
                 : kind == ROWS_COLUMNS ? d->score
                                        : NULL,
        .columns = &d->columns,
        .tokens = d->tokens,
        .tags = d->tags,
        .messages = d->messages,
        .max_length = d->max_length,
        .max_target_length = d->max_target_length,
        .block_size = d->block_size,
        .limit = d->limit,
        .skip_bad_rows = d->skip_bad_rows,
        .labelled = true,
    };
}

LossOptions settings_loss(const Config *config)
{
    return (LossOptions){ .smoothing = config->train.label_smoothing };
}
