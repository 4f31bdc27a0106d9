/* output - the files of an adapter's folder that are not PEFT's: trainer_state.json, the tokenizer's, README.md,
 * and, at the end of a run, summary.json.
 *
 * Threads: one. */
#ifndef PS_OUTPUT_H
#define PS_OUTPUT_H

#include "ps/resume.h"

/* trainer_state.json and, behind it, lora_state.json with the digests of other files */
MUST_USE bool output_state(const Run *run, const char *folder, const FileDigest *files, int count, Err *err);
MUST_USE bool output_model_files(const Run *run, const char *folder, Err *err); /* the tokenizer's, of the base */
MUST_USE bool output_extras(const Run *run, const char *folder, Err *err); /* tokenizer, README.md */
extern const char *const output_extra_names[]; /* what it may have written besides README.md; NULL behind the last */
MUST_USE bool output_summary(const Run *run, Err *err);

#endif
