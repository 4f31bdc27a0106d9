/* address - "tcp://HOST:PORT", as every program reads it: the check of the run file, the server, the
 * workers, `lora status`.
 *
 * HOST is a name, four numbers, the name of a network card, `*`, or an IPv6 address in brackets
 * ("[::1]", "[fe80::1%eth0]"). PORT is the server's data port; its control port is the next, so PORT
 * ends at 65534. `*` or 0: any free pair, for a server.
 *
 * Owner: whoever read it. Threads: any. */
#ifndef COMMON_BASE_ADDRESS_H
#define COMMON_BASE_ADDRESS_H

#include "common/base/err.h"

typedef struct Address {
    char *host; /* as it was written, brackets included; owned */
    int port; /* 0: any */
    bool ipv6; /* in brackets */
    bool loopback; /* only this machine reaches it: localhost, 127.0.0.0/8, ::1 */
} Address;

/* False with *err: what is wrong with the text, and how an address is written. */
MUST_USE bool address_read(Address *address, const char *text, Err *err);
void address_release(Address *address);

/* To be reached by IPv6: it is such a number, or a name that has no other. Asks the resolver. With ZMQ_IPV6 a name that has
 * both means the newer, where the server may not listen. */
bool address_needs_ipv6(const Address *address);

#endif
