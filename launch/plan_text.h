/* plan_text - layouts of a run, as a page for people, as JSON, and as a row of a table.
 *
 * Threads: any. */
#ifndef LAUNCH_PLAN_TEXT_H
#define LAUNCH_PLAN_TEXT_H

#include "common/base/json.h"
#include "worker/train/layouts.h"

/* What is asked of, and its layouts. */
typedef struct Planned {
    const Config *config;
    const ModelArch *arch;
    const SlotTable *table;
    LayoutMachine machine;
    double given; /* GFLOP/s of a core, as given or measured; of which machine.flops is what is reached */
    bool measured;
    Layouts layouts;
} Planned;

void plan_text(const Planned *planned, Text *out);
json_t *plan_json(const Planned *planned); /* the caller's */

/* Rows of a Markdown table, of the layout that is chosen and of the one without stages; and what stands above them. */
void plan_table_head(const Planned *planned, Text *out);
void plan_table_rows(const Planned *planned, Text *out);

#endif
