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
    const char *head; /* what its head is called, in nearly all families (span_head); NULL: as the family calls it */
    bool spans; /* an answer is a part of the text: its outputs are where one begins and where it ends */
    const char *const
        *saved; /* what PEFT trains whole, as if it stood in modules_to_save, NULL-terminated: what heads are
                                 called in many families; NULL: none */
    bool saves_late; /* and takes them when the adapters are in place already */
} Task;

const Task *task_get(TaskType type);

/* Whether the name is one of task->saved. */
bool task_saves(const Task *task, const char *name);

/* Whether a model of the task is given token types: PEFT's of QUESTION_ANS swallows them (the forward of
 * PeftModelForQuestionAnswering), and so only one that is trained whole sees them there. */
bool task_passes_types(const Task *task, bool whole);

#endif
