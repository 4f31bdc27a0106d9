#include "worker/train/work.h"

#include "common/base/clock.h"
#include "common/base/process.h"

/* Of all ranks of the team. */
int64_t team_memory(const Job *job)
{
    int64_t memory = 0;
    for (int r = 0; r < job->node.size; r++)
        memory += node_box(&job->node, r)->memory;
    return memory;
}

/* The rank's memory, into its box; looked at seldom, as the kernel walks all its pages. */
void team_measure(Job *job)
{
    const double now = clock_now(), pause = 5;
    NodeBox *box = node_box(&job->node, job->node.rank);
    if (box->memory > 0 && now < job->measured + pause)
        return;
    box->memory = process_memory();
    job->measured = now;
}

/* What any rank of the team could not do. */
bool team_failed(const Job *job, Err *err)
{
    for (int r = 0; r < job->node.size; r++) {
        if (node_box(&job->node, r)->failure.kind == ERR_NONE)
            continue;
        *err = node_box(&job->node, r)->failure;
        return true;
    }
    return false;
}

bool team_pixels(Job *job, Pictures *pictures, BatchRoom *room, Batch *batch, int64_t epoch)
{
    NodeBox *box = node_box(&job->node, job->node.rank);
    return batch->ids || !stage_is_first(&job->base.stage) ||
           pictures_fill(pictures, room, batch, epoch, &box->failure);
}
