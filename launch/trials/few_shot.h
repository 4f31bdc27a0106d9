/* few_shot - what `lora compare --few_shot` says of its runs: a row a beginning, a column a number of rows a class; the mean over
 * the seeds of each, with its deviation. As a table, as Markdown, as JSON and as a picture.
 *
 * Owner: cmd_compare.c. Threads: one. */
#ifndef LAUNCH_TRIALS_FEW_SHOT_H
#define LAUNCH_TRIALS_FEW_SHOT_H

#include "common/config/config.h"
#include "launch/trials/trial.h"

enum { FEW_SHOT_COLUMNS = 12 };

typedef struct FewShot {
    const TrialList *trials; /* way after way, column after column, seed after seed */
    const char *const *ways; /* [way_count] */
    int way_count, columns, seeds;
    const int64_t *shots; /* [columns] rows of each class; 0: as it begins */
    const char *metric; /* as it was asked for; NULL: the usual one */
} FewShot;

/* "0,4,16,64", rising. Returns how many; 0 with *err: no such list. */
int few_shot_read(int64_t shots[FEW_SHOT_COLUMNS], const char *list, Err *err);

/* KEY=VALUE behind what is in `changes`: so many rows of each class, as many steps as the run file has, and one evaluation, behind
 * the last; 0: of the values that the run begins with. */
void few_shot_changes(const Config *config, int64_t shots, CommandWords *changes);

/* Of the runs that are done, into FOLDER/few_shot.json, .md and .svg, and the table for a terminal behind `out`. False: no run
 * is done, or a file cannot be written. */
MUST_USE bool few_shot_write(const FewShot *few, const char *folder, Text *out, Err *err);

#endif
