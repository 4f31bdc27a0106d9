#include "tests/ps/sim/net.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

void net_init(Net *net, uint64_t seed)
{
    *net = (Net){ .random = seed * 0x9e3779b97f4a7c15U + 0x1234567U };
}

static void release(Msg *msg)
{
    if (msg)
        msg_release(msg);
    free(msg);
}

void net_release(Net *net)
{
    for (int i = 0; i < net->count; i++)
        release(net->heap[i].msg);
    free(net->heap);
    *net = (Net){ 0 };
}

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t bits(Net *net)
{
    uint64_t x = net->random += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

uint32_t net_draw(Net *net, uint32_t n)
{
    return (uint32_t)((bits(net) >> 32) * n >> 32);
}

double net_real(Net *net, double most)
{
    return most * (double)(bits(net) >> 11) * 0x1p-53;
}

/* ---- a heap by time -------------------------------------------------------------------------- */

static bool is_before(const NetEvent *a, const NetEvent *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void swap(NetEvent *a, NetEvent *b)
{
    const NetEvent other = *a;
    *a = *b;
    *b = other;
}

static void add(Net *net, NetEvent event)
{
    if (net->count == net->room) {
        net->room = net->room ? 2 * net->room : 64;
        net->heap = xrealloc(net->heap, (size_t)net->room * sizeof *net->heap);
    }
    event.order = net->order++;
    int i = net->count++;
    net->heap[i] = event;
    for (; i > 0 && is_before(&net->heap[i], &net->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&net->heap[i], &net->heap[(i - 1) / 2]);
}

static NetEvent take(Net *net)
{
    const NetEvent first = net->heap[0];
    net->heap[0] = net->heap[--net->count];
    for (int i = 0, child = 1; child < net->count; i = child, child = 2 * i + 1) {
        if (child + 1 < net->count && is_before(&net->heap[child + 1], &net->heap[child]))
            child++;
        if (!is_before(&net->heap[child], &net->heap[i]))
            break;
        swap(&net->heap[i], &net->heap[child]);
    }
    return first;
}

void net_after(Net *net, double seconds, int kind, int node, int64_t number)
{
    add(net, (NetEvent){ .at = net->now + seconds, .kind = kind, .node = node, .number = number });
}

void net_again(Net *net, NetEvent *event, double at)
{
    NetEvent again = *event;
    again.at = at;
    event->msg = NULL;
    add(net, again);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static Msg *copy_of(const Msg *msg)
{
    Msg *copy = xmalloc(sizeof *copy);
    *copy = *msg;
    copy->text = msg->text ? xstrdup(msg->text) : NULL;
    copy->data = NULL;
    if (msg->data) {
        copy->data = xmalloc(msg->size);
        memcpy(copy->data, msg->data, msg->size);
    }
    return copy;
}

static double later(double a, double b)
{
    return a > b ? a : b;
}

/* When a message that is sent now is there. */
static double arrival(Net *net, int node, NetLine line, size_t size)
{
    double *busy = &net->busy_until[node][line], *last = &net->arrives_last[node][line];
    const double leaves = later(net->now, *busy);
    *busy = leaves + (net->weather.bytes_second > 0 ? (double)(size + 200) / net->weather.bytes_second : 0);
    double at = later(*busy, net->cut_until[node]) + net->weather.delay * (0.5 + net_real(net, 1));
    if (net->weather.wild)
        return at + (net_draw(net, 10) == 0 ? net_real(net, 3) : 0);
    at = later(at, *last);
    *last = at;
    return at;
}

void net_send(Net *net, int node, NetLine line, const Msg *msg)
{
    net->payload += (int64_t)msg->size;
    const int copies = !net->weather.wild ? 1 : net_draw(net, 20) == 0 ? 0 : net_draw(net, 20) == 0 ? 2 : 1;
    for (int i = 0; i < copies; i++)
        add(net, (NetEvent){ .at = arrival(net, node, line, msg->size),
                             .kind = NET_MESSAGE,
                             .node = node,
                             .line = line,
                             .connection = net->connection[node],
                             .msg = copy_of(msg) });
}

void net_break(Net *net, int node)
{
    net->connection[node]++;
    for (int line = 0; line < NET_LINES; line++)
        net->busy_until[node][line] = net->arrives_last[node][line] = 0;
}

bool net_next(Net *net, NetEvent *event)
{
    while (net->count > 0) {
        *event = take(net);
        if (event->kind != NET_MESSAGE || event->connection == net->connection[event->node]) {
            net->now = event->at;
            return true;
        }
        release(event->msg);
    }
    return false;
}
