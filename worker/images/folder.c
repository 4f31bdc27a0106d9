#include "worker/images/folder.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "worker/images/image_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD 16 /* bytes that tell a format */

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

/* What a reader would say of the file without decoding it; NULL: it is an image. */
static const char *look(const char *path)
{
    uint8_t head[HEAD];
    if (file_is_folder(path))
        return "this is a folder inside a class folder";
    const int64_t size = file_size(path);
    if (size == 0)
        return "the file is empty";
    FILE *file = size < 0 ? NULL : fopen(path, "rb");
    if (!file)
        return "the file cannot be opened";
    const size_t n = fread(head, 1, sizeof head, file);
    fclose(file);
    return image_format(head, n, NULL) == IMAGE_OTHER ? "this is not a JPEG or PNG file" : NULL;
}

static void add_file(ImageFolder *folder, char *path, int64_t label)
{
    if ((folder->count & (folder->count - 1)) == 0) /* full at every power of two */
        folder->file = xrealloc(folder->file, (size_t)(folder->count ? 2 * folder->count : 1) * sizeof *folder->file);
    folder->file[folder->count++] = (ImageFile){ path, label, look(path) };
}

static bool add_class(ImageFolder *folder, const char *path, int64_t label, int64_t limit, Err *err)
{
    size_t count;
    char **names = folder_list(path, &count, err);
    if (!names)
        return false;
    for (size_t i = 0; i < count && (limit < 0 || folder->count < limit); i++)
        if (names[i][0] != '.')
            add_file(folder, path_join(path, names[i]), label);
    free_names(names, count);
    return true;
}

static bool no_classes(const char *path, Err *err)
{
    err_set(err, ERR_INPUT, "there are no class folders");
    err_at(err, "%s", path);
    return err_hint(err, "images lie in a folder for each class: %s/CLASS/FILE.jpg", path);
}

bool image_folder_open(ImageFolder *folder, const char *path, int64_t limit, bool labelled, Err *err)
{
    size_t count;
    *folder = (ImageFolder){ 0 };
    char **names = folder_list(path, &count, err);
    if (!names)
        return false;
    folder->classes = xcalloc(count + 1, sizeof *folder->classes);
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        char *inner = path_join(path, names[i]);
        if (names[i][0] != '.' && file_is_folder(inner)) {
            folder->classes[folder->class_count++] = xstrdup(names[i]);
            ok = add_class(folder, inner, folder->class_count - 1, limit, err);
        }
        free(inner);
    }
    free_names(names, count);
    if (ok && folder->class_count == 0)
        ok = labelled ? no_classes(path, err) : add_class(folder, path, -1, limit, err);
    if (ok && folder->count == 0 && limit != 0) {
        ok = err_set(err, ERR_INPUT, "there are no files in the class folders");
        err_at(err, "%s", path);
    }
    if (!ok)
        image_folder_release(folder);
    return ok;
}

void image_folder_release(ImageFolder *folder)
{
    for (int64_t i = 0; i < folder->count; i++)
        free(folder->file[i].path);
    free(folder->file);
    free_names(folder->classes, (size_t)folder->class_count);
    *folder = (ImageFolder){ 0 };
}
