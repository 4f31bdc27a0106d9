/* cmd_doctor - `lora doctor [RUN.yaml]`: would a run work on this machine, and what to do where it would not.
 *
 * Threads: the main thread. */
#ifndef LAUNCH_CMD_DOCTOR_H
#define LAUNCH_CMD_DOCTOR_H

/* argv[0] is "doctor". The program's exit code: 0 when a run would work. */
int cmd_doctor(int argc, char **argv);

#endif
