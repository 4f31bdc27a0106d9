#include "worker/data/label_search.h"

#include "common/base/mem.h"
#include "worker/data/labels.h"

#include <stdlib.h>
#include <string.h>

typedef struct Search {
    const DatasetOptions *o;
    ProblemType problem; /* the run's */
    LabelsFound *found;
    json_t *seen; /* names, so that one is found again */
    int64_t in_file; /* rows of the current file */
    int64_t lists, singles; /* rows whose label is a list; rows with one */
    char decimal[64]; /* a label that is a number with decimals; "": none */
    bool comma; /* which a comma parts */
    bool all_numbers, all_lists; /* names: written as numbers, as lists */
} Search;

/* ---- one label ------------------------------------------------------------------------ */

static bool is_number(const char *text)
{
    char *rest;
    strtod(text, &rest);
    return rest != text && *rest == '\0' && strpbrk(text, "0123456789");
}

static bool is_whole(const char *text)
{
    return text[0] && strspn(text, "0123456789") == strlen(text);
}

/* "3,5", "-1.234,5", "1 234,5": a comma before the decimals, as much of the world writes them. */
static bool has_comma(const char *text)
{
    text += *text == '-' || *text == '+';
    size_t n = strspn(text, "0123456789");
    bool ok = n > 0;
    for (const char group = text[n]; ok && (group == '.' || group == ' ') && text[n] == group; n += 4)
        ok = strspn(text + n + 1, "0123456789") == 3;
    return ok && text[n] == ',' && is_whole(text + n + 1);
}

static bool add_name(Search *s, const char *label, Err *err)
{
    StringList *names = &s->found->names;
    if (!label[0])
        return err_set(err, ERR_INPUT, "the label is empty");
    if (json_object_get(s->seen, label))
        return true;
    json_object_set_new_nocheck(s->seen, label, json_true());
    if ((names->count & (names->count - 1)) == 0) /* twice the room at each power of two */
        names->items = xrealloc(names->items, (size_t)(names->count > 0 ? 2 * names->count : 1) * sizeof *names->items);
    names->items[names->count++] = xstrdup(label);
    const bool comma = has_comma(label);
    s->all_numbers = s->all_numbers && (comma || is_number(label));
    s->comma = s->comma || comma;
    s->all_lists = s->all_lists && label[0] == '[' && label[strlen(label) - 1] == ']';
    if ((comma || (is_number(label) && strpbrk(label, ".eE"))) && !s->decimal[0])
        snprintf(s->decimal, sizeof s->decimal, "%s", label);
    return true;
}

/* A list of names, or one of 0 and 1 (or values between) with a place for each label. */
static bool add_list(Search *s, const json_t *list, Err *err)
{
    const int64_t n = (int64_t)json_array_size(list);
    const bool names = json_is_string(json_array_get(list, 0));
    for (int64_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, (size_t)i);
        if (!(names ? json_is_string(v) : json_is_number(v) || json_is_boolean(v)))
            return err_set(err, ERR_INPUT, "item %lld of the list of labels is neither a name nor 0 or 1",
                           (long long)i + 1);
        if (names && strlen(json_string_value(v)) < json_string_length(v))
            return err_set(err, ERR_INPUT, "the label has a NUL in it");
        if (names && !add_name(s, json_string_value(v), err))
            return false;
    }
    if (n == 0 || names) /* an empty list of names is a row without any */
        return true;
    if (s->found->count > 0 && s->found->count != n)
        return err_set(err, ERR_INPUT, "the list of labels has %lld numbers, the rows before have %lld", (long long)n,
                       (long long)s->found->count);
    s->found->count = n;
    return true;
}

/* ---- one row --------------------------------------------------------------------------- */

static bool add_labels(Search *s, const Record *r, Err *err)
{
    if (json_is_array(r->label_json)) {
        s->lists++;
        return add_list(s, r->label_json, err);
    }
    if (s->o->kind == ROWS_LABELLED && !r->label)
        return label_missing(err);
    s->singles += r->label != NULL;
    bool ok = !r->label || add_name(s, r->label, err);
    for (int64_t i = 0; ok && r->tags && i < r->words.count; i++)
        ok = add_name(s, r->tags[i], err);
    return ok;
}

static bool look(void *self, const Record *r, Err *bad, Err *err)
{
    Search *s = self;
    const bool used = s->o->limit < 0 || s->in_file++ < s->o->limit;
    if (bad->kind == ERR_NONE && add_labels(s, r, bad))
        return true;
    if (s->o->skip_bad_rows || !used)
        return true;
    *err = *bad;
    return err->where[0] ? false : err_at(err, r->line > 0 ? "%s:%lld" : "%s", r->file, (long long)r->line);
}

/* ---- all rows -------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_number(const void *a, const void *b)
{
    const long long x = strtoll(*(char *const *)a, NULL, 10), y = strtoll(*(char *const *)b, NULL, 10);
    return x != y ? (x > y) - (x < y) : by_name(a, b);
}

static void sort(StringList *names)
{
    bool whole = true;
    for (int i = 0; i < names->count; i++)
        whole = whole && is_whole(names->items[i]);
    if (names->count > 0)
        qsort(names->items, (size_t)names->count, sizeof *names->items, whole ? by_number : by_name);
}

static bool judge_lists(const Search *s, Err *err)
{
    LabelsFound *found = s->found;
    if (s->problem == PROBLEM_SINGLE_LABEL) {
        err_set(err, ERR_INPUT, "problem_type is single_label_classification, and the labels are lists");
        return err_hint(err, "remove the key, or set problem_type: multi_label_classification");
    }
    if (s->singles > 0) {
        err_set(err, ERR_INPUT, "%lld rows have a list of labels, %lld a single one", (long long)s->lists,
                (long long)s->singles);
        return err_hint(err, "write all as lists");
    }
    if (found->names.count > 0 && found->count > 0) {
        err_set(err, ERR_INPUT, "some lists of labels hold names, others numbers");
        return err_hint(err, "write all in one way");
    }
    found->problem = PROBLEM_MULTI_LABEL;
    found->count = found->names.count > 0 ? found->names.count : found->count;
    return true;
}

static bool judge(const Search *s, Err *err)
{
    LabelsFound *found = s->found;
    sort(&found->names);
    if (s->lists > 0)
        return judge_lists(s, err);
    if (s->problem == PROBLEM_MULTI_LABEL && s->singles > 0) {
        err_set(err, ERR_INPUT, "problem_type is multi_label_classification, and the labels are no lists");
        return err_hint(err, "[0, 1, 0] or a list of label names, in a .jsonl file");
    }
    found->count = found->names.count;
    if (s->problem == PROBLEM_AUTO && s->o->kind == ROWS_LABELLED && s->all_numbers && s->decimal[0]) {
        err_set(err, ERR_INPUT, "the labels are numbers with decimals, as %s: %d different ones", s->decimal,
                found->names.count);
        return err_hint(err,
                        "%sproblem_type: regression learns them as values, problem_type: single_label_classification "
                        "as classes",
                        s->comma ? "written with a point, not a comma, " : "");
    }
    if (s->problem == PROBLEM_AUTO && s->o->kind == ROWS_LABELLED && found->count > 0 && s->all_lists) {
        err_set(err, ERR_INPUT, "the labels are lists written as texts, as %.80s", found->names.items[0]);
        return err_hint(err, "several labels a row stand in a .jsonl file, as lists of 0 and 1 or of names");
    }
    if (found->count == 1) {
        err_set(err, ERR_INPUT, "all labels are '%s': there is nothing to tell apart", found->names.items[0]);
        return err_hint(err, "name the labels in the run file (labels: [a, b]), or look at the column (data.label)");
    }
    return true;
}

bool label_search(LabelsFound *found, const DatasetOptions *options, ProblemType problem, Err *err)
{
    *found = (LabelsFound){ .problem = PROBLEM_AUTO };
    Search s = {
        .o = options, .problem = problem, .found = found, .seen = json_object(), .all_numbers = true, .all_lists = true
    };
    RecordColumns columns = dataset_columns(options);
    columns.labelled = true;
    bool ok = true;
    for (int i = 0; ok && i < options->files->count; i++) {
        s.in_file = 0;
        ok = records_read(options->files->items[i], &columns, look, &s, err);
    }
    if (ok && !judge(&s, err))
        ok = err_at(err, "%s", options->files->items[0]);
    json_decref(s.seen);
    return ok;
}

void labels_found_release(LabelsFound *found)
{
    for (int i = 0; i < found->names.count; i++)
        free(found->names.items[i]);
    free(found->names.items);
    *found = (LabelsFound){ 0 };
}
