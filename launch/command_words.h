/* command_words - words of a command line that grow one by one.
 *
 * Owner: whoever holds the list; zeroed is empty and valid. Threads: one at a time. */
#ifndef LAUNCH_COMMAND_WORDS_H
#define LAUNCH_COMMAND_WORDS_H

typedef struct CommandWords {
    char **items; /* [count] and a NULL behind them, owned; NULL: nothing was ever added */
    int count;
} CommandWords;

void command_words_add(CommandWords *words, char *owned);
void command_words_release(CommandWords *words);

#endif
