/* cors - which pages of other sites may ask: their origins, "*" for all.
 *
 * Pure. Threads: any. */
#ifndef COMMON_HTTP_CORS_H
#define COMMON_HTTP_CORS_H

#include <stdbool.h>

/* Of an answer to OPTIONS: what a page may send. */
#define CORS_PREFLIGHT                                                                                                 \
    "Access-Control-Allow-Methods: GET, POST, OPTIONS\n"                                                               \
    "Access-Control-Allow-Headers: Authorization, Content-Type, X-Requested-With, X-Stainless-Lang, "                  \
    "X-Stainless-Package-Version, X-Stainless-OS, X-Stainless-Arch, X-Stainless-Runtime, "                             \
    "X-Stainless-Runtime-Version, X-Stainless-Retry-Count, X-Stainless-Timeout\n"                                      \
    "Access-Control-Max-Age: 600\n"

/* What Access-Control-Allow-Origin says to a page of `origin`; NULL: nothing. origins: NULL-terminated, or NULL. */
const char *cors_answer(const char *const *origins, const char *origin);

/* An origin is "*", or "scheme://host[:port]" without a path. */
bool cors_is_origin(const char *text);

#endif
