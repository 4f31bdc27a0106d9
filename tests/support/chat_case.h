/* chat_case - a line of JSON that says what to render -> text or error; for the unit test and for
 * the program that tests/interop/chat_templates.py asks. A line holds name, source (the first time
 * that a name occurs), messages, prompt, and perhaps bos, eos, tools, variables. */
#ifndef TESTS_SUPPORT_CHAT_CASE_H
#define TESTS_SUPPORT_CHAT_CASE_H

#include "worker/template/chat_template.h"

/* sources: object name -> source, filled here. *ranges: [[begin, end], ...] where the line asks for
 * no prompt and they can be told, else NULL; the caller's. */
bool chat_case(json_t *sources, const json_t *line, int64_t now, Text *out, json_t **ranges, Err *err);

#endif
