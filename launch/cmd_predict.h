/* `lora predict`: argv[0] is "predict". Returns the exit code. */
#ifndef LAUNCH_CMD_PREDICT_H
#define LAUNCH_CMD_PREDICT_H

int cmd_predict(int argc, char **argv);

#endif
