#include "common/optim/plateau.h"

#include <math.h>

static bool is_better(const Schedule *s, double figure, double best)
{
    const double sign = s->mode == PLATEAU_MIN ? -1.0 : 1.0;
    const double line =
        s->threshold_mode == PLATEAU_REL ? best * (1.0 + sign * s->threshold) : best + sign * s->threshold;
    return s->mode == PLATEAU_MIN ? figure < line : figure > line;
}

void plateau_evaluated(Plateau *p, const Schedule *s, double figure)
{
    const double worst = s->mode == PLATEAU_MIN ? INFINITY : -INFINITY;
    if (is_better(s, figure, p->seen ? p->best : worst)) { /* no figure is, by a threshold that is the whole */
        p->seen = true;
        p->best = figure;
        p->bad = 0;
    } else {
        p->bad++;
    }
    if (p->cooldown > 0) {
        p->cooldown--;
        p->bad = 0;
    }
    if ((double)p->bad > s->patience) {
        p->reduced++;
        p->cooldown = (int64_t)s->cooldown;
        p->bad = 0;
    }
}

double plateau_rate(const Schedule *s, double rate, int64_t reduced)
{
    for (int64_t i = 0; i < reduced; i++) {
        const double less = fmax(rate * s->factor, s->min_lr);
        if (!(rate - less > s->eps))
            break; /* nor would it be later */
        rate = less;
    }
    return rate;
}
