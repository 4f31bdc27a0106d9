#include "worker/train/shared_base.h"

#include "common/base/digest.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HEAD = 4096 }; /* bytes before the weights */

/* What the file begins with. */
typedef struct Label {
    uint64_t name, bytes, ready;
} Label;

typedef enum { NO_PLACE, THERE, TO_LOAD } BaseFinding;

/* Of the numbers and of where each lies. */
static uint64_t name_of(const Opened *base, uint64_t files)
{
    const Weights *w = &base->weights;
    uint64_t name = adapted_digest_with(&base->adapted, files);
    const int64_t stage[] = { base->stage.first, base->stage.end, w->bytes };
    name = digest_fast_more(name, stage, sizeof stage);
    for (int i = 0; i < w->arch->module_count; i++) {
        const WeightSpan *s = &w->modules[i];
        const int64_t span[] = { (int64_t)s->kind, s->weight, s->bias, s->scales, s->codes };
        name = digest_fast_more(name, span, sizeof span);
    }
    return name;
}

/* First rank: what lies there; on TO_LOAD it is this job's to fill, and the lock stays. */
static BaseFinding look(int fd, const Label *mine)
{
    Label there = { 0 };
    if (flock(fd, LOCK_EX) != 0)
        return NO_PLACE;
    const bool any = pread(fd, &there, sizeof there, 0) == sizeof there && there.ready;
    if (!any && ftruncate(fd, (off_t)(HEAD + mine->bytes)) == 0 && pwrite(fd, mine, sizeof *mine, 0) == sizeof *mine)
        return TO_LOAD;
    flock(fd, LOCK_UN);
    return any && there.name == mine->name && there.bytes == mine->bytes ? THERE : NO_PLACE;
}

static bool fill(const SharedBase *shared, Opened *base, int fd, Label *mine, const Group *team, Err *err)
{
    const bool ok = group_agree(team, opened_load(base, (char *)shared->map + HEAD, team->rank, team->size, err));
    mine->ready = ok;
    if (team->rank == 0 && pwrite(fd, mine, sizeof *mine, 0) != sizeof *mine)
        log_warn("base", "the place of a shared base cannot be labelled");
    if (team->rank == 0)
        flock(fd, LOCK_UN);
    return ok;
}

/* The file is open on every rank, and large enough. */
static bool take(SharedBase *shared, Opened *base, int fd, Label *mine, bool loads, const Group *team, Err *err)
{
    void *map = mmap(NULL, HEAD + mine->bytes, PROT_READ | (loads ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
    const bool mapped = group_agree(team, map != MAP_FAILED);
    if (map != MAP_FAILED)
        *shared = (SharedBase){ map, HEAD + mine->bytes };
    if (!mapped) {
        shared_base_close(shared);
        return true;
    }
    base->weights.data = (char *)map + HEAD;
    if (!loads)
        return true;
    const bool ok = fill(shared, base, fd, mine, team, err);
    mprotect(map, shared->size, PROT_READ);
    return ok;
}

bool shared_base_open(SharedBase *shared, Opened *base, bool own, const Group *team, Err *err)
{
    const char *path = getenv("LORA_SHARED_BASE");
    const bool wanted = path && *path && !own && base->weights.bytes > 0;
    *shared = (SharedBase){ 0 };
    if (!group_agree(team, wanted))
        return true;
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    bool ok = true;
    if (group_agree(team, fd >= 0)) {
        const uint64_t files = group_sum(team, opened_digest(base, team->rank, team->size));
        Label mine = { name_of(base, files), (uint64_t)base->weights.bytes, 0 };
        const BaseFinding found = (BaseFinding)group_share_number(team, team->rank == 0 ? look(fd, &mine) : 0);
        ok = found == NO_PLACE || take(shared, base, fd, &mine, found == TO_LOAD, team, err);
        if (shared->map)
            log_info("base", found == TO_LOAD ? "%.1f MB, loaded for all trials" : "%.1f MB, of another trial",
                     (double)mine.bytes / 1e6);
    }
    if (fd >= 0)
        close(fd); /* and the lock, where this rank held it */
    return ok;
}

void shared_base_close(SharedBase *shared)
{
    if (shared->map)
        munmap(shared->map, shared->size);
    *shared = (SharedBase){ 0 };
}
