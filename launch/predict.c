#include "launch/predict.h"

#include "common/base/file.h"
#include "common/base/maths.h"
#include "common/base/mem.h"
#include "worker/data/source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool predict_open(PredictInput *input, Source *packed, Err *err)
{
    const char *path = input->path;
    if (path && (text_ends_any(path, ".parquet") || text_ends_any(path, ".arrow")))
        return records_format(path, ROWS_LABELLED, err) != NULL; /* says what to do */
    if (path && file_is_folder(path))
        return true;
    if (path && (text_ends_any(path, ".gz") || text_ends_any(path, ".zst"))) {
        if (!source_open(packed, path, err))
            return false;
        input->file =
            packed->size > 0 ? fmemopen((void *)(uintptr_t)packed->data, packed->size, "r") : fopen("/dev/null", "r");
    } else {
        input->file = path ? fopen(path, "re") : stdin;
    }
    if (input->file)
        return true;
    if (file_exists(path)) {
        err_errno(err, "cannot open");
        err->kind = ERR_INPUT;
    } else {
        file_missing(path, "file or folder", NULL, err);
    }
    return err_at(err, "%s", path);
}

void predict_close(PredictInput *input, Source *packed)
{
    if (input->file && input->file != stdin)
        fclose(input->file);
    source_close(packed);
}

/* The next line of the file, as getline gives it: over stages standard input is the first rank's. */
static ssize_t next_line(const PredictInput *input, char **line, size_t *room)
{
    const Group *stages = input->path ? NULL : input->stages;
    const ssize_t n = !stages || stages->rank == 0 ? getline(line, room, input->file) : -1;
    if (!stages)
        return n;
    size_t size = n < 0 ? 0 : (size_t)n;
    char *all = session_line(stages, n < 0 ? NULL : *line, &size);
    if (stages->rank != 0) {
        free(*line);
        *line = all;
    }
    return all ? (ssize_t)size : -1;
}

bool predict_lines(const PredictInput *input, PredictLine visit, void *self, Err *err)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int64_t number = 0;
    bool ok = true;
    if (!input->file)
        return err_set(err, ERR_INPUT, "is a folder, not a file of lines") || err_at(err, "%s", input->name);
    while (ok && (n = next_line(input, &line, &room)) >= 0) {
        const size_t mark =
            ++number == 1 && n >= 3 && memcmp(line, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0; /* byte order mark */
        while (n > (ssize_t)mark && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            n--;
        if (text_utf8_valid(line, (size_t)n) < (size_t)n)
            ok = err_set(err, ERR_INPUT, "the line is not valid UTF-8");
        else
            ok = visit(self, line + mark, (size_t)n - mark, err);
        if (!ok)
            err_at(err, "%s:%lld", input->name, (long long)number);
    }
    free(line);
    return ok;
}

/* ---- rows ------------------------------------------------------------------------------ */

typedef struct RowVisit {
    PredictRow visit;
    void *self;
    int64_t count;
} RowVisit;

/* A row that cannot be read ends it: an answer a row is promised. */
static bool give_row(void *self, const Record *r, Err *bad, Err *err)
{
    RowVisit *rows = self;
    rows->count++;
    if (bad->kind != ERR_NONE) {
        *err = *bad;
        return false;
    }
    return rows->visit(rows->self, r, err) || err_at(err, r->line > 0 ? "%s:%lld" : "%s", r->file, (long long)r->line);
}

bool predict_as_rows(const PredictInput *input, RowKind kind)
{
    return input->path && records_holds(input->path, kind) && !source_ends(input->path, ".txt");
}

bool predict_rows(const PredictInput *input, const RecordColumns *columns, PredictRow visit, void *self, Err *err)
{
    RowVisit rows = { visit, self, 0 };
    if (!records_read(input->path, columns, give_row, &rows, err))
        return false;
    if (rows.count > 0 || input->file)
        return true;
    err_set(err, ERR_INPUT, "there is no .txt file in a folder of this folder");
    err_hint(err, "of a folder, the texts of its class folders are answered; a file of lines is named itself");
    return err_at(err, "%s", input->path);
}

/* ---- answers ------------------------------------------------------------------------------ */

int64_t predict_best(const float *logits, int64_t labels)
{
    int64_t best = 0;
    for (int64_t i = 1; i < labels; i++)
        best = logits[i] > logits[best] ? i : best;
    return best;
}

static void add_labels(json_t *out, const ModelArch *arch, const float *logits)
{
    json_t *on = json_array(), *named = json_object();
    for (int64_t i = 0; i < arch->head.labels; i++) {
        json_object_set_new(named, arch->head.label_names[i], json_real(1.0 / (1.0 + maths_exp(-(double)logits[i]))));
        if (logits[i] > 0.0f)
            json_array_append_new(on, json_string(arch->head.label_names[i]));
    }
    json_object_set_new(out, "labels", on);
    json_object_set_new(out, "probabilities", named);
}

static void add_label(json_t *out, const ModelArch *arch, const float *logits)
{
    json_t *named = json_object();
    double *p = xmalloc((size_t)arch->head.labels * sizeof *p);
    maths_softmax(p, logits, arch->head.labels);
    for (int64_t i = 0; i < arch->head.labels; i++)
        json_object_set_new(named, arch->head.label_names[i], json_real(p[i]));
    json_object_set_new(out, "label", json_string(arch->head.label_names[predict_best(logits, arch->head.labels)]));
    json_object_set_new(out, "probabilities", named);
    free(p);
}

json_t *predict_classes(const ModelArch *arch, const float *logits, bool with_logits)
{
    json_t *out = json_object();
    if (arch->head.problem == PROBLEM_REGRESSION)
        json_object_set_new(out, "score", json_real((double)logits[0]));
    else if (arch->head.problem == PROBLEM_MULTI_LABEL)
        add_labels(out, arch, logits);
    else
        add_label(out, arch, logits);
    if (with_logits) {
        json_t *list = json_array();
        for (int64_t i = 0; i < arch->head.labels; i++)
            json_array_append_new(list, json_real((double)logits[i]));
        json_object_set_new(out, "logits", list);
    }
    return out;
}

bool predict_print(json_t *line, Err *err)
{
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9));
    const bool ok = text && puts(text) >= 0 && fflush(stdout) == 0;
    free(text);
    json_decref(line);
    return ok || err_errno(err, "cannot write");
}
