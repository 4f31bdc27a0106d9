/* `lora plan RUN.yaml`: what a run takes of so many nodes, by how many stages hold its model, before it is started.
 *
 * Threads: one. */
#ifndef LAUNCH_CMD_PLAN_H
#define LAUNCH_CMD_PLAN_H

/* argv[0] is "plan". The exit code; 2 too where no layout fits. */
int cmd_plan(int argc, char **argv);

#endif
