#include "launch/command_words.h"

#include "common/base/mem.h"

#include <stdlib.h>

void command_words_add(CommandWords *words, char *owned)
{
    words->items = xrealloc(words->items, (size_t)(words->count + 2) * sizeof *words->items);
    words->items[words->count++] = owned;
    words->items[words->count] = NULL;
}

void command_words_release(CommandWords *words)
{
    for (int i = 0; i < words->count; i++)
        free(words->items[i]);
    free(words->items);
    *words = (CommandWords){ 0 };
}
