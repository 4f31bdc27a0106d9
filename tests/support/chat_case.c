#include "tests/support/chat_case.h"

#include <stdlib.h>
#include <string.h>

static json_t *ranges_of(const ChatTemplate *t, const json_t *messages, const ChatOptions *o, const Text *text)
{
    ChatRange *ranges;
    int64_t count;
    Text again = { 0 };
    json_t *out = NULL;
    if (chat_template_ranges(t, messages, o, &again, &ranges, &count, NULL)) {
        REQUIRE(again.size == text->size && memcmp(again.data, text->data, text->size) == 0);
        out = json_array();
        for (int64_t i = 0; i < count; i++)
            json_array_append_new(out, json_pack("[I, I]", (json_int_t)ranges[i].begin, (json_int_t)ranges[i].end));
        free(ranges);
    }
    text_release(&again);
    return out;
}

bool chat_case(json_t *sources, const json_t *line, int64_t now, Text *out, json_t **ranges, Err *err)
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
    *ranges = ok && !o.add_generation_prompt ? ranges_of(t, json_object_get(line, "messages"), &o, out) : NULL;
    chat_template_close(t);
    return ok;
}
