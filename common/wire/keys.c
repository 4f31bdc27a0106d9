#include "common/wire/keys.h"

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

static const char server_file[] = "server.key";

/* ---- keys as text -------------------------------------------------------------------------- */

void key_print(char hex[KEY_HEX], const uint8_t key[KEY_BYTES])
{
    for (int i = 0; i < KEY_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", key[i]);
}

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The 64 digits at `text`; what follows is the caller's. */
static bool key_scan(uint8_t key[KEY_BYTES], const char *text)
{
    for (int i = 0; i < KEY_BYTES; i++) {
        const int high = digit(text[2 * i]), low = high < 0 ? -1 : digit(text[2 * i + 1]);
        if (low < 0)
            return false;
        key[i] = (uint8_t)(16 * high + low);
    }
    return true;
}

bool key_read(uint8_t key[KEY_BYTES], const char *text)
{
    text += strspn(text, " \t\r\n");
    return key_scan(key, text) && text[KEY_HEX - 1 + strspn(text + KEY_HEX - 1, " \t\r\n")] == '\0';
}

/* "SERVER:SECRET" */
static bool ticket_is(WireKeys *keys, const char *text)
{
    text += strspn(text, " \t\r\n");
    return key_scan(keys->server_key, text) && text[KEY_HEX - 1] == ':' && key_read(keys->secret_key, text + KEY_HEX);
}

/* ZeroMQ's functions for keys speak Z85, its socket options bytes too. */
static bool key_public(uint8_t public_key[KEY_BYTES], const uint8_t secret_key[KEY_BYTES])
{
    char secret[41], open[41];
    return zmq_z85_encode(secret, secret_key, KEY_BYTES) && zmq_curve_public(open, secret) == 0 &&
           zmq_z85_decode(public_key, open);
}

static bool no_curve(Err *err)
{
    return err_set(err, ERR_IO, "this ZeroMQ has no CURVE: %s", zmq_strerror(zmq_errno()));
}

static bool key_pair(uint8_t public_key[KEY_BYTES], uint8_t secret_key[KEY_BYTES], Err *err)
{
    char open[41], secret[41];
    if (zmq_curve_keypair(open, secret) == 0 && zmq_z85_decode(public_key, open) && zmq_z85_decode(secret_key, secret))
        return true;
    return no_curve(err);
}

/* ---- files --------------------------------------------------------------------------------- */

static bool is_secret(const char *path, Err *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return err_errno(err, "cannot read it") || err_at(err, "%s", path);
    if ((st.st_mode & 077) == 0)
        return true;
    err_set(err, ERR_INPUT, "others than its owner may read or write this secret key (mode %04o)",
            (unsigned)(st.st_mode & 07777));
    err_hint(err, "chmod 600 '%s', and if others could have read it: new keys", path);
    return err_at(err, "%s", path);
}

/* The first line that is no comment, owned; NULL on failure. */
static char *read_secret(const char *path, Err *err)
{
    size_t size;
    char *text = is_secret(path, err) ? file_read(path, &size, err) : NULL;
    if (!text)
        return NULL;
    char *line = text;
    while (*line == '#' || *line == '\n')
        line += strcspn(line, "\n") + (line[strcspn(line, "\n")] != '\0');
    char *found = xstrndup(line, strcspn(line, "\n"));
    free(text);
    return found;
}

static bool not_a_key(const char *path, const char *what, Err *err)
{
    err_set(err, ERR_INPUT, "this is not %s", what);
    err_hint(err, "`lora keys new FOLDER` makes keys");
    return err_at(err, "%s", path);
}

bool keys_read_server(WireKeys *keys, const char *folder, Err *err)
{
    char *path = path_join(folder, server_file), *text = NULL;
    *keys = (WireKeys){ .server = true };
    bool ok = true;
    if (file_exists(folder) && !file_is_folder(folder)) {
        ok = err_set(err, ERR_INPUT, "a server takes the folder of keys, and this is a file");
        err_hint(err, "a NAME.key is for a client");
        err_at(err, "%s", folder);
    } else if (!file_exists(path)) {
        ok = err_set(err, ERR_INPUT, "there is no key of a server");
        err_hint(err, "`lora keys new '%s'` makes it", folder);
        err_at(err, "%s", path);
    }
    ok = ok && (text = read_secret(path, err));
    if (ok && !key_read(keys->secret_key, text))
        ok = not_a_key(path, "the secret key of a server", err);
    if (ok && !key_public(keys->public_key, keys->secret_key))
        ok = no_curve(err);
    free(text);
    free(path);
    return ok;
}

bool keys_read_client(WireKeys *keys, const char *from, Err *err)
{
    *keys = (WireKeys){ 0 };
    if (ticket_is(keys, from))
        return key_public(keys->public_key, keys->secret_key) || no_curve(err);
    char *path = file_is_folder(from) ? path_join(from, KEYS_WORKER ".key") : path_absolute(from), *text = NULL;
    bool ok = file_exists(path) ||
              (file_missing(path, "file of a key", "`lora keys new FOLDER` makes keys", err), err_at(err, "%s", path));
    ok = ok && (text = read_secret(path, err));
    if (ok && !ticket_is(keys, text))
        ok = not_a_key(path, "the key of a client", err);
    if (ok && !key_public(keys->public_key, keys->secret_key))
        ok = no_curve(err);
    free(text);
    free(path);
    return ok;
}

char *keys_line(const char *from, Err *err)
{
    WireKeys keys;
    if (!from)
        from = getenv(KEYS_VARIABLE);
    if (!from || !*from || !keys_read_client(&keys, from, err))
        return NULL;
    char open[KEY_HEX], secret[KEY_HEX];
    key_print(open, keys.server_key);
    key_print(secret, keys.secret_key);
    return xprintf("%s:%s", open, secret);
}

/* ---- the list of clients ------------------------------------------------------------------- */

static bool is_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const size_t n = strlen(name);
    return n > 0 && n < KEYS_NAME && name[0] != '.' && strspn(name, letters) == n;
}

static bool bad_name(const char *name, Err *err)
{
    return err_set(err, ERR_INPUT, "'%s' is no name of a client: letters, digits, '.', '_' and '-', at most %d", name,
                   KEYS_NAME - 1);
}

char *allowed_path(const char *folder)
{
    return path_join(folder, "allowed");
}

/* A line of the list: "KEY NAME". */
static bool read_line(AllowedKeys *allowed, const char *line, size_t n)
{
    AllowedKey one = { 0 };
    char *text = xstrndup(line, n), *name = text + KEY_HEX;
    bool ok = n > KEY_HEX && key_scan(one.key, text) && text[KEY_HEX - 1] == ' ';
    if (ok) {
        name[strcspn(name, " \t\r")] = '\0';
        ok = is_name(name);
    }
    if (ok) {
        snprintf(one.name, sizeof one.name, "%s", name);
        allowed->at = xrealloc(allowed->at, (size_t)(allowed->count + 1) * sizeof *allowed->at);
        allowed->at[allowed->count++] = one;
    }
    free(text);
    return ok;
}

bool allowed_read(AllowedKeys *allowed, const char *folder, Err *err)
{
    char *path = allowed_path(folder);
    size_t size;
    char *text = file_read(path, &size, err);
    bool ok = text != NULL;
    *allowed = (AllowedKeys){ 0 };
    int number = 1;
    for (const char *line = text; ok && *line; number++) {
        const size_t n = strcspn(line, "\n");
        if (n > 0 && *line != '#' && !read_line(allowed, line, n)) {
            ok = err_set(err, ERR_INPUT, "a line has a public key of %d hexadecimal digits, a blank and a name",
                         KEY_HEX - 1);
            err_at(err, "%s:%d", path, number);
        }
        line += n + (line[n] == '\n');
    }
    if (!ok)
        allowed_release(allowed);
    free(text);
    free(path);
    return ok;
}

void allowed_release(AllowedKeys *allowed)
{
    free(allowed->at);
    *allowed = (AllowedKeys){ 0 };
}

const char *allowed_name(const AllowedKeys *allowed, const uint8_t key[KEY_BYTES])
{
    for (int i = 0; i < allowed->count; i++)
        if (memcmp(allowed->at[i].key, key, KEY_BYTES) == 0)
            return allowed->at[i].name;
    return NULL;
}

static const AllowedKey *find_name(const AllowedKeys *allowed, const char *name)
{
    for (int i = 0; i < allowed->count; i++)
        if (strcmp(allowed->at[i].name, name) == 0)
            return &allowed->at[i];
    return NULL;
}

/* ---- changes ------------------------------------------------------------------------------- */

static bool write_allowed(const AllowedKeys *allowed, const char *folder, Err *err)
{
    char *path = allowed_path(folder);
    Text text = { 0 };
    text_adds(&text, "# public keys of the clients that may work, and their names\n");
    for (int i = 0; i < allowed->count; i++) {
        char hex[KEY_HEX];
        key_print(hex, allowed->at[i].key);
        text_addf(&text, "%s %s\n", hex, allowed->at[i].name);
    }
    const bool ok = file_write(path, text.data, text.size, err);
    text_release(&text);
    free(path);
    return ok;
}

/* With mode 0600. The mask is the process's: only commands make keys, and they have one thread. */
static bool write_secret(const char *path, const char *comment, const char *line, Err *err)
{
    char *text = xprintf("# %s: keep it secret\n%s\n", comment, line);
    const mode_t before = umask(077);
    const bool ok = file_write(path, text, strlen(text), err);
    umask(before);
    free(text);
    return ok;
}

static bool new_server(const char *folder, Err *err)
{
    WireKeys keys;
    char hex[KEY_HEX], *path = path_join(folder, server_file);
    bool ok = key_pair(keys.public_key, keys.secret_key, err);
    if (ok) {
        key_print(hex, keys.secret_key);
        ok = write_secret(path, "the secret key of a server of adapters", hex, err) &&
             write_allowed(&(AllowedKeys){ 0 }, folder, err);
    }
    free(path);
    return ok;
}

static bool add(AllowedKeys *allowed, const uint8_t key[KEY_BYTES], const char *name, const char *folder, Err *err)
{
    if (!is_name(name))
        return bad_name(name, err);
    const char *other = allowed_name(allowed, key);
    if (find_name(allowed, name) || other) {
        err_set(err, ERR_INPUT, "there is a client '%s' already", other ? other : name);
        return err_hint(err, "its key is in '%s'; another name makes another, `lora keys revoke '%s' %s` ends this one",
                        folder, folder, other ? other : name);
    }
    AllowedKey one = { 0 };
    memcpy(one.key, key, KEY_BYTES);
    snprintf(one.name, sizeof one.name, "%s", name);
    allowed->at = xrealloc(allowed->at, (size_t)(allowed->count + 1) * sizeof *allowed->at);
    allowed->at[allowed->count++] = one;
    return true;
}

static char *client_path(const char *folder, const char *name)
{
    char *file = xprintf("%s.key", name), *path = path_join(folder, file);
    free(file);
    return path;
}

/* The folder is only its owner's where we make it. */
static bool make_folder(const char *folder, Err *err)
{
    const mode_t before = umask(077);
    const bool ok = folder_make(folder, err);
    umask(before);
    return ok;
}

bool keys_new(const char *folder, const char *name, Err *err)
{
    char *server = path_join(folder, server_file), *path = NULL;
    WireKeys own, client;
    AllowedKeys allowed = { 0 };
    bool ok = is_name(name) || bad_name(name, err);
    if (ok && strcmp(name, "server") == 0)
        ok = err_set(err, ERR_INPUT, "no client can be called 'server': server.key is the server's");
    ok = ok && make_folder(folder, err) && (file_exists(server) || new_server(folder, err)) &&
         keys_read_server(&own, folder, err) && allowed_read(&allowed, folder, err) &&
         key_pair(client.public_key, client.secret_key, err) && add(&allowed, client.public_key, name, folder, err);
    if (ok) {
        char open[KEY_HEX], secret[KEY_HEX];
        key_print(open, own.public_key);
        key_print(secret, client.secret_key);
        char *line = xprintf("%s:%s", open, secret);
        path = client_path(folder, name);
        ok = write_secret(path, "the key of a client", line, err) && write_allowed(&allowed, folder, err);
        free(line);
    }
    allowed_release(&allowed);
    free(server);
    free(path);
    return ok;
}

bool keys_allow(const char *folder, const char *hex, const char *name, Err *err)
{
    AllowedKeys allowed = { 0 };
    uint8_t key[KEY_BYTES];
    bool ok = key_read(key, hex) ||
              err_set(err, ERR_INPUT, "'%.80s' is no public key of %d hexadecimal digits", hex, KEY_HEX - 1);
    ok = ok && allowed_read(&allowed, folder, err) && add(&allowed, key, name, folder, err) &&
         write_allowed(&allowed, folder, err);
    allowed_release(&allowed);
    return ok;
}

bool keys_revoke(const char *folder, const char *name, Err *err)
{
    AllowedKeys allowed = { 0 };
    if (!allowed_read(&allowed, folder, err))
        return false;
    const AllowedKey *found = find_name(&allowed, name);
    bool ok = found || (err_set(err, ERR_INPUT, "no client is called '%s'", name),
                        err_hint(err, "`lora keys show '%s'` lists them", folder));
    if (ok) {
        allowed.at[found - allowed.at] = allowed.at[--allowed.count];
        ok = write_allowed(&allowed, folder, err);
    }
    char *path = client_path(folder, name);
    if (ok && file_exists(path) && unlink(path) != 0)
        ok = err_errno(err, "cannot remove it") || err_at(err, "%s", path);
    free(path);
    allowed_release(&allowed);
    return ok;
}
