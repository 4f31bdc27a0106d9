#include "worker/data/rows_labelled.h"

#include "common/base/mem.h"
#include "worker/data/labels.h"

#include <stdlib.h>

static bool row_goal(float *goal, Examples *x, const Record *r, Err *bad)
{
    const DataTask *task = x->options->task;
    return task ? label_task_goal(goal, &x->classes, x->arch, task, r, bad)
                : label_goal(goal, &x->classes, x->arch, r, bad);
}

bool rows_add_labelled(Examples *x, const Record *r, Err *bad)
{
    const int64_t width = label_width(x->arch);
    float *goal = xcalloc((size_t)width, sizeof *goal); /* 0 where nothing is labelled */
    const bool ok = (!x->options->labelled || row_goal(goal, x, r, bad)) &&
                    tokenizer_encode(x->tokenizer, r->text, r->text_size, r->pair, r->pair_size, x->options->max_length,
                                     &x->encoding, bad) &&
                    examples_check_some(&x->encoding, bad) && examples_check_ids(x->arch, &x->encoding, bad);
    if (ok) {
        examples_ids(x, x->encoding.ids, x->encoding.types, x->encoding.count);
        examples_goal(x, goal);
        examples_end(x, x->encoding.count);
    }
    free(goal);
    return ok;
}

/* Only named: whether the file is an image, pictures.h finds out. */
bool rows_add_image(Examples *x, const Record *r, Err *bad)
{
    const int64_t at = (int64_t)x->images.size;
    float goal = 0.0f; /* where nothing is labelled */
    if (x->options->labelled && !label_goal(&goal, &x->classes, x->arch, r, bad))
        return false;
    int64s_put(&x->image_at, at);
    text_addf(&x->images, "%d:%s", x->file, r->image);
    text_add(&x->images, "", 1);
    examples_goal(x, &goal);
    examples_end(x, x->arch->positions);
    return true;
}
