#include "common/base/address.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_PORT = 65534, MOST_HOST = 255 };

static const char scheme[] = "tcp://";

/* Decimal digits alone, or `*`. -1: not a port; above MOST_PORT: out of range. */
static int read_port(const char *text)
{
    if (strcmp(text, "*") == 0)
        return 0;
    const size_t n = strspn(text, "0123456789");
    if (n == 0 || text[n] != '\0')
        return -1;
    return n <= 5 ? (int)strtol(text, NULL, 10) : MOST_PORT + 1;
}

/* "[fe80::1%eth0]": the address without its brackets and its card, checked. */
static bool read_ipv6(Address *a)
{
    struct in6_addr number;
    char inside[MOST_HOST + 1];
    snprintf(inside, sizeof inside, "%s", a->host + 1);
    inside[strcspn(inside, "]%")] = '\0';
    if (inet_pton(AF_INET6, inside, &number) != 1)
        return false;
    const bool mapped = IN6_IS_ADDR_V4MAPPED(&number) && number.s6_addr[12] == 127;
    a->ipv6 = true;
    a->loopback = IN6_IS_ADDR_LOOPBACK(&number) || mapped;
    return true;
}

/* Digits and dots are four numbers, or nothing: "127.1" means something else to each reader. */
static bool read_ipv4(Address *a)
{
    struct in_addr number;
    if (inet_pton(AF_INET, a->host, &number) != 1)
        return false;
    a->loopback = ntohl(number.s_addr) >> 24 == 127;
    return true;
}

static bool has_only(const char *text, const char *more)
{
    for (; *text != '\0'; text++)
        if (!isalnum((unsigned char)*text) && !strchr(more, *text))
            return false;
    return true;
}

static bool read_host(Address *a)
{
    const size_t n = strlen(a->host);
    if (n == 0 || n > MOST_HOST)
        return false;
    if (a->host[0] == '[')
        return strchr(a->host, ']') == a->host + n - 1 && has_only(a->host + 1, ":.%_-]") && read_ipv6(a);
    if (strspn(a->host, "0123456789.") == n)
        return read_ipv4(a);
    a->loopback = strcasecmp(a->host, "localhost") == 0;
    return strcmp(a->host, "*") == 0 || has_only(a->host, "._-");
}

static bool no_address(const char *text, Err *err)
{
    err_set(err, ERR_INPUT, "'%.200s' is not an address", text);
    return err_hint(err, "tcp://HOST:PORT, as tcp://127.0.0.1:7700 or tcp://[::1]:7700");
}

bool address_read(Address *a, const char *text, Err *err)
{
    *a = (Address){ 0 };
    const char *host = text_starts(text, scheme) ? text + strlen(scheme) : NULL;
    const char *colon = host ? strrchr(host, ':') : NULL;
    if (!colon || (a->port = read_port(colon + 1)) < 0)
        return no_address(text, err);
    a->host = xstrndup(host, (size_t)(colon - host));
    if (!read_host(a)) {
        address_release(a);
        return no_address(text, err);
    }
    if (a->port <= MOST_PORT)
        return true;
    address_release(a);
    err_set(err, ERR_INPUT, "the port of '%.200s' is out of range", text);
    return err_hint(err, "ports go from 1 to %d: a server takes PORT and the one behind it", MOST_PORT);
}

void address_release(Address *a)
{
    free(a->host);
    *a = (Address){ 0 };
}

static bool resolves(const char *name, int family)
{
    const struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    const bool is = getaddrinfo(name, NULL, &hints, &found) == 0;
    if (is)
        freeaddrinfo(found);
    return is;
}

bool address_needs_ipv6(const Address *address)
{
    return address->ipv6 || (!resolves(address->host, AF_INET) && resolves(address->host, AF_INET6));
}
