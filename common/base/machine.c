#include "common/base/machine.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The text of a file of the kernel's, which has no size before it is read; NULL: not there. Owned. */
static char *look(const char *root, const char *folder, const char *group, const char *name)
{
    char *path = xprintf("%s%s%s/%s", root, folder, group, name), bytes[4096];
    FILE *file = fopen(path, "r");
    Text text = { 0 };
    free(path);
    if (!file)
        return NULL;
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, file)) > 0;)
        text_add(&text, bytes, n);
    fclose(file);
    return text_take(&text);
}

/* ---- control groups --------------------------------------------------------------------------- */

/* What one group of the way to the root allows; 0: no limit. */
typedef double (*GroupLimit)(const char *root, const char *folder, const char *group);

static double least(double a, double b)
{
    return a <= 0 || (b > 0 && b < a) ? b : a;
}

/* The strictest of a group and of those above it. */
static double group_limit(const char *root, const char *folder, const char *group, GroupLimit limit)
{
    char *path = xstrdup(strcmp(group, "/") == 0 ? "" : group);
    double strictest = limit(root, folder, path);
    for (char *slash; (slash = strrchr(path, '/'));) {
        *slash = '\0';
        strictest = least(strictest, limit(root, folder, path));
    }
    free(path);
    return strictest;
}

static double number_of(const char *root, const char *folder, const char *group, const char *name)
{
    char *text = look(root, folder, group, name);
    const double number = text ? strtod(text, NULL) : 0; /* "max" is 0 */
    free(text);
    return number > 0 && number < 0x1p60 ? number : 0; /* version 1 has no word for no limit, but 2^63 */
}

static double memory_v1(const char *root, const char *folder, const char *group)
{
    return number_of(root, folder, group, "memory.limit_in_bytes");
}

static double memory_v2(const char *root, const char *folder, const char *group)
{
    return number_of(root, folder, group, "memory.max");
}

static double cores_v1(const char *root, const char *folder, const char *group)
{
    const double period = number_of(root, folder, group, "cpu.cfs_period_us");
    return period > 0 ? number_of(root, folder, group, "cpu.cfs_quota_us") / period : 0;
}

static double cores_v2(const char *root, const char *folder, const char *group)
{
    char *text = look(root, folder, group, "cpu.max"), *rest = text;
    const double quota = text ? strtod(text, &rest) : 0, period = text ? strtod(rest, NULL) : 0;
    free(text);
    return quota > 0 && period > 0 ? quota / period : 0;
}

/* "4:memory:/docker/1234": one of version 1's hierarchies; "0::/user.slice": version 2's. */
static void read_group(Machine *m, const char *root, char *line)
{
    char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
    if (!group)
        return;
    *names++ = *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    double memory = 0, cores = 0;
    if (*names == '\0') {
        memory = group_limit(root, "/sys/fs/cgroup", group, memory_v2);
        cores = group_limit(root, "/sys/fs/cgroup", group, cores_v2);
    }
    for (char *rest = names, *name; (name = strsep(&rest, ","));) {
        if (strcmp(name, "memory") == 0)
            memory = group_limit(root, "/sys/fs/cgroup/memory", group, memory_v1);
        else if (strcmp(name, "cpu") == 0)
            cores = group_limit(root, "/sys/fs/cgroup/cpu", group, cores_v1);
    }
    m->limit = (int64_t)least((double)m->limit, memory);
    m->quota = least(m->quota, cores);
}

static void read_groups(Machine *m, const char *root)
{
    char *text = look(root, "/proc/self", "", "cgroup");
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
        read_group(m, root, line);
    free(text);
}

/* ---- the machine ------------------------------------------------------------------------------ */

static int64_t kilobytes(const char *text, const char *name)
{
    const char *at = text ? strstr(text, name) : NULL;
    return at ? strtoll(at + strlen(name), NULL, 10) * 1024 : 0;
}

Machine machine_look(const char *root)
{
    Machine m = { .cores = sysconf(_SC_NPROCESSORS_ONLN) };
    cpu_set_t set;
    m.allowed = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : m.cores;
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        m.process = (int64_t)limit.rlim_cur;
    char *text = look(root, "/proc", "", "meminfo");
    m.memory = kilobytes(text, "MemTotal:");
    m.available = kilobytes(text, "MemAvailable:");
    free(text);
    read_groups(&m, root);
    return m;
}

int64_t machine_room(const Machine *m)
{
    return (int64_t)least((double)m->available, (double)m->limit);
}

int64_t machine_files(int64_t want)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return want;
    const rlim_t allowed = limit.rlim_max < (rlim_t)want ? limit.rlim_max : (rlim_t)want;
    if (limit.rlim_cur < allowed) {
        const struct rlimit more = { allowed, limit.rlim_max };
        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            limit = more;
    }
    return limit.rlim_cur < (rlim_t)want ? (int64_t)limit.rlim_cur : want;
}

void machine_host(char *name, size_t size)
{
    if (gethostname(name, size - 1) != 0)
        name[0] = '\0';
    name[size - 1] = '\0';
    for (char *at = name; *at; at++)
        if (*at <= ' ' || *at > '~')
            *at = '?';
}
