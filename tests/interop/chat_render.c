/* Renders cases, for tests/interop/chat_templates.py: a line of JSON in
 * (tests/support/chat_case.h),
 * {"text": ..., "ranges": ...} or
 * {"error": ..., "where": ...} out. */
#include "tests/support/chat_case.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: chat_render SECONDS <CASES.jsonl\n");
        return 2;
    }
    json_t *sources = json_object(), *line;
    json_error_t error;
    while ((line = json_loadf(stdin, JSON_DISABLE_EOF_CHECK, &error)) != NULL) {
        Text text = { 0 };
        Err err = { 0 };
        json_t *ranges;
        const bool ok = chat_case(sources, line, strtoll(argv[1], NULL, 10), &text, &ranges, &err);
        json_t *out = ok ? json_pack("{s:s, s:o?}", "text", text.data, "ranges", ranges)
                         : json_pack("{s:s, s:s}", "error", err.what, "where", err.where);
        char *words = json_dumps(out, 0);
        puts(words);
        free(words);
        json_decref(out);
        json_decref(line);
        text_release(&text);
    }
    json_decref(sources);
    return 0;
}
