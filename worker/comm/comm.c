#include "worker/comm/comm.h"

#include "common/base/mem.h"

#include <mpi.h>

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { WINDOWS = 16 };

struct Comm {
    int rank, size, node_rank, node_size, nodes;
    MPI_Comm node;
    MPI_Win windows[WINDOWS];
    int window_count;
};

Comm *comm_open(int *argc, char ***argv, Err *err)
{
    int given = 0;
    if (MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &given) != MPI_SUCCESS || given < MPI_THREAD_FUNNELED) {
        err_set(err, ERR_IO, "MPI does not start with MPI_THREAD_FUNNELED");
        return NULL;
    }
    Comm *c = xcalloc(1, sizeof *c);
    MPI_Comm_rank(MPI_COMM_WORLD, &c->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &c->size);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, c->rank, MPI_INFO_NULL, &c->node);
    MPI_Comm_rank(c->node, &c->node_rank);
    MPI_Comm_size(c->node, &c->node_size);
    const int first = c->node_rank == 0;
    MPI_Allreduce(&first, &c->nodes, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    return c;
}

void comm_close(Comm *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->window_count; i++)
        MPI_Win_free(&c->windows[i]);
    MPI_Comm_free(&c->node);
    MPI_Finalize();
    free(c);
}

int comm_rank(const Comm *c)
{
    return c->rank;
}

int comm_size(const Comm *c)
{
    return c->size;
}

int comm_node_rank(const Comm *c)
{
    return c->node_rank;
}

int comm_node_size(const Comm *c)
{
    return c->node_size;
}

int comm_nodes(const Comm *c)
{
    return c->nodes;
}

/* Touching a page that /dev/shm has no room for is SIGBUS: ask before. */
static bool check_room(size_t size, Err *err)
{
    struct statvfs fs;
    if (statvfs("/dev/shm", &fs) != 0)
        return true;
    const double room = (double)fs.f_bavail * (double)fs.f_frsize;
    if ((double)size <= room)
        return true;
    err_set(err, ERR_MEMORY, "/dev/shm has room for %.1f MB, the ranks of this node share %.1f MB", room / 1e6,
            (double)size / 1e6);
    return err_hint(err, "mount -o remount,size=... /dev/shm (docker: --shm-size)");
}

void *comm_node_memory(Comm *c, size_t size, Err *err)
{
    REQUIRE(c->window_count < WINDOWS);
    int ok = c->node_rank != 0 || check_room(size, err), all = 0;
    MPI_Allreduce(&ok, &all, 1, MPI_INT, MPI_LAND, c->node);
    if (!all) {
        if (ok)
            err_set(err, ERR_MEMORY, "the first rank of this node found no room in /dev/shm");
        return NULL;
    }
    void *base = NULL;
    MPI_Aint bytes = c->node_rank == 0 ? (MPI_Aint)size : 0;
    int unit = 1;
    MPI_Win *window = &c->windows[c->window_count];
    if (MPI_Win_allocate_shared(bytes, 1, MPI_INFO_NULL, c->node, &base, window) != MPI_SUCCESS) {
        err_set(err, ERR_MEMORY, "no shared memory of %.1f MB", (double)size / 1e6);
        return NULL;
    }
    c->window_count++;
    MPI_Win_shared_query(*window, 0, &bytes, &unit, &base);
    if (c->node_rank == 0)
        memset(base, 0, size < 4096 ? size : 4096); /* the rest of a new window is zero pages */
    MPI_Barrier(c->node);
    return base;
}

void comm_node_barrier(Comm *c)
{
    MPI_Barrier(c->node);
}

bool comm_agree(Comm *c, bool ok)
{
    (void)c;
    int mine = ok, all = 0;
    MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD);
    return all != 0;
}

int comm_most(Comm *c, int number)
{
    (void)c;
    int most = number;
    MPI_Allreduce(&number, &most, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    return most;
}

char *comm_share_text(Comm *c, const char *text)
{
    long long size = c->rank == 0 && text ? (long long)strlen(text) : -1;
    MPI_Bcast(&size, 1, MPI_LONG_LONG, 0, MPI_COMM_WORLD);
    if (size < 0)
        return NULL;
    char *copy = xmalloc((size_t)size + 1);
    if (c->rank == 0)
        memcpy(copy, text, (size_t)size);
    copy[size] = '\0';
    REQUIRE(size < 1 << 30);
    MPI_Bcast(copy, (int)size, MPI_CHAR, 0, MPI_COMM_WORLD);
    return copy;
}

uint64_t comm_share_number(Comm *c, uint64_t number)
{
    (void)c;
    MPI_Bcast(&number, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
    return number;
}

_Noreturn void comm_abort(int code)
{
    MPI_Abort(MPI_COMM_WORLD, code);
    _exit(code);
}
