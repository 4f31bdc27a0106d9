#include "worker/tokenizer/pattern.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "worker/tokenizer/regex.h"

#include <string.h>

void pattern_release(Pattern *pattern)
{
    text_release(&pattern->string);
    regex_free(pattern->code);
    *pattern = (Pattern){ 0 };
}

bool pattern_regex(Pattern *pattern, const char *expression, bool scanners, Err *err)
{
    text_adds(&pattern->string, expression);
    pattern->scan = scanners ? scanner_of(expression) : NULL;
    if (!pattern->scan)
        pattern->code = regex_compile(expression, err);
    return pattern->scan || pattern->code;
}

bool pattern_read(Pattern *pattern, const json_t *spec, const char *what, Err *err)
{
    const json_t *string = json_object_get(spec, "String"), *regex = json_object_get(spec, "Regex");
    if (json_is_string(spec)) /* files of old */
        string = spec;
    if (json_is_string(regex)) {
        pattern->string = (Text){ 0 };
        return pattern_regex(pattern, json_string_value(regex), true, err) || err_at(err, "%s", what);
    }
    if (!json_is_string(string))
        return err_set(err, ERR_INPUT, "%s has no 'pattern' of 'String' or 'Regex'", what);
    if (json_string_length(string) == 0)
        return err_set(err, ERR_INPUT, "%s has an empty 'pattern'", what);
    text_add(&pattern->string, json_string_value(string), json_string_length(string));
    return true;
}

static void find_string(const Text *string, const char *text, size_t n, Segments *out)
{
    for (size_t at = 0; at < n;) {
        const char *hit = memmem(text + at, n - at, string->data, string->size);
        const size_t begin = hit ? (size_t)(hit - text) : n;
        if (begin > at)
            segments_add(out, at, begin, false);
        if (!hit)
            return;
        at = begin + string->size;
        segments_add(out, begin, at, true);
    }
}

void pattern_find(const Pattern *pattern, const char *text, size_t n, Segments *out)
{
    if (pattern->scan) {
        for (size_t at = 0, end; at < n; at = end) {
            end = pattern->scan(text, at, n);
            segments_add(out, at, end, true);
        }
    } else if (pattern->code) {
        regex_find(pattern->code, text, n, out);
    } else {
        find_string(&pattern->string, text, n, out);
    }
}

/* ---- splitting ------------------------------------------------------------- */

bool split_behavior_read(SplitBehavior *behavior, const json_t *settings, const char *what, Err *err)
{
    static const struct {
        const char *name;
        SplitBehavior behavior;
    } behaviors[] = {
        { "Removed", SPLIT_REMOVED },
        { "Isolated", SPLIT_ISOLATED },
        { "Contiguous", SPLIT_CONTIGUOUS },
        { "MergedWithPrevious", SPLIT_MERGED_WITH_PREVIOUS },
        { "MergedWithNext", SPLIT_MERGED_WITH_NEXT },
    };
    const char *name = json_get_string(settings, "behavior", "Isolated", err);
    for (size_t i = 0; i < LENGTH(behaviors); i++)
        if (strcmp(behaviors[i].name, name) == 0) {
            *behavior = behaviors[i].behavior;
            return err->kind == ERR_NONE;
        }
    return err_set(err, ERR_INPUT, "%s has unknown behavior '%s'", what, name);
}

/* Whether segment i goes on the piece that the one before is in. */
static bool joins(const Segment *list, size_t i, SplitBehavior behavior)
{
    const bool here = list[i].match, before = list[i - 1].match;
    switch (behavior) {
    case SPLIT_CONTIGUOUS:
        return here == before;
    case SPLIT_MERGED_WITH_PREVIOUS:
        return here && !before;
    case SPLIT_MERGED_WITH_NEXT:
        return before && !here;
    case SPLIT_REMOVED:
    case SPLIT_ISOLATED:
        break;
    }
    return false;
}

void split_segments(const Segments *segments, SplitBehavior behavior, size_t at, Pieces *out)
{
    const Segment *list = segments->data;
    for (size_t i = 0, next; i < segments->count; i = next) {
        for (next = i + 1; next < segments->count && joins(list, next, behavior);)
            next++;
        const size_t begin = list[i].begin, end = list[next - 1].end;
        if (end > begin && !(behavior == SPLIT_REMOVED && list[i].match))
            pieces_add(out, at + begin, end - begin);
    }
}
