#include "worker/layers/vocab_head.h"

#include "worker/kernels/gemm.h"
#include "worker/kernels/kernels.h"

#include <string.h>

/* Enough rows that the vocabulary matrix is read seldom, and logits that stay small. */
enum { PIECE_FLOATS = 1 << 24, LEAST_PIECE = 32, MOST_PIECE = 512 };

static int64_t piece_of(int64_t V, int64_t most_read)
{
    int64_t piece = PIECE_FLOATS / V;
    piece = piece < LEAST_PIECE ? LEAST_PIECE : piece;
    piece = piece > MOST_PIECE ? MOST_PIECE : piece;
    return piece > most_read ? most_read : piece;
}

/* With the rows of the weight that are trained by themselves. */
static const ModuleView *tokens_of(const VocabHead *head)
{
    return &head->linear.part[0].module;
}

void vocab_head_layout(VocabHead *head, Layout *layout, const PassSizes *sizes, bool training)
{
    const int64_t V = head->linear.out, M = sizes->most_read, B = sizes->most_sequences;
    head->piece = piece_of(V, M);
    linear_layout(&head->linear, layout);
    head->moved = layout_floats_if(layout, training && tokens_of(head)->token_count > 0, head->linear.in);
    if (training)
        linear_keep_layout(&head->kept, &head->linear, layout, head->piece);
    head->rows = layout_floats(layout, head->piece * head->linear.in);
    head->logits = layout_floats(layout, head->piece * V);
    head->bent = layout_floats_if(layout, training && head->cap > 0, head->piece * V);
    head->losses = layout_take(layout, (size_t)head->piece * sizeof *head->losses);
    head->labelled = layout_take(layout, (size_t)M * sizeof(int32_t));
    head->goal = layout_take(layout, (size_t)M * sizeof(int32_t));
    head->start = layout_take(layout, (size_t)(B + 1) * sizeof(int64_t));
    head->from = layout_take(layout, (size_t)(B + 1) * sizeof(int64_t));
}

void vocab_head_bind(VocabHead *head, const float *values)
{
    linear_bind(&head->linear, values);
}

/* Lists the read rows that have a goal, or (token_goal NULL) all of them. */
static int64_t list_rows(VocabHead *head, const int32_t *token_goal, bool all, const Pass *pass)
{
    int64_t count = 0, m = 0;
    for (int64_t b = 0; b < pass->rows.B; b++) {
        head->start[b] = count;
        for (int64_t t = pass->read_first[b]; t < pass->read_end[b]; t++, m++) {
            const int32_t goal = token_goal ? token_goal[pass->rows.start[b] + t] : -100;
            if (!all && goal < 0)
                continue;
            head->labelled[count] = (int32_t)m;
            head->goal[count++] = goal;
        }
    }
    head->start[pass->rows.B] = count;
    return count;
}

/* Rows [first, first + N) of those listed, as a micro-batch of its own: starts are counted
 * from the piece, so that masks stay counted from the sequence. */
static Rows rows_of_piece(VocabHead *head, int64_t first, int64_t N, const Pass *pass)
{
    for (int64_t b = 0; b <= pass->rows.B; b++)
        head->from[b] = head->start[b] - first;
    return (Rows){ .B = pass->rows.B, .N = N, .longest = N, .start = head->from };
}

/* The piece's hidden rows: in their place when they lie together there, else copied. */
static float *hidden(VocabHead *head, int64_t first, int64_t N, const Pass *pass)
{
    const int64_t C = head->linear.in;
    const int32_t *at = head->labelled + first;
    if (at[N - 1] - at[0] == N - 1)
        return pass->x + at[0] * C;
    for (int64_t i = 0; i < N; i++)
        memcpy(head->rows + i * C, pass->x + at[i] * C, (size_t)C * sizeof(float));
    return head->rows;
}

/* The sums of a piece's rows, added to those before. */
static void add_losses(BatchLoss *loss, const RowLoss *rows, int64_t n)
{
    BatchLoss of = { 0 };
    for (int64_t i = 0; i < n; i++) {
        of.sum += rows[i].loss;
        of.plain += rows[i].plain;
    }
    loss->sum += of.sum;
    loss->plain += of.plain;
}

static bool is_bent(const VocabHead *head)
{
    return head->scale != 1.0f || head->cap > 0.0f;
}

void vocab_head_forward(const VocabHead *head, LinearKeep *keep, float *logits, const float *x, const Rows *rows,
                        Pass *pass)
{
    const ModuleView *m = tokens_of(head);
    const int64_t V = m->out, C = m->in;
    linear_forward(&head->linear, keep, logits, V, x, rows, pass);
    for (int64_t i = 0; head->linear.values && i < m->token_count; i++)
        pass_product(pass)(logits + m->tokens[i], V, x, C, head->linear.values + m->tokens_at + i * C, C, rows->N, 1, C,
                           1, 0);
    linear_add_bias(&head->linear, logits, V, rows->N);
    if (is_bent(head))
        kernels->bend_logits(logits, rows->N, V, head->scale, head->cap);
}

/* Rows that are trained by themselves: their gradient, from the hidden rows. */
static void token_gradients(const VocabHead *head, const float *x, int64_t N, const Pass *pass)
{
    const ModuleView *m = tokens_of(head);
    const int64_t V = m->out, C = m->in;
    for (int64_t i = 0; i < m->token_count; i++)
        gemm_tn(pass->grad + m->tokens_at + i * C, C, head->logits + m->tokens[i], V, x, C, 1, C, N, 1, 1);
}

/* dx += dy (T - W) for them: their product with the weight's rows is in dx already. */
static void move_gradient(const VocabHead *head, float *dx, int64_t N)
{
    const ModuleView *m = tokens_of(head);
    const int64_t V = m->out, C = m->in;
    for (int64_t i = 0; i < m->token_count; i++) {
        const float *row = head->linear.values + m->tokens_at + i * C;
        frozen_row(head->moved, &m->weight, m->tokens[i]);
        for (int64_t c = 0; c < C; c++)
            head->moved[c] = row[c] - head->moved[c];
        gemm_nn(dx, C, head->logits + m->tokens[i], V, head->moved, C, N, C, 1, 1, 1);
    }
}

/* dlogits of the piece -> the gradient of its hidden rows, in x. */
static void piece_backward(VocabHead *head, float *x, const Rows *rows, Pass *pass)
{
    const LinearGrad grad = {
        .dy = head->logits, .ldy = head->linear.out, .x = x, .dx = head->below ? x : NULL, .add = true
    };
    if (is_bent(head))
        kernels->bend_logits_backward(head->logits, head->bent, rows->N, head->linear.out, head->scale, head->cap);
    token_gradients(head, x, rows->N, pass);
    linear_backward(&head->linear, &head->kept, &grad, rows, pass);
    if (head->below)
        move_gradient(head, x, rows->N);
}

/* Gradients of a piece that was copied go back to their rows; rows between, which have no goal,
 * are cleared by the caller at the end. */
static void put_back(VocabHead *head, const float *x, int64_t first, int64_t N, const Pass *pass)
{
    const int64_t C = head->linear.in;
    for (int64_t i = 0; x == head->rows && i < N; i++)
        memcpy(pass->x + head->labelled[first + i] * C, x + i * C, (size_t)C * sizeof(float));
}

static void clear_the_others(const VocabHead *head, int64_t count, const Pass *pass)
{
    const int64_t C = head->linear.in;
    int64_t next = 0;
    for (int64_t m = 0; m < pass->reads.N; m++) {
        if (next < count && head->labelled[next] == m)
            next++;
        else
            memset(pass->x + m * C, 0, (size_t)C * sizeof(float));
    }
}

BatchLoss vocab_head_loss(VocabHead *head, const int32_t *token_goal, Pass *pass)
{
    const int64_t V = head->linear.out, L = list_rows(head, token_goal, false, pass);
    BatchLoss loss = { .count = L, .weight = (double)L };
    for (int64_t first = 0; first < L; first += head->piece) {
        const int64_t N = L - first < head->piece ? L - first : head->piece;
        const Rows rows = rows_of_piece(head, first, N, pass);
        float *x = hidden(head, first, N, pass);
        vocab_head_forward(head, pass->grad ? &head->kept : NULL, head->logits, x, &rows, pass);
        if (head->bent && pass->grad)
            memcpy(head->bent, head->logits, (size_t)(N * V) * sizeof(float));
        kernels->wide_cross_entropy(head->logits, head->losses, head->goal + first, N, V, head->loss.smoothing,
                                    pass->grad != NULL);
        add_losses(&loss, head->losses, N);
        if (!pass->grad)
            continue;
        piece_backward(head, x, &rows, pass);
        put_back(head, x, first, N, pass);
    }
    if (pass->grad && head->below)
        clear_the_others(head, L, pass);
    return loss;
}

BatchLoss vocab_head_logits(VocabHead *head, float *logits, const int32_t *token_goal, Pass *pass)
{
    const int64_t V = head->linear.out, C = head->linear.in;
    const int64_t M = list_rows(head, token_goal, true, pass);
    BatchLoss loss = { 0 };
    for (int64_t first = 0; first < M; first += head->piece) {
        const int64_t N = M - first < head->piece ? M - first : head->piece;
        const Rows rows = rows_of_piece(head, first, N, pass);
        vocab_head_forward(head, NULL, logits + first * V, pass->x + first * C, &rows, pass);
        kernels->wide_cross_entropy(logits + first * V, head->losses, head->goal + first, N, V, head->loss.smoothing,
                                    false);
        add_losses(&loss, head->losses, N);
        for (int64_t i = first; i < first + N; i++)
            loss.count += head->goal[i] >= 0;
    }
    loss.weight = (double)loss.count;
    return loss;
}
