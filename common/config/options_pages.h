/* options_pages - an option table for other readers than people at a terminal: as a manual page and
 * as the words that a shell completes.
 *
 * Threads: any. */
#ifndef COMMON_CONFIG_OPTIONS_PAGES_H
#define COMMON_CONFIG_OPTIONS_PAGES_H

#include "common/config/options.h"

/* Of a program the whole page, in man(7); of a command ("lora train") the part of lora(1). */
void options_man(const OptionTable *table, Text *out);

/* A line an option: "--overwrite", or "--ranks=" with what may follow behind a TAB: words, or
 * "FILE" or "DIR". The keys of the run file too, where they are taken. */
void options_words(const OptionTable *table, Text *out);

#endif
