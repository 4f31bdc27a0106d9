/* wal - the write-ahead log: OUTPUT/wal/log, a header and records, each with its own checksum.
 *
 * A record that a crash cut short can only be the last one; it is cut off when the log is opened.
 * Any other damage is an error, which says where it is and how much stands behind it. Layout (little endian): u32 "WAL",
 * version and type, u32 0, u64 size, u64 XXH3 of these 16 bytes, payload, u64 XXH3 of the payload. Each record says its version: a log of
 * an older program, or of a newer one, is told, and not read.
 *
 * Owner: the run. Threads: one. */
#ifndef PS_WAL_H
#define PS_WAL_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

#define WAL_SLOW 1.0 /* seconds: a sync that takes longer is told */
enum { WAL_VERSION = 8 }; /* of the records and of what is in them, 1 to 15 */

typedef enum { WAL_HEADER = 1, WAL_BEGIN, WAL_STEP, WAL_EVAL, WAL_STATE, WAL_FLOATS } WalType;

/* A piece of a record's payload. */
typedef struct WalPart {
    const void *data;
    size_t size;
} WalPart;

typedef struct Wal {
    int fd; /* -1: closed */
    char *path;
    int64_t size; /* bytes that are whole */
    bool broken; /* an append failed, or it is not known what is on the disk: no more until the log is started anew */
    char why[256]; /* of broken */
    int64_t unsynced; /* records since the last sync */
    double sync_seconds; /* that the last one took */
} Wal;

#define WAL_CLOSED ((Wal){ .fd = -1 })

/* Bytes that a record with this payload takes. */
int64_t wal_record_size(size_t payload);

/* Called for each whole record in order; payload is lent. False stops with its *err. */
typedef bool (*WalVisit)(void *self, WalType type, const void *payload, size_t size, Err *err);

/* Reads the first `records` of PATH, or as many as there are, through visit. */
MUST_USE bool wal_peek(const char *path, int records, size_t most, WalVisit visit, void *self, Err *err);

/* Reads PATH through visit and leaves it open for appending. most: bytes of the largest record. */
MUST_USE bool wal_open(Wal *wal, const char *path, size_t most, WalVisit visit, void *self, Err *err);

/* Starts PATH anew with these first records (one part each), durable before the old one is gone. */
MUST_USE bool wal_start(Wal *wal, const char *path, const WalType *types, const WalPart *parts, int count, Err *err);
void wal_close(Wal *wal);

/* Appends one record of up to 2 parts; what a failed append wrote is taken back. */
MUST_USE bool wal_append(Wal *wal, WalType type, const WalPart *parts, int count, Err *err);
MUST_USE bool wal_sync(Wal *wal, Err *err);

/* What a log holds, damaged or not. */
typedef struct WalLook {
    int64_t size, records; /* of the file; whole ones before the end, or the damage */
    int64_t damaged; /* byte where the damage begins; -1: there is none */
    int64_t behind; /* whole records behind it */
    int64_t torn; /* bytes of a last record that a crash cut short */
} WalLook;

/* visit: each whole record before the damage; NULL: none is wanted. */
MUST_USE bool wal_look(WalLook *look, const char *path, size_t most, WalVisit visit, void *self, Err *err);

#endif
