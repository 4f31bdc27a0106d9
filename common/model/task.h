/* task - what a task asks of a model and of an adapter's files: a row of a table each, so that a new one is a row
 * here, and one of each table of what is done for it (worker/train/settings, worker/eval/measure, launch/cmd_predict).
 *
 * Threads: any; const. */
#ifndef COMMON_MODEL_TASK_H
#define COMMON_MODEL_TASK_H

#include "common/config/config.h"

typedef struct Task {
    TaskType type;
    const char *peft_name; /* task_type of adapter_config.json; NULL: PEFT has no word for it */
    const char *auto_class; /* Transformers' AutoModelFor... */
    bool of_tokens; /* a goal is a token's, not an example's */
    bool speaks; /* the vocabulary is its labels, lm_head its head: nothing of it is new */
    bool two_texts; /* what is read and what is learnt are texts of their own, of two stacks of the model */
    bool embeds; /* a text becomes a vector: there is no head, and names are those of the bare model */
    bool tags; /* labels are classes of tokens */
    bool numbers; /* an example's goal may be a number (regression) */
    bool saves_head; /* PEFT trains "classifier" and "score" whole, as if they stood in modules_to_save */
    bool saves_late; /* and takes them when the adapters are in place already */
} Task;

const Task *task_get(TaskType type);

#endif
