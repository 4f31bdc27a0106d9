/* folder - image files in class folders: photos/ants/1.jpg is of class "ants".
 *
 * Classes are sorted by name, files by name within their class; hidden ones (.name) and files beside the
 * class folders are passed over. Whether a file is an image its first bytes say; one that is not stays in
 * the list as a bad row.
 *
 * Owner: whoever opened it. Threads: const after opening. */
#ifndef WORKER_IMAGES_FOLDER_H
#define WORKER_IMAGES_FOLDER_H

#include "common/base/err.h"

#include <stdint.h>

typedef struct ImageFile {
    char *path; /* owned */
    int64_t label; /* into classes; -1: none */
    const char *bad; /* what is wrong with it, for ever; NULL: nothing that the first bytes show */
} ImageFile;

typedef struct ImageFolder {
    ImageFile *file; /* [count], owned */
    int64_t count;
    char **classes; /* [class_count], owned */
    int64_t class_count;
} ImageFolder;

/* limit: at most so many files, from the front; -1: all. Without class folders it is an error, or, when
 * the labels do not matter, the files of the folder itself. */
MUST_USE bool image_folder_open(ImageFolder *folder, const char *path, int64_t limit, bool labelled, Err *err);
void image_folder_release(ImageFolder *folder);

#endif
