#include "common/http/cors.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

const char *cors_answer(const char *const *origins, const char *origin)
{
    for (int i = 0; origins && origin && origins[i]; i++)
        if (strcmp(origins[i], "*") == 0 || strcasecmp(origins[i], origin) == 0)
            return origins[i];
    return NULL;
}

bool cors_is_origin(const char *text)
{
    const char *host = strstr(text, "://");
    return strcmp(text, "*") == 0 ||
           (host && host > text && host[3] && strcspn(host + 3, "/ ,*?#\t\r\n") == strlen(host + 3));
}
