#include "worker/data/rows.h"

#include "worker/data/rows_columns.h"
#include "worker/data/rows_labelled.h"
#include "worker/data/rows_language.h"
#include "worker/data/rows_messages.h"
#include "worker/data/rows_questions.h"
#include "worker/data/rows_sources.h"
#include "worker/data/rows_words.h"

bool rows_add(Examples *x, const Record *record, Err *bad)
{
    switch (x->options->kind) {
    case ROWS_LABELLED:
        return rows_add_labelled(x, record, bad);
    case ROWS_WORDS:
        return rows_add_words(x, record, bad);
    case ROWS_TEXTS:
        return rows_add_text(x, record, bad);
    case ROWS_BLOCKS:
        return rows_add_to_blocks(x, record, bad);
    case ROWS_COMPLETIONS:
        return rows_add_completion(x, record, bad);
    case ROWS_COLUMNS:
        return rows_add_columns(x, record, bad);
    case ROWS_SOURCES:
        return rows_add_source(x, record, bad);
    case ROWS_IMAGES:
        return rows_add_image(x, record, bad);
    case ROWS_MESSAGES:
        return rows_add_messages(x, record, bad);
    case ROWS_QUESTIONS:
        return rows_add_questions(x, record, bad);
    }
    return false;
}
