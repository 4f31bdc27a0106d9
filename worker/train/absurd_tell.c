#include "worker/train/absurd_tell.h"

#include "common/base/log.h"
#include "common/slots/absurd.h"

enum { MOST_TOLD = 8, ROWS = 8 };

void absurd_tell(const SlotTable *table, const MicroBatchSum *sum, int *told)
{
    const Slot *slot = *told < MOST_TOLD ? absurd_slot(table, sum->gradient, sum->weight) : NULL;
    if (*told >= MOST_TOLD || (!slot && !absurd_loss(sum->loss, sum->weight)))
        return;
    Text rows = { 0 };
    for (int64_t i = 0; i < sum->row_count && i < ROWS; i++)
        text_addf(&rows, "%s%u", i > 0 ? "," : "", sum->rows[i]);
    if (sum->row_count > ROWS)
        text_adds(&rows, ",...");
    log_warn("train", "absurd step=%lld micro_batch=%lld %s%s%s loss=%g examples=%s", (long long)sum->step + 1,
             (long long)sum->m, slot ? "gradient=\"" : "", slot ? slot->name : "", slot ? "\"" : "", sum->loss,
             rows.data ? rows.data : "");
    text_release(&rows);
    ++*told;
}
