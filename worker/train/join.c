#include "worker/train/join.h"

#include "common/slots/tree.h"

void join_add(JoinPiece *left, const JoinPiece *right, int64_t size, WireDtype dtype)
{
    sums_add(dtype, left->grad, right->grad, size);
    left->sum.range.end = right->sum.range.end;
    left->sum.loss += right->sum.loss;
    left->sum.weight += right->sum.weight;
    left->sum.tokens += right->sum.tokens;
}

/* `b` stands right of `a`, and the two are all of their parent. */
static bool are_siblings(Range a, Range b, int64_t M)
{
    int64_t parent, parent_end, sibling, sibling_end;
    bool left;
    return tree_parent(a.begin, a.end, M, &parent, &parent_end, &sibling, &sibling_end, &left) && left &&
           sibling == b.begin && sibling_end == b.end;
}

int join_siblings(JoinPiece *pieces, int count, int64_t M, int64_t size, WireDtype dtype)
{
    while (count >= 2 && are_siblings(pieces[count - 2].sum.range, pieces[count - 1].sum.range, M)) {
        join_add(&pieces[count - 2], &pieces[count - 1], size, dtype);
        count--;
    }
    return count;
}
