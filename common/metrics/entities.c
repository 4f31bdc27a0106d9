#include "common/metrics/entities.h"

#include <stdbool.h>
#include <string.h>

typedef struct Tag {
    char letter; /* 0: none of ASCII */
    const char *type;
} Tag;

/* The walk over one tag sequence. */
typedef struct TagWalk {
    Tag before;
    int64_t begin; /* of the entity that is open, or was last */
} TagWalk;

/* Only entities that end at the same tag can be the same. */
typedef struct Entity {
    bool ends;
    const char *type;
    int64_t begin;
} Entity;

static Tag tag_of(const char *name)
{
    const bool ascii = (unsigned char)name[0] < 0x80;
    const char *rest = name[0] ? name + 1 : name;
    while (((unsigned char)*rest & 0xC0) == 0x80)
        rest++;
    const char *dash = strchr(rest, '-');
    const char *type = dash ? dash + 1 : rest;
    return (Tag){ ascii ? name[0] : '\0', *type ? type : "_" };
}

static bool one_of(char letter, const char *letters)
{
    return letter && strchr(letters, letter) != NULL;
}

static bool ends(Tag a, Tag b)
{
    return one_of(a.letter, "ES") || (one_of(a.letter, "BI") && one_of(b.letter, "BSO")) ||
           (!one_of(a.letter, "O.") && strcmp(a.type, b.type) != 0);
}

static bool begins(Tag a, Tag b)
{
    return one_of(b.letter, "BS") || (one_of(a.letter, "ESO") && one_of(b.letter, "EI")) ||
           (!one_of(b.letter, "O.") && strcmp(a.type, b.type) != 0);
}

/* The entity that ends before tag `i`, if one does. */
static Entity step(TagWalk *walk, Tag tag, int64_t i)
{
    const Entity entity = { ends(walk->before, tag), walk->before.type, walk->begin };
    if (begins(walk->before, tag))
        walk->begin = i;
    walk->before = tag;
    return entity;
}

EntityCounts entities_count(const char *const *names, const int32_t *goal, const int32_t *guess, int64_t n)
{
    EntityCounts counts = { 0, 0, 0 };
    const Tag outside = { 'O', "_" };
    TagWalk wanted = { { 'O', "" }, 0 }, guessed = wanted;
    for (int64_t i = 0; i <= n; i++) {
        const Entity a = step(&wanted, i < n ? tag_of(names[goal[i]]) : outside, i);
        const Entity b = step(&guessed, i < n ? tag_of(names[guess[i]]) : outside, i);
        counts.wanted += a.ends;
        counts.guessed += b.ends;
        counts.both += a.ends && b.ends && a.begin == b.begin && strcmp(a.type, b.type) == 0;
    }
    return counts;
}
