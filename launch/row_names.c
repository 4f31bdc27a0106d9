#include "launch/row_names.h"

#include "launch/named_adapter.h"

#include <string.h>

typedef struct NamedRows {
    int64_t *rows; /* [count] */
    const char *const *names; /* [count] */
    int count;
    const DatasetOptions *data;
    int64_t in_file; /* rows of the current file */
} NamedRows;

static bool count_row(void *self, const Record *r, Err *bad, Err *err)
{
    NamedRows *t = self;
    if (t->data->limit >= 0 && t->in_file >= t->data->limit)
        return true;
    t->in_file++;
    const int at = bad->kind == ERR_NONE ? named_adapter_find(t->names, t->count, r->by, r->by_size, bad) : -1;
    if (at >= 0)
        t->rows[at]++;
    if (at >= 0 || t->data->skip_bad_rows)
        return true;
    if (!bad->where[0])
        err_at(bad, r->line > 0 ? "%s:%lld" : "%s", r->file, (long long)r->line);
    *err = *bad;
    return false;
}

bool row_names_count(int64_t *rows, const char *const *names, int count, const DatasetOptions *data, Err *err)
{
    RecordColumns columns = dataset_columns(data);
    columns.by = ADAPTER_FIELD;
    memset(rows, 0, (size_t)count * sizeof *rows);
    for (int i = 0; i < data->files->count; i++) {
        NamedRows counted = { rows, names, count, data, 0 };
        if (!records_read(data->files->items[i], &columns, count_row, &counted, err))
            return false;
    }
    return true;
}
