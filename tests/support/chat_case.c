#include "tests/support/chat_case.h"

#include <string.h>

bool chat_case(json_t *sources, const json_t *line, int64_t now, Text *out, Err *err)
{
    const char *name = json_string_value(json_object_get(line, "name"));
    if (json_object_get(line, "source"))
        json_object_set(sources, name, json_object_get(line, "source"));
    const char *source = json_string_value(json_object_get(sources, name));
    const ChatOptions o = {
        .add_generation_prompt = json_is_true(json_object_get(line, "prompt")),
        .bos = json_string_value(json_object_get(line, "bos")),
        .eos = json_string_value(json_object_get(line, "eos")),
        .tools = json_object_get(line, "tools"),
        .variables = json_object_get(line, "variables"),
        .now = now,
    };
    ChatTemplate *t = chat_template_parse(source, strlen(source), name, err);
    const bool ok = t && chat_template_render(t, json_object_get(line, "messages"), &o, out, err);
    chat_template_close(t);
    return ok;
}
