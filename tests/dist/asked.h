/* asked - a command of `lora` in a process of its own, for what it says and how it ends. Threads: the test's one. */
#ifndef TESTS_DIST_ASKED_H
#define TESTS_DIST_ASKED_H

#include "common/base/text.h"
#include "common/model/arch.h"

typedef int (*AskedCommand)(int argc, char **argv);

/* words: NULL-terminated. Its exit code; what it wrote to stdout and stderr is added to said. */
int asked(AskedCommand command, const char *const *words, Text *said);

/* `lora serve` with this adapter answers a request, or it refuses: its sentence, owned; NULL: it answered rightly. What is
 * neither ends the program. */
char *asked_server(const char *adapter, const char *model, const ModelArch *arch);

/* The first sentence of an error that a command said, owned; NULL: there is none. */
char *asked_reason(const Text *said);

#endif
