#include "common/wire/facts.h"

#include "common/base/digest.h"
#include "common/base/mem.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* A fact is 64 bits: a digest, or a count. */
typedef struct Fact {
    const char *differs;
    size_t offset;
    bool digest;
    size_t rows; /* of which it is; 0: of none */
} Fact;

#define AT(f) offsetof(HelloFacts, f)
static const Fact alike[] = {
    { "other arithmetic", AT(fingerprint), true, 0 },
    { "another base model", AT(base_digest), true, 0 },
    { "another set of trainable tensors", AT(slot_hash), true, 0 },
    { "other training data", AT(data_digest), true, AT(examples) },
    { "other validation data", AT(eval_digest), true, AT(eval_examples) },
    { "another number of trainable floats", AT(slot_size), false, 0 },
    { "another number of training examples", AT(examples), false, 0 },
    { "another longest training example", AT(longest), false, 0 },
    { "another number of validation examples", AT(eval_examples), false, 0 },
    { "another number of pieces of the validation data", AT(eval_chunks), false, 0 },
    { "another size of a piece's metrics", AT(eval_width), false, 0 },
};
enum { ALIKE = sizeof alike / sizeof *alike };

static uint64_t value(const HelloFacts *facts, const Fact *fact)
{
    return *(const uint64_t *)(const void *)((const char *)facts + fact->offset);
}

uint64_t facts_plan(const HelloFacts *facts, uint64_t configuration, int64_t micro_batches)
{
    uint64_t all[ALIKE + 2] = { configuration, (uint64_t)micro_batches };
    for (int i = 0; i < ALIKE; i++)
        all[2 + i] = value(facts, &alike[i]);
    const uint64_t plan = digest_fast(all, sizeof all);
    return plan ? plan : 1;
}

static char *describe(const HelloFacts *facts, const Fact *fact)
{
    const unsigned long long bits = value(facts, fact);
    const char *host = facts->host[0] ? facts->host : "a host without a name";
    if (fact->offset == AT(fingerprint))
        return xprintf("%s with fingerprint %016llx on %s", facts->arithmetic, bits, host);
    if (fact->rows)
        return xprintf("XXH3 %016llx of %lld examples on %s", bits,
                       (long long)*(const int64_t *)(const void *)((const char *)facts + fact->rows), host);
    return fact->digest ? xprintf("XXH3 %016llx on %s", bits, host) : xprintf("%llu on %s", bits, host);
}

bool facts_of_level(const char *name, const char *level)
{
    const size_t length = strlen(level);
    return strncmp(name, level, length) == 0 && name[length] == '/';
}

char *facts_differ(const HelloFacts *worker, const HelloFacts *run)
{
    for (int i = 0; i < ALIKE; i++) {
        if (value(worker, &alike[i]) == value(run, &alike[i]))
            continue;
        char *theirs = describe(worker, &alike[i]), *ours = describe(run, &alike[i]);
        char *answer = xprintf("%s: %s, but %s, which began the run", alike[i].differs, theirs, ours);
        free(theirs);
        free(ours);
        return answer;
    }
    return NULL;
}
