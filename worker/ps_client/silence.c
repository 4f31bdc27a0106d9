#include "worker/ps_client/silence.h"

#include "common/base/log.h"

void silence_note_time(Silence *silence, double now)
{
    const double slept = now - silence->before;
    if (slept > 2 * silence->heartbeat + 1)
        silence->heard += slept;
    silence->before = now;
}

/* After 2 s, 4, 8 ... and then once a minute; and when it is over. */
static void tell(Silence *silence, double seconds)
{
    const double first = 2 * silence->heartbeat < 2 ? 2 * silence->heartbeat : 2, most = 60;
    if (seconds < silence->heartbeat) {
        if (silence->told > 0)
            log_warn("ps_client", "%s answers again after %.0f s", silence->address, silence->told);
        silence->told = 0;
        return;
    }
    const double told = silence->told, next = told == 0 ? first : told < most ? 2 * told : told + most;
    if (seconds < next)
        return;
    silence->told = seconds;
    log_warn("ps_client", "waiting for %s (%.0f s of %.0f)", silence->address, seconds, silence->patience);
}

bool silence_is_too_long(Silence *silence, double now, Err *err)
{
    const double seconds = now - silence->heard;
    tell(silence, seconds);
    if (seconds <= silence->patience)
        return false;
    err_set(err, ERR_PEER, "the parameter server at %s is silent for %.0f s (ps.patience)", silence->address, seconds);
    return !err_hint(err, "is lora_ps still running, and its port and the next one reachable from here?");
}
