/* page - what the server shows at /: the adapters that are loaded, and a field to try one. It asks the server's own
 * routes and nobody else: no script, font or picture comes from elsewhere.
 *
 * Threads: any. */
#ifndef LAUNCH_SERVE_PAGE_H
#define LAUNCH_SERVE_PAGE_H

#define PAGE_HEADERS                                                                                                   \
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "             \
    "connect-src 'self'\nCache-Control: no-cache\n"

extern const char page_html[];

#endif
