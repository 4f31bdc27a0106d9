#include "tests/support/halves.h"

#include <stddef.h>

const Level *halves_level(int way)
{
    for (int i = 0; i < level_count; i++)
        if (levels[i].bf16 && levels[i].fits() && way-- == 0)
            return &levels[i];
    return NULL;
}

bool halves_use(int way)
{
    const Level *level = way < 0 ? NULL : halves_level(way);
    bf16_products = level ? level->bf16 : NULL;
    return way < 0 || level;
}
