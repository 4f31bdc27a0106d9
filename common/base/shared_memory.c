#include "common/base/shared_memory.h"

#include "common/base/rng.h"
#include "common/base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD = 4096 }; /* bytes before the data: the key */
enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static bool map(SharedMemory *memory, int fd, bool writes)
{
    char *head = mmap(NULL, HEAD + memory->size, PROT_READ | (writes ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
    if (head == MAP_FAILED)
        return false;
    memory->data = head + HEAD;
    return true;
}

static uint64_t *key_of(const SharedMemory *memory)
{
    return (uint64_t *)(void *)((char *)memory->data - HEAD);
}

bool shared_memory_create(SharedMemory *memory, size_t size, Err *err)
{
    const int fd = memfd_create("lora", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    *memory = (SharedMemory){ .size = size, .key = rng_entropy() | 1, .fd = fd };
    if (fd >= 0 && ftruncate(fd, (off_t)(HEAD + size)) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0 &&
        map(memory, fd, true)) {
        *key_of(memory) = memory->key;
        return true;
    }
    err_errno(err, "no %.1f MB of memory to share", (double)size / 1e6);
    if (fd >= 0)
        close(fd);
    *memory = (SharedMemory){ 0 };
    return false;
}

void shared_memory_name(const SharedMemory *memory, char name[SHARED_NAME])
{
    snprintf(name, SHARED_NAME, "/proc/%d/fd/%d", (int)getpid(), memory->fd);
}

/* `lead`, and then a number: its end. NULL: it is not. */
static const char *behind(const char *text, const char *lead)
{
    const char *number = text && text_starts(text, lead) ? text + strlen(lead) : NULL;
    const size_t digits = number ? strspn(number, "0123456789") : 0;
    return digits > 0 ? number + digits : NULL;
}

/* Whatever else a descriptor may be is not opened: that alone could wait, or set something off. */
static bool names_memory(const char *name)
{
    char target[64] = "";
    const char *end = behind(behind(name, "/proc/"), "/fd/");
    return end && *end == '\0' && readlink(name, target, sizeof target - 1) > 0 && text_starts(target, "/memfd:lora");
}

bool shared_memory_open(SharedMemory *memory, const char *name, uint64_t key, size_t size, bool writes)
{
    struct stat is;
    *memory = (SharedMemory){ .size = size, .key = key, .fd = -1 };
    const int fd = names_memory(name) ? open(name, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK) : -1;
    bool ok = fd >= 0 && fcntl(fd, F_GET_SEALS) == SEALS && fstat(fd, &is) == 0 && is.st_size == (off_t)(HEAD + size) &&
              map(memory, fd, writes);
    if (fd >= 0)
        close(fd);
    if (ok && (key == 0 || *key_of(memory) != key)) {
        shared_memory_close(memory);
        ok = false;
    }
    if (!ok)
        *memory = (SharedMemory){ 0 };
    return ok;
}

void shared_memory_close(SharedMemory *memory)
{
    if (memory->data)
        munmap((char *)memory->data - HEAD, HEAD + memory->size);
    if (memory->data && memory->fd >= 0)
        close(memory->fd);
    *memory = (SharedMemory){ 0 };
}
