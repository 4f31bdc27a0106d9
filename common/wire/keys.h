/* keys - who may talk to a server, as files: CURVE key pairs (curve25519) of ZeroMQ.
 *
 * A folder of keys has
 *   server.key   the server's secret key, 64 hexadecimal digits
 *   allowed      a line a client: its public key and its name
 *   NAME.key     what the client NAME needs: the server's public key, ':', its own secret key
 * A client needs nothing but its NAME.key; on a machine that has the folder, worker.key is taken. Files with secrets are
 * refused while others than their owner may read them. In all of them lines that begin with '#' are comments.
 *
 * Owner: the caller. Threads: any. Errors: with the path, and the line where there is one. */
#ifndef COMMON_WIRE_KEYS_H
#define COMMON_WIRE_KEYS_H

#include "common/base/err.h"

#include <stdint.h>

enum {
    KEY_BYTES = 32,
    KEY_HEX = 2 * KEY_BYTES + 1, /* and '\0' */
    KEYS_NAME = 64 /* most bytes of a client's name and '\0': letters, digits, '.', '_', '-' */
};

#define KEYS_WORKER "worker" /* the client whose key is taken out of a folder */
#define KEYS_VARIABLE "LORA_KEYS" /* of the environment: what ps.keys is where nobody says it */

/* One side of a connection. */
typedef struct WireKeys {
    bool server;
    uint8_t public_key[KEY_BYTES], secret_key[KEY_BYTES];
    uint8_t server_key[KEY_BYTES]; /* of a client: the server's public key */
} WireKeys;

typedef struct AllowedKey {
    uint8_t key[KEY_BYTES];
    char name[KEYS_NAME];
} AllowedKey;

/* Zeroed is empty. */
typedef struct AllowedKeys {
    AllowedKey *at; /* [count], owned */
    int count;
} AllowedKeys;

/* The server's side of a folder. */
MUST_USE bool keys_read_server(WireKeys *keys, const char *folder, Err *err);
/* A client's: `from` is a folder, a NAME.key, or what stands in one. */
MUST_USE bool keys_read_client(WireKeys *keys, const char *from, Err *err);
/* What stands in a NAME.key, as one line, owned by the caller: of `from`, or where that is NULL of LORA_KEYS. NULL: neither
 * is there, or *err is set. */
char *keys_line(const char *from, Err *err);

char *allowed_path(const char *folder); /* of the list; owned by the caller */
MUST_USE bool allowed_read(AllowedKeys *allowed, const char *folder, Err *err);
void allowed_release(AllowedKeys *allowed);
/* Its name; NULL: not allowed. Borrowed. */
const char *allowed_name(const AllowedKeys *allowed, const uint8_t key[KEY_BYTES]);

/* Makes what is missing of the folder, and a client of that name, which must be a new one. */
MUST_USE bool keys_new(const char *folder, const char *name, Err *err);
/* A client whose pair was made elsewhere; hex: its public key. */
MUST_USE bool keys_allow(const char *folder, const char *hex, const char *name, Err *err);
/* The client of that name is allowed no more; its NAME.key goes, too. A running server sees it within a second. */
MUST_USE bool keys_revoke(const char *folder, const char *name, Err *err);

void key_print(char hex[KEY_HEX], const uint8_t key[KEY_BYTES]);
MUST_USE bool key_read(uint8_t key[KEY_BYTES], const char *hex); /* blanks around it are fine */

#endif
