/* wal - the write-ahead log: OUTPUT/wal/log, a header and records, each with its own checksum.
 *
 * A record that a crash cut short can only be the last one; it is cut off when the log is opened.
 * Any other damage is an error. Layout (little endian): u32 "WAL", version and type, u32 0, u64 size,
 * u64 XXH3 of these 16 bytes, payload, u64 XXH3 of the payload. Each record says its version: a log of
 * an older program, or of a newer one, is told, and not read.
 *
 * Owner: the run. Threads: one. */
#ifndef PS_WAL_H
#define PS_WAL_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { WAL_VERSION = 6 }; /* of the records and of what is in them, 1 to 15 */

typedef enum { WAL_HEADER = 1, WAL_BEGIN, WAL_STEP, WAL_EVAL } WalType;

/* A piece of a record's payload. */
typedef struct WalPart {
    const void *data;
    size_t size;
} WalPart;

typedef struct Wal {
    int fd; /* -1: closed */
    char *path;
    int64_t size; /* bytes that are whole */
    bool broken; /* an append failed: no more until the log is started anew */
    int64_t unsynced; /* records since the last sync */
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

#endif
