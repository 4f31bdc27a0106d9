/* slots_case - golden models with LoRA settings, for tests of slots. Every failure is
 * the test's. Threads: the test's. */
#ifndef TESTS_SUPPORT_SLOTS_CASE_H
#define TESTS_SUPPORT_SLOTS_CASE_H

#include "common/slots/slots.h"
#include "tests/support/must.h"

#define PREFIX "base_model.model."

typedef struct GoldenCase {
    const char *name; /* folder in tests/golden */
    TaskType task;
    int64_t labels;
} GoldenCase;

/* Adapters, from GOLDEN_LOOSE on of families whose logits are more sensitive, from GOLDEN_STACKS on of two stacks, and
 * behind them models that are trained
 * whole. */
enum { GOLDEN_LOOSE = 31, GOLDEN_STACKS = 46, GOLDEN = 49, GOLDEN_ALL = 51 };
extern const GoldenCase golden[GOLDEN_ALL];
int golden_index(const char *name); /* which there has to be */

typedef struct Case {
    ModelArch *arch;
    LoraConfig lora;
    SlotTable *table;
    float *values; /* [table->size] */
} Case;

void open_golden(Case *c, int g); /* with the settings of its expected adapter; or trained whole */
void open_golden_part(Case *c, int g, const char *part); /* with those of its adapter in that folder: "init" */
/* A golden model with settings of its own: keys of adapter_config.json. */
void open_with(Case *c, const char *name, TaskType task, const char *lora);
void open_table(Case *c); /* of an arch and settings that are there */
void close_case(Case *c);

ModelArch *open_arch(const char *folder, TaskType task, int64_t labels);
LoraConfig read_settings(const json_t *keys);
LoraConfig settings(const char *json);
const Slot *find_slot(const SlotTable *table, const char *bare); /* without PREFIX; NULL: none */

/* adapter_config.json as it is written. json_decref it. */
json_t *written_config(const SlotTable *table, const LoraConfig *lora);
/* Each key of `wanted` is in `got` with the same value; lists of names in any order. */
void expect_config(const char *what, json_t *got, const json_t *wanted);

#endif
