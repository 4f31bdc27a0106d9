#include "launch/relay.h"

#include "common/base/clock.h"
#include "common/base/log.h"

#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { KEPT_BYTES = 8192 };

void relay_init(Relay *relay, int heard)
{
    *relay = (Relay){ .heard = heard };
    if (heard >= 0)
        fcntl(heard, F_SETFL, fcntl(heard, F_GETFL) | O_NONBLOCK);
}

void relay_release(Relay *relay)
{
    if (relay->heard >= 0)
        close(relay->heard);
    text_release(&relay->line);
    text_release(&relay->kept);
    *relay = (Relay){ .heard = -1 };
}

/* Its messages stand between lines of dashes; its other lines begin with "[host:pid]" or "mpirun:". */
static bool is_dashes(const char *line)
{
    return strlen(line) >= 20 && line[strspn(line, "-")] == '\0';
}

static bool is_tagged(const char *line)
{
    const char *colon = line[0] == '[' ? strpbrk(line, ":] ") : NULL;
    return colon && *colon == ':' && isdigit((unsigned char)colon[1]);
}

bool relay_take(Relay *relay, const char *line)
{
    const bool dashes = is_dashes(line);
    if (dashes)
        relay->message = !relay->message;
    if (!dashes && !relay->message && !is_tagged(line) && !text_starts(line, "mpirun:")) {
        relay->error = relay->error || text_starts(line, "error:") || text_starts(line, "lora_worker:");
        return true;
    }
    const bool known = *line && relay->kept.data && strstr(relay->kept.data, line);
    if (!dashes && !known && relay->kept.size + strlen(line) < KEPT_BYTES)
        text_addf(&relay->kept, "%s\n", line);
    return false;
}

static void add(Relay *relay, const char *bytes, size_t n)
{
    for (const char *at = bytes, *end = bytes + n; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        text_add(&relay->line, at, (size_t)((stop ? stop : end) - at));
        if (!stop)
            return;
        const char *line = relay->line.data ? relay->line.data : "";
        if (relay_take(relay, line))
            log_plain("%s", line);
        text_clear(&relay->line);
        at = stop + 1;
    }
}

void relay_pump(Relay *relay, double seconds)
{
    struct pollfd ready = { relay->heard, POLLIN, 0 };
    char bytes[4096];
    ssize_t n;
    if (relay->heard < 0) {
        clock_sleep(seconds);
        return;
    }
    poll(&ready, 1, (int)(seconds * 1000));
    while ((n = read(relay->heard, bytes, sizeof bytes)) > 0)
        add(relay, bytes, (size_t)n);
    if (n != 0)
        return;
    if (relay->line.size > 0)
        add(relay, "\n", 1);
    close(relay->heard);
    relay->heard = -1;
}
