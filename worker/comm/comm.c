#include "worker/comm/comm.h"

#include "common/base/mem.h"
#include "worker/comm/courier.h"
#include "worker/comm/split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

/* What a Group's `self` is: a communicator, and the memory that its ranks have shared. */
typedef struct Circle {
    struct Circle *next;
    Comm *comm;
    MPI_Comm handle;
    int rank, size;
    bool near; /* on one node */
    MPI_Win *windows; /* [window_count] */
    int window_count;
} Circle;

struct Comm {
    Circle *circles; /* the newest first: each is made, and freed, on all of its ranks in one order */
    Circle *job, *node;
    Courier *courier; /* NULL: no message was sent yet */
};

/* ---- circles ------------------------------------------------------------------------------- */

static Circle *circle_new(Comm *c, MPI_Comm handle, bool near)
{
    Circle *circle = xcalloc(1, sizeof *circle);
    *circle = (Circle){ .next = c->circles, .comm = c, .handle = handle, .near = near };
    MPI_Comm_rank(handle, &circle->rank);
    MPI_Comm_size(handle, &circle->size);
    c->circles = circle;
    return circle;
}

static void circle_free(Circle *circle)
{
    for (int i = circle->window_count; i-- > 0;)
        MPI_Win_free(&circle->windows[i]);
    if (circle->handle != MPI_COMM_WORLD)
        MPI_Comm_free(&circle->handle);
    free(circle->windows);
    free(circle);
}

/* ---- what a circle's ranks do together ------------------------------------------------------- */

static void barrier(void *self)
{
    MPI_Barrier(((Circle *)self)->handle);
}

static int most(void *self, int number)
{
    int all = number;
    MPI_Allreduce(&number, &all, 1, MPI_INT, MPI_MAX, ((Circle *)self)->handle);
    return all;
}

static uint64_t sum(void *self, uint64_t number)
{
    uint64_t all = number;
    MPI_Allreduce(&number, &all, 1, MPI_UINT64_T, MPI_SUM, ((Circle *)self)->handle);
    return all;
}

static void share(void *self, void *bytes, size_t size)
{
    REQUIRE(size < 1 << 30);
    MPI_Bcast(bytes, (int)size, MPI_CHAR, 0, ((Circle *)self)->handle);
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

static void *memory(void *self, size_t size, Err *err)
{
    Circle *circle = self, *node = circle->comm->node;
    REQUIRE(circle->near);
    const uint64_t all = sum(node, circle->rank == 0 ? size : 0); /* several groups may take memory of one node */
    const bool ok = node->rank != 0 || check_room(all, err);
    if (most(node, !ok) != 0) {
        if (ok)
            err_set(err, ERR_MEMORY, "the first rank of this node found no room in /dev/shm");
        return NULL;
    }
    void *base = NULL;
    MPI_Aint bytes = circle->rank == 0 ? (MPI_Aint)size : 0;
    int unit = 1;
    MPI_Win window;
    if (MPI_Win_allocate_shared(bytes, 1, MPI_INFO_NULL, circle->handle, &base, &window) != MPI_SUCCESS) {
        err_set(err, ERR_MEMORY, "no shared memory of %.1f MB", (double)size / 1e6);
        return NULL;
    }
    circle->windows = xrealloc(circle->windows, (size_t)(circle->window_count + 1) * sizeof window);
    circle->windows[circle->window_count++] = window;
    MPI_Win_shared_query(window, 0, &bytes, &unit, &base);
    if (circle->rank == 0)
        memset(base, 0, size < 4096 ? size : 4096); /* the rest of a new window is zero pages */
    barrier(circle);
    return base;
}

static void *split(void *self, int colour, int *rank, int *size)
{
    const Circle *of = self;
    MPI_Comm handle;
    MPI_Comm_split(of->handle, colour, of->rank, &handle);
    Circle *part = circle_new(of->comm, handle, of->near);
    *rank = part->rank;
    *size = part->size;
    return part;
}

static int post(void *self, const Parcel *parcel)
{
    const Circle *circle = self;
    Comm *c = circle->comm;
    Err err = { 0 };
    if (!c->courier && !(c->courier = courier_open(&err))) {
        err_print(&err, stderr);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    return courier_post(c->courier, circle->handle, parcel);
}

static void wait_for(void *self, int ticket)
{
    courier_wait(((Circle *)self)->comm->courier, ticket);
}

static const Exchange exchange = { barrier, most, sum, share, memory, split, post, wait_for };

static Group group_of(Circle *circle)
{
    return (Group){ circle->rank, circle->size, &exchange, circle };
}

/* ---- the job ----------------------------------------------------------------------------------- */

Comm *comm_open(int *argc, char ***argv, Err *err)
{
    int given = 0;
    if (MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &given) != MPI_SUCCESS || given < MPI_THREAD_SERIALIZED) {
        err_set(err, ERR_IO, "MPI does not start with MPI_THREAD_SERIALIZED");
        return NULL;
    }
    Comm *c = xcalloc(1, sizeof *c);
    MPI_Comm node;
    c->job = circle_new(c, MPI_COMM_WORLD, false);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, c->job->rank, MPI_INFO_NULL, &node);
    c->node = circle_new(c, node, true);
    return c;
}

void comm_close(Comm *c)
{
    if (!c)
        return;
    courier_close(c->courier);
    for (Circle *circle = c->circles, *next; circle; circle = next) {
        next = circle->next;
        circle_free(circle);
    }
    MPI_Finalize();
    free(c);
}

/* Ranks of a node: 0 where nodes differ, or their ranks are not one behind the other. */
static int ranks_per_node(const Comm *c)
{
    const int size = c->node->size, most_ranks = most(c->job, size), least_ranks = -most(c->job, -size);
    const bool in_order = c->job->rank % size == c->node->rank;
    return most(c->job, !in_order) == 0 && most_ranks == least_ranks ? size : 0;
}

bool comm_groups(Groups *groups, Comm *c, int pipeline, int tensor, Err *err)
{
    const int first = c->node->rank == 0;
    int nodes = 0;
    MPI_Allreduce(&first, &nodes, 1, MPI_INT, MPI_SUM, c->job->handle);
    *groups =
        (Groups){ .job = group_of(c->job), .node = group_of(c->node), .nodes = nodes, .per_node = ranks_per_node(c) };
    return groups_split(groups, pipeline, tensor, err);
}
