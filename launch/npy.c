#include "launch/npy.h"

#include "common/base/file.h"

#include <string.h>

enum { HEAD = 128, MARK = 10 }; /* bytes before the rows, a multiple of 64; of magic, version and length */

/* How many rows there are is known at the end: the head has one size whatever it says. */
static bool write_head(const Npy *npy, Err *err)
{
    static const char mark[] = "\x93NUMPY\x01\x00";
    char head[HEAD + 1];
    memset(head, ' ', HEAD);
    memcpy(head, mark, MARK - 2);
    head[MARK - 2] = (char)(HEAD - MARK);
    head[MARK - 1] = 0;
    const int n =
        snprintf(head + MARK, HEAD - MARK, "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }",
                 (long long)npy->rows, (long long)npy->C);
    head[MARK + n] = ' ';
    head[HEAD - 1] = '\n';
    return fwrite(head, 1, HEAD, npy->file) == HEAD || err_errno(err, "cannot write '%s'", npy->path);
}

bool npy_begin(Npy *npy, const char *path, int64_t C, Err *err)
{
    *npy = (Npy){ .path = path, .C = C };
    npy->file = file_begin(path, err);
    return npy->file && write_head(npy, err);
}

bool npy_add(Npy *npy, const float *row, Err *err)
{
    npy->rows++;
    return fwrite(row, sizeof *row, (size_t)npy->C, npy->file) == (size_t)npy->C ||
           err_errno(err, "cannot write '%s'", npy->path);
}

bool npy_commit(Npy *npy, Err *err)
{
    FILE *file = npy->file;
    bool ok = fseek(file, 0, SEEK_SET) == 0 || err_errno(err, "cannot write '%s'", npy->path);
    ok = ok && write_head(npy, err);
    npy->file = NULL;
    if (ok)
        return file_commit(file, npy->path, err);
    file_abandon(file, npy->path);
    return false;
}

void npy_abandon(Npy *npy)
{
    file_abandon(npy->file, npy->path);
    npy->file = NULL;
}
