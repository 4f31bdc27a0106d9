#include "common/metrics/metrics.h"
#include "common/base/maths.h"

#include "common/base/mem.h"
#include "common/metrics/correlation.h"
#include "common/metrics/embeddings.h"
#include "common/metrics/entities.h"
#include "common/metrics/overlap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EXAMPLES, LOSS, WEIGHT, HEAD };

/* Behind the head of a row: */
enum { TAGS, TAGS_RIGHT, ENTITIES_BOTH, ENTITIES_GUESSED, ENTITIES_WANTED, TAGS_SIZE };
enum {
    TOKENS,
    PLAIN,
    TEXTS,
    BLEU_WORDS,
    BLEU_REFERENCE,
    BLEU_MATCHED,
    BLEU_TOTAL = BLEU_MATCHED + BLEU_ORDER,
    ROUGE = BLEU_TOTAL + BLEU_ORDER,
    TOKENS_SIZE
};

enum { QUESTIONS, EXACT, F1, RATED, HAS, HAS_EXACT, HAS_F1, ANSWERS_SIZE };

/* What a row holds. */
typedef enum { ROW_CLASSES, ROW_LABELS, ROW_PAIRS, ROW_TAGS, ROW_TOKENS, ROW_EMBEDDINGS, ROW_ANSWERS } CountedKind;

static CountedKind kind_of(const MetricsSpec *spec)
{
    if (spec->task == TASK_FEATURE_EXTRACTION)
        return ROW_EMBEDDINGS;
    if (spec->task == TASK_TOKEN_CLS)
        return ROW_TAGS;
    if (spec->task == TASK_CAUSAL_LM || spec->task == TASK_SEQ_2_SEQ_LM)
        return ROW_TOKENS;
    if (spec->task == TASK_QUESTION_ANS)
        return ROW_ANSWERS;
    if (spec->problem == PROBLEM_REGRESSION)
        return ROW_PAIRS;
    return spec->problem == PROBLEM_MULTI_LABEL ? ROW_LABELS : ROW_CLASSES;
}

static int64_t fixed_size(const MetricsSpec *spec)
{
    switch (kind_of(spec)) {
    case ROW_PAIRS:
    case ROW_EMBEDDINGS:
        return HEAD;
    case ROW_LABELS:
        return HEAD + 1 + 3 * spec->labels;
    case ROW_TAGS:
        return HEAD + TAGS_SIZE;
    case ROW_TOKENS:
        return HEAD + TOKENS_SIZE;
    case ROW_ANSWERS:
        return HEAD + ANSWERS_SIZE;
    case ROW_CLASSES:
        break;
    }
    return HEAD + spec->labels * spec->labels + (spec->tasks ? spec->labels : 0);
}

/* Doubles that each example adds to a row. */
static int64_t joined_size(const MetricsSpec *spec)
{
    const CountedKind kind = kind_of(spec);
    return kind == ROW_PAIRS ? 2 : kind == ROW_EMBEDDINGS ? embeddings_width(spec->embed.columns, spec->labels) : 0;
}

int64_t metrics_width(const MetricsSpec *spec, int64_t examples)
{
    return fixed_size(spec) + joined_size(spec) * examples;
}

static void reserve(Metrics *m, int64_t size)
{
    if (size <= m->room)
        return;
    m->room = size > 2 * m->room ? size : 2 * m->room;
    m->sums = xrealloc(m->sums, (size_t)m->room * sizeof(double));
}

void metrics_init(Metrics *m, const MetricsSpec *spec)
{
    *m = (Metrics){ .spec = *spec };
    metrics_clear(m);
}

void metrics_clear(Metrics *m)
{
    m->size = fixed_size(&m->spec);
    reserve(m, m->size);
    memset(m->sums, 0, (size_t)m->size * sizeof(double));
}

void metrics_release(Metrics *m)
{
    free(m->sums);
    *m = (Metrics){ 0 };
}

/* ---- adding ----------------------------------------------------------------- */

static int32_t largest(const float *logits, int64_t labels)
{
    int32_t guess = 0;
    for (int32_t l = 1; l < labels; l++)
        if (logits[l] > logits[guess])
            guess = l;
    return guess;
}

static void add_labels(Metrics *m, const float *logits, const float *goal)
{
    bool exact = true;
    double *counts = m->sums + HEAD + 1;
    for (int64_t l = 0; l < m->spec.labels; l++) {
        const bool guessed = logits[l] > 0.0f, wanted = goal[l] > 0.5f;
        counts[3 * l] += guessed && wanted;
        counts[3 * l + 1] += guessed && !wanted;
        counts[3 * l + 2] += !guessed && wanted;
        exact = exact && guessed == wanted;
    }
    m->sums[HEAD] += exact;
}

static void add_loss(Metrics *m, int64_t B, MetricsLoss loss)
{
    m->sums[EXAMPLES] += (double)B;
    m->sums[LOSS] += loss.sum;
    m->sums[WEIGHT] += loss.weight;
}

/* The guess is among the labels of the goal's task. */
static void add_class(Metrics *m, const float *logits, int64_t goal)
{
    const int64_t L = m->spec.labels;
    const TaskLabels *task = m->spec.tasks ? task_of_label(m->spec.tasks, goal) : NULL;
    const int64_t begin = task ? task->begin : 0, end = task ? task->end : L;
    const int64_t guess = begin + largest(logits + begin, end - begin);
    m->sums[HEAD + goal * L + guess] += 1;
    if (!task)
        return;
    double sum = 0;
    for (int64_t l = begin; l < end; l++)
        sum += maths_exp((double)logits[l] - (double)logits[guess]);
    m->sums[HEAD + L * L + goal] += maths_log(sum) + (double)logits[guess] - (double)logits[goal];
}

void metrics_add(Metrics *m, const float *logits, const float *goal, int64_t B, MetricsLoss loss)
{
    const int64_t L = m->spec.labels;
    const CountedKind kind = kind_of(&m->spec);
    REQUIRE(kind == ROW_CLASSES || kind == ROW_LABELS || kind == ROW_PAIRS);
    add_loss(m, B, loss);
    for (int64_t b = 0; b < B; b++) {
        if (kind == ROW_PAIRS) {
            reserve(m, m->size + 2);
            m->sums[m->size++] = (double)logits[b];
            m->sums[m->size++] = (double)goal[b];
        } else if (kind == ROW_LABELS) {
            add_labels(m, logits + b * L, goal + b * L);
        } else {
            add_class(m, logits + b * L, (int64_t)goal[b]);
        }
    }
}

void metrics_add_tags(Metrics *m, const float *logits, const int32_t *goal, const int64_t *start, int64_t B,
                      MetricsLoss loss)
{
    const int64_t L = m->spec.labels;
    REQUIRE(kind_of(&m->spec) == ROW_TAGS && m->spec.label_names);
    int64_t longest = 1;
    for (int64_t b = 0; b < B; b++)
        longest = start[b + 1] - start[b] > longest ? start[b + 1] - start[b] : longest;
    int32_t *wanted = xmalloc((size_t)(2 * longest) * sizeof *wanted), *guessed = wanted + longest;
    double *sums = m->sums + HEAD;
    add_loss(m, B, loss);
    for (int64_t b = 0; b < B; b++) {
        int64_t n = 0, right = 0;
        for (int64_t t = start[b]; t < start[b + 1]; t++) {
            if (goal[t] < 0)
                continue;
            wanted[n] = goal[t];
            guessed[n] = largest(logits + t * L, L);
            right += wanted[n] == guessed[n];
            n++;
        }
        const EntityCounts counts = entities_count(m->spec.label_names, wanted, guessed, n);
        sums[TAGS] += (double)n;
        sums[TAGS_RIGHT] += (double)right;
        sums[ENTITIES_BOTH] += (double)counts.both;
        sums[ENTITIES_GUESSED] += (double)counts.guessed;
        sums[ENTITIES_WANTED] += (double)counts.wanted;
    }
    free(wanted);
}

void metrics_add_tokens(Metrics *m, int64_t B, int64_t tokens, double loss, double plain)
{
    REQUIRE(kind_of(&m->spec) == ROW_TOKENS);
    add_loss(m, B, (MetricsLoss){ loss, (double)tokens });
    m->sums[HEAD + TOKENS] += (double)tokens;
    m->sums[HEAD + PLAIN] += plain;
}

void metrics_add_windows(Metrics *m, int64_t B, MetricsLoss loss)
{
    REQUIRE(kind_of(&m->spec) == ROW_ANSWERS);
    add_loss(m, B, loss);
}

void metrics_add_answer(Metrics *m, const MetricsAnswer *answer)
{
    REQUIRE(kind_of(&m->spec) == ROW_ANSWERS);
    double *sums = m->sums + HEAD;
    sums[QUESTIONS] += 1;
    sums[EXACT] += answer->exact;
    sums[F1] += answer->f1;
    sums[RATED] += answer->impossible;
    sums[HAS] += answer->has;
    sums[HAS_EXACT] += answer->has ? answer->exact : 0;
    sums[HAS_F1] += answer->has ? answer->f1 : 0;
}

void metrics_add_text(Metrics *m, const char *text, const char *const *references, int64_t count)
{
    REQUIRE(kind_of(&m->spec) == ROW_TOKENS);
    const BleuCounts counts = bleu_count(text, references, count);
    double *sums = m->sums + HEAD;
    sums[TEXTS] += 1;
    sums[BLEU_WORDS] += counts.words;
    sums[BLEU_REFERENCE] += counts.reference_words;
    for (int n = 0; n < BLEU_ORDER; n++) {
        sums[BLEU_MATCHED + n] += counts.matched[n];
        sums[BLEU_TOTAL + n] += counts.total[n];
    }
    sums[ROUGE] += rouge_l(text, references, count);
}

void metrics_add_embeddings(Metrics *m, const float *e, const float *score, int64_t B)
{
    const int64_t n = m->spec.embed.columns * m->spec.labels;
    REQUIRE(kind_of(&m->spec) == ROW_EMBEDDINGS);
    m->sums[EXAMPLES] += (double)B;
    reserve(m, m->size + B * joined_size(&m->spec));
    for (int64_t b = 0; b < B; b++) {
        for (int64_t i = 0; i < n; i++)
            m->sums[m->size++] = (double)e[b * n + i];
        m->sums[m->size++] = score ? (double)score[b * m->spec.embed.columns] : 0;
    }
}

bool metrics_merge(Metrics *m, const double *sums, int64_t size)
{
    const int64_t fixed = fixed_size(&m->spec);
    const double joined = (double)joined_size(&m->spec);
    if (size < fixed || (double)(size - fixed) != (joined > 0 ? joined * sums[EXAMPLES] : 0))
        return false;
    for (int64_t i = 0; i < fixed; i++)
        m->sums[i] += sums[i];
    reserve(m, m->size + size - fixed);
    memcpy(m->sums + m->size, sums + fixed, (size_t)(size - fixed) * sizeof(double));
    m->size += size - fixed;
    return true;
}

/* ---- figures -------------------------------------------------------------- */

static double ratio(double a, double b)
{
    return b == 0 ? 0.0 : a / b;
}

/* Adds a label's precision, recall and f1 from its counts. */
static void add_prf(double prf[3], double hit, double extra, double missed)
{
    prf[0] += ratio(hit, hit + extra);
    prf[1] += ratio(hit, hit + missed);
    prf[2] += ratio(2 * hit, 2 * hit + extra + missed);
}

static int put_prf(Figure *figures, int n, double accuracy, const double prf[3], double labels)
{
    n = figure_put(figures, n, "accuracy", accuracy);
    n = figure_put(figures, n, "f1", prf[2] / labels);
    n = figure_put(figures, n, "precision", prf[0] / labels);
    return figure_put(figures, n, "recall", prf[1] / labels);
}

/* Counts (goal, guess) of the labels [begin, end) among L. */
typedef struct Confusion {
    const double *counts;
    int64_t L, begin, end;
} Confusion;

static double confused(const Confusion *c, int64_t goal, int64_t guess)
{
    return c->counts[goal * c->L + guess];
}

/* How often a label is a goal, and how often a guess. */
static void add_up(const Confusion *c, int64_t label, double *goals, double *guesses)
{
    *goals = *guesses = 0;
    for (int64_t k = c->begin; k < c->end; k++) {
        *goals += confused(c, label, k);
        *guesses += confused(c, k, label);
    }
}

/* Matthews correlation for many classes (Gorodkin 2004), as scikit-learn has it. */
static double matthews(const Confusion *c, double total, double right)
{
    double goal_guess = 0, goal_goal = 0, guess_guess = 0;
    for (int64_t l = c->begin; l < c->end; l++) {
        double goals, guesses;
        add_up(c, l, &goals, &guesses);
        goal_guess += goals * guesses;
        goal_goal += goals * goals;
        guess_guess += guesses * guesses;
    }
    const double below = (total * total - guess_guess) * (total * total - goal_goal);
    return below == 0 ? 0.0 : (right * total - goal_guess) / sqrt(below);
}

static int class_figures(const Confusion *c, double total, Figure *figures, int n)
{
    const int64_t labels = c->end - c->begin;
    double right = 0, present = 0, prf[3] = { 0, 0, 0 };
    for (int64_t l = c->begin; l < c->end; l++) {
        double goals, guesses;
        const double hit = confused(c, l, l);
        add_up(c, l, &goals, &guesses);
        right += hit;
        present += goals + guesses > 0;
        if (labels != 2 || l == c->begin + 1) /* two labels: the second is the positive one */
            add_prf(prf, hit, guesses - hit, goals - hit);
    }
    /* macro: over the labels that occur in goals or guesses */
    n = put_prf(figures, n, ratio(right, total), prf, labels == 2 || present == 0 ? 1 : present);
    return figure_put(figures, n, "matthews", matthews(c, total, right));
}

int metrics_task_figures(const Metrics *m, int task, Figure figures[METRICS_FIGURES])
{
    const TaskLabels *t = &m->spec.tasks[task];
    const int64_t L = m->spec.labels;
    const Confusion c = { m->sums + HEAD, L, t->begin, t->end };
    double total = 0, loss = 0;
    for (int64_t l = t->begin; l < t->end; l++) {
        double goals, guesses;
        add_up(&c, l, &goals, &guesses);
        total += goals;
        loss += m->sums[HEAD + L * L + l];
    }
    return class_figures(&c, total, figures, figure_put(figures, 0, "loss", ratio(loss, total)));
}

/* The mean of each figure over the tasks. */
static int tasks_figures(const Metrics *m, Figure *figures, int n)
{
    Figure of[METRICS_FIGURES] = { 0 };
    int count = n;
    for (int t = 0; t < m->spec.task_count; t++) {
        count = metrics_task_figures(m, t, of);
        for (int i = n; i < count; i++)
            figures[i] = (Figure){ of[i].name, (t ? figures[i].value : 0) + of[i].value / (double)m->spec.task_count };
    }
    return count;
}

static int label_figures(const Metrics *m, Figure *figures, int n)
{
    const double *counts = m->sums + HEAD + 1;
    double prf[3] = { 0, 0, 0 };
    for (int64_t l = 0; l < m->spec.labels; l++)
        add_prf(prf, counts[3 * l], counts[3 * l + 1], counts[3 * l + 2]);
    return put_prf(figures, n, ratio(m->sums[HEAD], m->sums[EXAMPLES]), prf, (double)m->spec.labels);
}

static int regression_figures(const Metrics *m, Figure *figures, int n)
{
    const int64_t count = (m->size - HEAD) / 2;
    double *x = xcalloc((size_t)(2 * count + 1), sizeof(double)), *y = x + count;
    double square = 0;
    for (int64_t i = 0; i < count; i++) {
        x[i] = m->sums[HEAD + 2 * i];
        y[i] = m->sums[HEAD + 2 * i + 1];
        square += (x[i] - y[i]) * (x[i] - y[i]);
    }
    n = figure_put(figures, n, "mse", ratio(square, (double)count));
    n = figure_put(figures, n, "pearson", correlation_pearson(x, y, count));
    n = figure_put(figures, n, "spearman", correlation_spearman(x, y, count));
    free(x);
    return n;
}

/* seqeval's, micro averages over all types */
static int tag_figures(const Metrics *m, Figure *figures, int n)
{
    const double *sums = m->sums + HEAD;
    const double precision = ratio(sums[ENTITIES_BOTH], sums[ENTITIES_GUESSED]);
    const double recall = ratio(sums[ENTITIES_BOTH], sums[ENTITIES_WANTED]);
    n = figure_put(figures, n, "accuracy", ratio(sums[TAGS_RIGHT], sums[TAGS]));
    n = figure_put(figures, n, "f1", ratio(2 * precision * recall, precision + recall));
    n = figure_put(figures, n, "precision", precision);
    return figure_put(figures, n, "recall", recall);
}

static int token_figures(const Metrics *m, Figure *figures, int n)
{
    const double *sums = m->sums + HEAD;
    n = figure_put(figures, n, "perplexity", maths_exp(ratio(sums[PLAIN], sums[TOKENS])));
    if (sums[TEXTS] == 0)
        return n;
    BleuCounts counts = { sums[BLEU_WORDS], sums[BLEU_REFERENCE], { 0 }, { 0 } };
    memcpy(counts.matched, sums + BLEU_MATCHED, sizeof counts.matched);
    memcpy(counts.total, sums + BLEU_TOTAL, sizeof counts.total);
    n = figure_put(figures, n, "bleu", bleu_score(&counts));
    return figure_put(figures, n, "rougeL", sums[ROUGE] / sums[TEXTS]);
}

/* evaluate's squad, and squad_v2 of questions that may have no answer: percentages. */
static int answer_figures(const Metrics *m, Figure *figures, int n)
{
    const double *sums = m->sums + HEAD, none = sums[QUESTIONS] - sums[HAS];
    n = figure_put(figures, n, "exact_match", 100 * ratio(sums[EXACT], sums[QUESTIONS]));
    n = figure_put(figures, n, "f1", 100 * ratio(sums[F1], sums[QUESTIONS]));
    if (sums[RATED] > 0 && sums[HAS] > 0) {
        n = figure_put(figures, n, "HasAns_exact", 100 * sums[HAS_EXACT] / sums[HAS]);
        n = figure_put(figures, n, "HasAns_f1", 100 * sums[HAS_F1] / sums[HAS]);
    }
    if (sums[RATED] > 0 && none > 0) {
        n = figure_put(figures, n, "NoAns_exact", 100 * (sums[EXACT] - sums[HAS_EXACT]) / none);
        n = figure_put(figures, n, "NoAns_f1", 100 * (sums[F1] - sums[HAS_F1]) / none);
    }
    return n;
}

int metrics_figures(const Metrics *m, Figure figures[METRICS_FIGURES])
{
    const CountedKind kind = kind_of(&m->spec);
    if (kind == ROW_EMBEDDINGS) {
        const EmbeddingRows rows = { m->sums + HEAD, (int64_t)m->sums[EXAMPLES], m->spec.labels };
        return embeddings_figures(figures, &rows, &m->spec.embed);
    }
    const int n = figure_put(figures, 0, "loss", ratio(m->sums[LOSS], m->sums[WEIGHT]));
    switch (kind) {
    case ROW_PAIRS:
        return regression_figures(m, figures, n);
    case ROW_LABELS:
        return label_figures(m, figures, n);
    case ROW_TAGS:
        return tag_figures(m, figures, n);
    case ROW_TOKENS:
        return token_figures(m, figures, n);
    case ROW_ANSWERS:
        return answer_figures(m, figures, n);
    case ROW_EMBEDDINGS:
    case ROW_CLASSES:
        break;
    }
    if (m->spec.tasks)
        return tasks_figures(m, figures, n);
    const int64_t L = m->spec.labels;
    return class_figures(&(Confusion){ m->sums + HEAD, L, 0, L }, m->sums[EXAMPLES], figures, n);
}
