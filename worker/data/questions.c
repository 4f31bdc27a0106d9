#include "worker/data/questions.h"

#include <string.h>

enum { NUMBERS = 8, ROUND = 8 };

/* In front of the block. */
enum { QUESTIONS, WINDOWS, TOKENS, PIECES, BYTES, PAD_ID, IMPOSSIBLE };

void questions_release(QuestionsBuilder *b)
{
    Int64s *const lists[] = { &b->of, &b->real, &b->first, &b->at };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        int64s_release(lists[i]);
    int32s_release(&b->offsets);
    text_release(&b->bytes);
}

void questions_clear(QuestionsBuilder *b)
{
    b->of.count = b->real.count = b->first.count = b->at.count = b->offsets.count = 0;
    text_clear(&b->bytes);
}

void questions_begin(QuestionsBuilder *b)
{
    int64s_put(&b->first, b->at.count);
}

void questions_text(QuestionsBuilder *b, const char *text, size_t n)
{
    int64s_put(&b->at, (int64_t)b->bytes.size);
    text_add(&b->bytes, text, n);
}

void questions_window(QuestionsBuilder *b, const int32_t *offsets, int64_t n, int64_t real)
{
    int64s_put(&b->of, b->first.count - 1);
    int64s_put(&b->real, real);
    int32s_add(&b->offsets, offsets, 2 * n);
}

static void add_list(Text *block, const int64_t *list, int64_t count)
{
    text_add(block, (const char *)list, (size_t)count * sizeof *list);
}

void questions_pack(const QuestionsBuilder *b, Text *block)
{
    const int64_t bytes = (int64_t)b->bytes.size, pieces = b->at.count;
    const int64_t numbers[NUMBERS] = { [QUESTIONS] = b->first.count,
                                       [WINDOWS] = b->of.count,
                                       [TOKENS] = b->offsets.count / 2,
                                       [PIECES] = pieces,
                                       [BYTES] = bytes,
                                       [PAD_ID] = b->pad_id,
                                       [IMPOSSIBLE] = b->impossible };
    add_list(block, numbers, NUMBERS);
    add_list(block, b->of.data, b->of.count);
    add_list(block, b->real.data, b->real.count);
    add_list(block, b->first.data, b->first.count);
    add_list(block, &pieces, 1);
    add_list(block, b->at.data, pieces);
    add_list(block, &bytes, 1);
    text_add(block, (const char *)b->offsets.data, (size_t)b->offsets.count * sizeof *b->offsets.data);
    text_add(block, b->bytes.data, b->bytes.size);
    static const char zeros[ROUND] = { 0 };
    text_add(block, zeros, (ROUND - block->size % ROUND) % ROUND);
}

Questions questions_view(const void *block)
{
    const int64_t *numbers = block;
    Questions q = { .count = numbers[QUESTIONS],
                    .windows = numbers[WINDOWS],
                    .tokens = numbers[TOKENS],
                    .pad_id = (int32_t)numbers[PAD_ID],
                    .impossible = numbers[IMPOSSIBLE] != 0 };
    q.of = numbers + NUMBERS;
    q.real = q.of + q.windows;
    q.first = q.real + q.windows;
    q.at = q.first + q.count + 1;
    q.offsets = (const int32_t *)(const void *)(q.at + numbers[PIECES] + 1);
    q.bytes = (const char *)(q.offsets + 2 * q.tokens);
    return q;
}

const char *questions_piece(const Questions *q, int64_t question, int64_t i, size_t *n)
{
    const int64_t at = q->first[question] + i;
    *n = (size_t)(q->at[at + 1] - q->at[at]);
    return q->bytes + q->at[at];
}

int64_t questions_answers(const Questions *q, int64_t question)
{
    return q->first[question + 1] - q->first[question] - 1;
}
