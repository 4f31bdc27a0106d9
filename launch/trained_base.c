#include "launch/trained_base.h"

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/config/run_facts.h"
#include "worker/data/cache.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A line a file. A file that is written gets another ctime, whatever is done to its mtime. */
static void add_file(Text *out, const char *path)
{
    struct stat s = { 0 };
    if (stat(path, &s) == 0)
        text_addf(out, "%s %llu %llu %lld %lld.%09ld %lld.%09ld\n", path, (unsigned long long)s.st_dev,
                  (unsigned long long)s.st_ino, (long long)s.st_size, (long long)s.st_mtim.tv_sec, s.st_mtim.tv_nsec,
                  (long long)s.st_ctim.tv_sec, s.st_ctim.tv_nsec);
}

/* Of the files as they are now; tensors are sorted by name, so a file may come up again. */
static uint64_t key_of(const SafeTensors *files)
{
    Text all = { 0 };
    const char *last = "";
    for (int64_t i = 0; i < safetensors_count(files); i++) {
        const char *file = safetensors_at(files, i)->file;
        if (strcmp(file, last) != 0)
            add_file(&all, file);
        last = file;
    }
    const uint64_t key = digest_fast(all.data ? all.data : "", all.size);
    text_release(&all);
    return key;
}

/* False: nobody wrote it down. */
static bool remembered(uint64_t *digest, const char *path)
{
    Err none = { 0 };
    size_t size = 0;
    char *text = file_exists(path) ? file_read(path, &size, &none) : NULL;
    const bool whole = text && size == 17 && strspn(text, "0123456789abcdef") == 16;
    if (whole)
        *digest = strtoull(text, NULL, 16);
    free(text);
    return whole;
}

/* Where it cannot be written down it is computed again the next time. */
static uint64_t digest_of(const SafeTensors *files)
{
    Err none = { 0 };
    uint64_t digest;
    char *folder = cache_folder();
    char *path = xprintf("%s/%016llx.tensors", folder, (unsigned long long)key_of(files));
    if (!remembered(&digest, path)) {
        digest = safetensors_digest(files);
        char *text = xprintf("%016llx\n", (unsigned long long)digest);
        if (folder_make(folder, &none))
            (void)!file_write(path, text, strlen(text), &none);
        free(text);
    }
    free(path);
    free(folder);
    return digest;
}

bool trained_base_check(const Adapted *base, const char *adapter, Err *err)
{
    RunFacts facts;
    if (!run_facts_read(&facts, adapter, err))
        return false;
    if (!facts.known)
        return true;
    const uint64_t now = adapted_digest_with(base, digest_of(base->files));
    if (now == facts.base || adapted_digest_with(base, safetensors_digest_of_files(base->files)) == facts.base)
        return true; /* the second: a run of an earlier version */
    err_set(err, ERR_INPUT,
            "the base is not the one that the adapter was trained on: its weights or its config.json differ (XXH3 "
            "%016llx, and %016llx then)",
            (unsigned long long)now, (unsigned long long)facts.base);
    err_hint(err, "name that base (--model=DIR); --other_base takes this one all the same");
    return err_at(err, "%s", base->arch->folder);
}
