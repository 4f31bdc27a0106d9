/* config_paste - what a name of LoraConfig or TrainingArguments, with a value, comes to here.
 *
 * Owner: the caller, of what is handed out. Threads: any. */
#ifndef COMMON_CONFIG_CONFIG_PASTE_H
#define COMMON_CONFIG_CONFIG_PASTE_H

#include "common/config/config_names.h"
#include "common/config/config_table.h"
#include "common/config/config_yaml.h"

/* What is to be done. */
typedef struct Pasted {
    const ConfigKey *key; /* set this one to `value`; NULL: nothing is to be set */
    YamlNode value; /* owned */
} Pasted;

/* NAME_KEY and NAME_BATCH come back as they are, null as nothing where the key does not take it
 * (it is then the library's word for its default). `notes` gets a line for what was accepted and
 * changes nothing. Errors are ERR_INPUT, not placed. On failure *pasted is empty. */
MUST_USE bool paste_name(Pasted *pasted, const PeerName *row, const YamlNode *node, Text *notes, Err *err);
void pasted_release(Pasted *pasted);

#endif
