#include "ps/wal.h"

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD = 24, TAIL = 8, MAGIC = 0x57414c00 };

typedef struct RecordHead {
    uint32_t type, zero; /* type: MAGIC, 4 bits of version, 4 of WalType */
    uint64_t size, digest;
} RecordHead;
_Static_assert(sizeof(RecordHead) == HEAD, "no padding");

int64_t wal_record_size(size_t payload)
{
    return HEAD + (int64_t)payload + TAIL;
}

static RecordHead head_of(uint32_t type, uint64_t size)
{
    RecordHead head = { .type = type, .size = size };
    head.digest = digest_fast(&head, HEAD - sizeof head.digest);
    return head;
}

static bool head_is_whole(const RecordHead *head)
{
    const RecordHead want = head_of(head->type, head->size);
    return head->zero == 0 && want.digest == head->digest;
}

static uint32_t type_of(WalType type)
{
    return (uint32_t)MAGIC | (uint32_t)WAL_VERSION << 4 | (uint32_t)type;
}

/* Of a whole record: is it one that this version writes? */
static bool is_ours(const RecordHead *head, Err *err)
{
    const int version = head->type >> 4 & 15;
    if ((head->type & 0xffffff00) != MAGIC)
        return err_set(err, ERR_IO, "the write-ahead log holds a record that no version of this program writes");
    if (version == WAL_VERSION)
        return true;
    err_set(err, ERR_INPUT, "the write-ahead log was written by %s version of this program (format %d, here %d)",
            version < WAL_VERSION ? "an older" : "a newer", version, WAL_VERSION);
    return err_hint(err, "finish the run with the version that began it, choose another train.output_dir, or start "
                         "anew with --overwrite");
}

/* 1: a whole record at data[0, size), *payload of it; 0: cut short; -1: damaged. */
static int next_record(const char *data, size_t size, size_t most, RecordHead *head)
{
    if (size < HEAD)
        return 0;
    memcpy(head, data, HEAD);
    if (!head_is_whole(head))
        return size <= HEAD + most + TAIL ? 0 : -1;
    if (size - HEAD < TAIL || head->size > size - HEAD - TAIL)
        return head->size <= most ? 0 : -1;
    uint64_t digest;
    memcpy(&digest, data + HEAD + head->size, TAIL);
    if (digest == digest_fast(data + HEAD, head->size))
        return 1;
    return head->size == size - HEAD - TAIL ? 0 : -1;
}

/* Whole records behind the damage at `at`: heads are looked for at each byte. */
static int64_t count_behind(const FileMap *map, size_t at, size_t most)
{
    int64_t count = 0;
    for (size_t from = at + 1; from + HEAD + TAIL <= map->size;) {
        RecordHead head;
        memcpy(&head, map->data + from, HEAD);
        const bool whole = (head.type & 0xffffff00) == MAGIC && head_is_whole(&head) &&
                           next_record(map->data + from, map->size - from, most, &head) == 1;
        count += whole;
        from += whole ? HEAD + head.size + TAIL : 1;
    }
    return count;
}

static bool replay(const FileMap *map, const char *path, int records, size_t most, WalVisit visit, void *self,
                   size_t *whole, Err *err)
{
    size_t at = 0;
    for (int i = 0; at < map->size && i < records; i++) {
        RecordHead head = { 0 };
        const int answer = next_record(map->data + at, map->size - at, most, &head);
        if (answer < 0 || (answer == 0 && at == 0)) {
            err_set(err, ERR_IO,
                    "the write-ahead log is damaged at byte %zu; %d records before it are whole, and %lld behind it",
                    at, i, (long long)count_behind(map, at, most));
            err_hint(
                err,
                "restore the file; or `lora verify --cut` leaves what is before the damage; or start anew with --overwrite");
            return err_at(err, "%s", path);
        }
        if (answer == 0) {
            log_warn("wal", "cut off a record that was not written whole at=%zu bytes=%zu", at, map->size - at);
            break;
        }
        if (!is_ours(&head, err) || !visit(self, (WalType)(head.type & 15), map->data + at + HEAD, head.size, err))
            return err_at(err, "%s", path);
        at += HEAD + head.size + TAIL;
    }
    *whole = at;
    return true;
}

static void break_off(Wal *wal, const Err *err)
{
    wal->broken = true;
    snprintf(wal->why, sizeof wal->why, "%s", err->what);
}

static bool open_at(Wal *wal, const char *path, size_t whole, Err *err)
{
    wal_close(wal);
    wal->fd = open(path, O_WRONLY | O_CLOEXEC);
    if (wal->fd < 0 || ftruncate(wal->fd, (off_t)whole) != 0 || lseek(wal->fd, (off_t)whole, SEEK_SET) < 0) {
        err_errno(err, "cannot write the log");
        wal_close(wal);
        break_off(wal, err);
        return err_at(err, "%s", path);
    }
    wal->path = xstrdup(path);
    wal->size = (int64_t)whole;
    return true;
}

bool wal_peek(const char *path, int records, size_t most, WalVisit visit, void *self, Err *err)
{
    FileMap map = { 0 };
    size_t whole;
    if (!file_map(&map, path, err))
        return false;
    const bool ok = replay(&map, path, records, most, visit, self, &whole, err);
    file_unmap(&map);
    return ok;
}

bool wal_open(Wal *wal, const char *path, size_t most, WalVisit visit, void *self, Err *err)
{
    FileMap map = { 0 };
    size_t whole = 0;
    if (!file_map(&map, path, err))
        return false;
    const bool ok = replay(&map, path, INT_MAX, most, visit, self, &whole, err);
    file_unmap(&map);
    return ok && open_at(wal, path, whole, err);
}

static bool write_all(FILE *file, const void *data, size_t size)
{
    return size == 0 || fwrite(data, 1, size, file) == size;
}

/* Is the open file the one of that name? */
static bool is_at(int fd, const char *path)
{
    struct stat open_one, named;
    return fstat(fd, &open_one) == 0 && stat(path, &named) == 0 && open_one.st_ino == named.st_ino &&
           open_one.st_dev == named.st_dev;
}

bool wal_start(Wal *wal, const char *path, const WalType *types, const WalPart *parts, int count, Err *err)
{
    FILE *file = file_begin(path, err);
    if (!file)
        return false;
    bool ok = true;
    size_t whole = 0;
    for (int i = 0; ok && i < count; i++) {
        const RecordHead head = head_of(type_of(types[i]), parts[i].size);
        const uint64_t digest = digest_fast(parts[i].data, parts[i].size);
        ok = write_all(file, &head, HEAD) && write_all(file, parts[i].data, parts[i].size) &&
             write_all(file, &digest, TAIL);
        whole += HEAD + parts[i].size + TAIL;
    }
    if (!ok) {
        err_errno(err, "cannot write");
        err_at(err, "%s", path);
        file_abandon(file, path);
        return false;
    }
    if (file_commit(file, path, err))
        return open_at(wal, path, whole, err);
    if (wal->fd >= 0 && !is_at(wal->fd, path)) /* renamed, and not known to be durable: ours has no name any more */
        break_off(wal, err);
    return false;
}

void wal_close(Wal *wal)
{
    if (wal->fd >= 0)
        close(wal->fd);
    free(wal->path);
    *wal = WAL_CLOSED;
}

static bool put(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        const ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

bool wal_append(Wal *wal, WalType type, const WalPart *parts, int count, Err *err)
{
    REQUIRE(wal->fd >= 0 && !wal->broken && count >= 1 && count <= 2);
    const WalPart second = count == 2 ? parts[1] : (WalPart){ "", 0 };
    const size_t size = parts[0].size + second.size;
    char *joined = mem_alloc(size + TAIL, err);
    if (!joined)
        return false;
    memcpy(joined, parts[0].data, parts[0].size);
    memcpy(joined + parts[0].size, second.data, second.size);
    const uint64_t digest = digest_fast(joined, size);
    memcpy(joined + size, &digest, TAIL);
    const RecordHead head = head_of(type_of(type), size);
    const bool ok = put(wal->fd, &head, HEAD) && put(wal->fd, joined, size + TAIL);
    if (ok) {
        wal->size += (int64_t)(HEAD + size + TAIL);
        wal->unsynced++;
    } else {
        err_errno(err, "cannot append to the log");
        err_at(err, "%s", wal->path);
        break_off(wal, err);
        if (ftruncate(wal->fd, (off_t)wal->size) != 0)
            log_warn("wal", "cannot take back a half-written record");
    }
    free(joined);
    return ok;
}

bool wal_sync(Wal *wal, Err *err)
{
    if (wal->fd < 0 || wal->unsynced == 0)
        return true;
    const double begin = clock_now();
    if (fdatasync(wal->fd) != 0) { /* once it failed, the kernel may have dropped what it could not write */
        err_errno(err, "cannot sync the log");
        break_off(wal, err);
        return err_at(err, "%s", wal->path);
    }
    wal->sync_seconds = clock_now() - begin;
    if (wal->sync_seconds > WAL_SLOW)
        log_warn("wal", "the disk is slow: a sync took %.1f s path=%s", wal->sync_seconds, wal->path);
    wal->unsynced = 0;
    return true;
}

bool wal_look(WalLook *look, const char *path, size_t most, WalVisit visit, void *self, Err *err)
{
    FileMap map = { 0 };
    *look = (WalLook){ .damaged = -1 };
    if (!file_map(&map, path, err))
        return false;
    look->size = (int64_t)map.size;
    bool ok = true;
    for (size_t at = 0; ok && at < map.size;) {
        RecordHead head = { 0 };
        const int answer = next_record(map.data + at, map.size - at, most, &head);
        if (answer < 0 || (answer == 0 && at == 0)) {
            look->damaged = (int64_t)at;
            look->behind = count_behind(&map, at, most);
            break;
        }
        if (answer == 0) {
            look->torn = (int64_t)(map.size - at);
            break;
        }
        ok = is_ours(&head, err) &&
             (!visit || visit(self, (WalType)(head.type & 15), map.data + at + HEAD, head.size, err));
        look->records += ok;
        at += HEAD + head.size + TAIL;
    }
    file_unmap(&map);
    return ok || err_at(err, "%s", path);
}
