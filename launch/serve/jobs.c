/* DESIGN. The compute thread goes round: under the lock it looks who has left or is late, and takes from the queue what
 * has room; without the lock it computes a step; under the lock again it publishes what was made and wakes who waits.
 * So the network thread never waits for a step, and nothing that a step reads changes under it. */
#include "launch/serve/jobs.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct Jobs {
    JobsOptions options;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t more;
    bool closing; /* under the lock, as what follows */
    ServeJob *first, **last; /* the queue */
    int64_t waiting;
    double pace; /* seconds that one job takes, of the last ones */
    double ended; /* when a job was done last */
    /* the compute thread's; `running` is changed under the lock */
    ServeJob **running; /* [most] */
    int64_t running_count, most;
    TextEngine engine; /* of a model that speaks */
    TextWriter *writer;
    int32_t *ids, *types; /* [most_tokens] of a batch of rows */
    int64_t *start, *example;
    float *pixels, *logits;
    Adapter **adapters;
};

/* ---- exchanges ------------------------------------------------------------------------------- */

ServeExchange *exchange_new(HttpRequest *request, ServedAdapter *served, int64_t count)
{
    ServeExchange *x = xcalloc(1, sizeof *x);
    *x = (ServeExchange){ .request = request, .served = served, .count = count, .began = request->begun };
    x->jobs = xcalloc((size_t)count, sizeof *x->jobs);
    for (int64_t i = 0; i < count; i++)
        x->jobs[i].exchange = x;
    return x;
}

void exchange_free(ServeExchange *x)
{
    for (int64_t i = 0; i < x->count; i++) {
        ServeJob *job = &x->jobs[i];
        writing_release(&job->writing);
        decode_stream_free(job->decoder);
        token_log_close(job->log);
        encoding_release(&job->encoding);
        text_release(&job->fresh);
        text_release(&job->text);
        free(job->pixels);
        free(job->logits);
    }
    if (x->form_free)
        x->form_free(x->form);
    free(x->jobs);
    free(x);
}

void jobs_use(ServedAdapter *served)
{
    served->uses++;
}

static void unuse(ServedAdapter *served)
{
    if (--served->uses > 0 || !served->gone)
        return;
    named_adapter_close(served->named);
    free(served);
}

void jobs_unuse(Jobs *jobs, ServedAdapter *served)
{
    jobs_lock(jobs);
    unuse(served);
    jobs_unlock(jobs);
}

/* Nobody has it any more. Under the lock. */
static void drop(ServeExchange *x)
{
    unuse(x->served);
    exchange_free(x);
}

bool jobs_are_done(const ServeExchange *x)
{
    return x->open == 0;
}

JobEnd jobs_fault(const ServeExchange *x)
{
    for (int64_t i = 0; i < x->count; i++)
        if (x->jobs[i].state == JOB_DONE && x->jobs[i].end != JOB_RIGHT)
            return x->jobs[i].end;
    return JOB_RIGHT;
}

void jobs_lock(Jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
}

void jobs_unlock(Jobs *jobs)
{
    pthread_mutex_unlock(&jobs->lock);
}

bool jobs_add(Jobs *jobs, ServeExchange *x)
{
    jobs_lock(jobs);
    const bool room = !jobs->closing && jobs->waiting + x->count <= jobs->options.most_queue;
    for (int64_t i = 0; room && i < x->count; i++) {
        *jobs->last = &x->jobs[i];
        jobs->last = &x->jobs[i].next;
        jobs->waiting++;
        x->open++;
    }
    pthread_cond_signal(&jobs->more);
    jobs_unlock(jobs);
    return room;
}

void jobs_end(Jobs *jobs, ServeExchange *x)
{
    jobs_lock(jobs);
    x->request = NULL;
    if (x->open == 0)
        drop(x);
    pthread_cond_signal(&jobs->more);
    jobs_unlock(jobs);
}

void jobs_now(Jobs *jobs, FiguresNow *now)
{
    jobs_lock(jobs);
    now->running = jobs->running_count;
    now->waiting = jobs->waiting;
    now->kv_tokens = jobs->writer ? decode_promised(jobs->engine.decoder) : 0;
    now->kv_most = jobs->writer ? decode_room(jobs->engine.decoder) : 0;
    jobs_unlock(jobs);
}

double jobs_wait_seconds(Jobs *jobs)
{
    jobs_lock(jobs);
    const double wait = (double)jobs->waiting * jobs->pace;
    jobs_unlock(jobs);
    return wait;
}

/* ---- ends, under the lock ----------------------------------------------------------------------- */

static void finish(Jobs *jobs, ServeJob *job, JobEnd end)
{
    ServeExchange *x = job->exchange;
    const double now = clock_now();
    job->state = JOB_DONE;
    job->end = end;
    if (end == JOB_RIGHT && jobs->ended > 0) {
        const double gap = now - jobs->ended;
        jobs->pace = jobs->pace > 0 ? 0.9 * jobs->pace + 0.1 * gap : gap;
    }
    jobs->ended = now;
    if (--x->open == 0)
        x->ended = now;
    if (x->request)
        http_wake(x->request);
    else if (x->open == 0)
        drop(x);
}

/* Why a job should end now; JOB_RIGHT: it goes on. */
static JobEnd fault_of(const Jobs *jobs, const ServeJob *job, double now)
{
    const ServeExchange *x = job->exchange;
    if (!x->request || http_left(x->request))
        return JOB_LEFT;
    if (jobs->closing)
        return JOB_DRAINED;
    if (now - x->began > jobs->options.request_seconds)
        return JOB_LATE;
    return job->state == JOB_WAITS && now - x->began > jobs->options.queue_seconds ? JOB_LATE_IN_QUEUE : JOB_RIGHT;
}

static void give_up_waiting(Jobs *jobs, double now)
{
    for (ServeJob **at = &jobs->first; *at;) {
        ServeJob *job = *at;
        const JobEnd end = fault_of(jobs, job, now);
        if (end == JOB_RIGHT) {
            at = &job->next;
            continue;
        }
        *at = job->next;
        if (!*at)
            jobs->last = at;
        jobs->waiting--;
        finish(jobs, job, end);
    }
}

static void give_up_running(Jobs *jobs, double now)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < jobs->running_count; i++) {
        ServeJob *job = jobs->running[i];
        const JobEnd end = fault_of(jobs, job, now);
        if (end == JOB_RIGHT) {
            jobs->running[kept++] = job;
            continue;
        }
        writer_leave(jobs->writer, &job->writing);
        finish(jobs, job, end);
    }
    jobs->running_count = kept;
}

/* The first of the queue runs. */
static ServeJob *take_first(Jobs *jobs)
{
    ServeJob *job = jobs->first;
    jobs->first = job->next;
    if (!jobs->first)
        jobs->last = &jobs->first;
    jobs->waiting--;
    job->state = JOB_RUNS;
    job->exchange->started = clock_now();
    jobs->running[jobs->running_count++] = job;
    return job;
}

/* ---- texts -------------------------------------------------------------------------------------- */

/* A token was added: what is certain of its text waits for the end of the step. */
static void on_token(Writing *writing, const float *logits)
{
    ServeJob *job = writing->self;
    if (job->log)
        token_log_add(job->log, writing->ids[writing->count - 1], logits, job->text.size + job->fresh.size);
    decode_stream_add(job->decoder, writing->ids[writing->count - 1], &job->fresh);
}

/* Takes from the queue who has room. */
static void admit_texts(Jobs *jobs)
{
    while (jobs->first && jobs->running_count < jobs->most) {
        ServeJob *job = jobs->first;
        job->writing.chosen = on_token;
        job->writing.self = job;
        if (!writer_join(jobs->writer, &job->writing))
            return;
        take_first(jobs);
    }
}

static void publish_text(Jobs *jobs, ServeJob *job, double now)
{
    ServeExchange *x = job->exchange;
    Writing *w = &job->writing;
    const int64_t tokens = w->count - w->prompt;
    if (tokens > 0 && x->first == 0) {
        x->first = now;
        figures_see(jobs->options.figures, FIGURE_FIRST_TOKEN, now - x->began);
    }
    if (w->end != WRITING_ON)
        decode_stream_end(job->decoder, &job->fresh);
    figures_add(jobs->options.figures, FIGURE_TEXT_TOKENS, tokens - job->tokens);
    const bool news = tokens > job->tokens;
    job->tokens = tokens;
    text_add(&job->text, job->fresh.data ? job->fresh.data : "", job->fresh.size);
    text_clear(&job->fresh);
    if (w->end == WRITING_ON) {
        if (news && x->request)
            http_wake(x->request);
        return;
    }
    if (w->stop_at >= 0 && (size_t)w->stop_at < job->text.size) {
        job->text.size = (size_t)w->stop_at;
        job->text.data[job->text.size] = '\0';
    }
    job->stopped = w->end == WRITING_STOPPED;
    finish(jobs, job, w->end == WRITING_BROKEN ? JOB_BROKEN : JOB_RIGHT);
}

static void publish_texts(Jobs *jobs)
{
    const double now = clock_now();
    int64_t kept = 0;
    for (int64_t i = 0; i < jobs->running_count; i++) {
        ServeJob *job = jobs->running[i];
        const bool on = job->writing.end == WRITING_ON;
        publish_text(jobs, job, now);
        if (on)
            jobs->running[kept++] = job;
    }
    jobs->running_count = kept;
}

/* ---- rows -------------------------------------------------------------------------------------- */

static int64_t rows_of(const Jobs *jobs, const ServeJob *job)
{
    const Session *s = jobs->options.session;
    return job->pixels ? s->base.adapted.arch->positions : job->encoding.count;
}

/* As many as fit one batch, in the order in which they came. */
static void admit_rows(Jobs *jobs)
{
    int64_t tokens = 0;
    while (jobs->first && jobs->running_count < jobs->most) {
        tokens += rows_of(jobs, jobs->first);
        if (jobs->running_count > 0 && tokens > jobs->options.session->most_tokens)
            return;
        take_first(jobs);
    }
}

static int by_adapter(const void *a, const void *b)
{
    const ServeJob *x = *(ServeJob *const *)a, *y = *(ServeJob *const *)b;
    const uintptr_t p = (uintptr_t)x->exchange->served, q = (uintptr_t)y->exchange->served;
    return p != q ? (p > q) - (p < q) : (x > y) - (x < y);
}

static void compute_rows(Jobs *jobs)
{
    const Session *s = jobs->options.session;
    const ModelArch *arch = s->base.adapted.arch;
    const int64_t floats = arch->image_size ? pictures_floats(arch) : 0;
    const int64_t B = jobs->running_count;
    qsort(jobs->running, (size_t)B, sizeof(ServeJob *), by_adapter);
    jobs->start[0] = 0;
    for (int64_t b = 0; b < B; b++) {
        const ServeJob *job = jobs->running[b];
        const int64_t n = rows_of(jobs, job), at = jobs->start[b];
        if (job->pixels) {
            memcpy(jobs->pixels + b * floats, job->pixels, (size_t)floats * sizeof(float));
        } else {
            memcpy(jobs->ids + at, job->encoding.ids, (size_t)n * sizeof *jobs->ids);
            memcpy(jobs->types + at, job->encoding.types, (size_t)n * sizeof *jobs->types);
        }
        jobs->example[b] = b;
        jobs->adapters[b] = job->exchange->served->named->adapter;
        jobs->start[b + 1] = at + n;
    }
    const Batch batch = { .B = B,
                          .N = jobs->start[B],
                          .start = jobs->start,
                          .ids = floats ? NULL : jobs->ids,
                          .types = arch->types > 1 && !floats ? jobs->types : NULL,
                          .example = jobs->example,
                          .pixels = floats ? jobs->pixels : NULL };
    adapter_predict(s->model, &batch, jobs->adapters, jobs->logits);
    const float *at = jobs->logits;
    for (int64_t b = 0; b < B; b++) {
        ServeJob *job = jobs->running[b];
        const int64_t labels = adapter_arch(jobs->adapters[b])->head.labels;
        job->logit_count = (arch->head.task->of_tokens ? rows_of(jobs, job) : 1) * labels;
        job->logits = xmalloc((size_t)job->logit_count * sizeof *job->logits);
        memcpy(job->logits, at, (size_t)job->logit_count * sizeof *job->logits);
        at += job->logit_count;
    }
}

static void publish_rows(Jobs *jobs)
{
    Err broken = { 0 };
    for (int64_t i = 0; i < jobs->running_count; i++) {
        ServeJob *job = jobs->running[i];
        finish(jobs, job, sample_check(job->logits, job->logit_count, &broken) ? JOB_RIGHT : JOB_BROKEN);
    }
    jobs->running_count = 0;
}

/* ---- the thread --------------------------------------------------------------------------------- */

/* One round, under the lock but for the step. */
static void go_round(Jobs *jobs)
{
    const double now = clock_now();
    give_up_running(jobs, now);
    give_up_waiting(jobs, now);
    if (jobs->writer)
        admit_texts(jobs);
    else
        admit_rows(jobs);
    if (jobs->running_count == 0)
        return;
    jobs_unlock(jobs);
    int64_t rows = 0;
    if (jobs->writer) {
        writer_step(jobs->writer);
        rows = writer_rows(jobs->writer);
        figures_see(jobs->options.figures, FIGURE_EACH_TOKEN, clock_now() - now);
    } else {
        compute_rows(jobs);
        rows = jobs->start[jobs->running_count];
    }
    figures_see(jobs->options.figures, FIGURE_ROWS, (double)rows);
    jobs_lock(jobs);
    if (jobs->writer)
        publish_texts(jobs);
    else
        publish_rows(jobs);
}

static void *compute(void *self)
{
    Jobs *jobs = self;
    jobs_lock(jobs);
    while (!jobs->closing || jobs->first || jobs->running_count > 0) {
        if (jobs->first || jobs->running_count > 0)
            go_round(jobs);
        else
            pthread_cond_wait(&jobs->more, &jobs->lock);
    }
    jobs_unlock(jobs);
    return NULL;
}

static bool open_texts(Jobs *jobs, Err *err)
{
    const Session *s = jobs->options.session;
    const TextEngineOptions engine = { .arch = s->base.adapted.arch,
                                       .model = s->model,
                                       .values = NULL,
                                       .longest = s->max_length,
                                       .lanes = jobs->options.lanes,
                                       .tokens = jobs->options.kv_tokens };
    jobs->most = jobs->options.lanes;
    if (!text_engine_open(&jobs->engine, &engine, err))
        return false;
    const GenerateEngine texts = text_engine(&jobs->engine);
    return (jobs->writer = writer_open(&texts, s->base.tokenizer, err)) != NULL;
}

static bool open_rows(Jobs *jobs, Err *err)
{
    const Session *s = jobs->options.session;
    const ModelArch *arch = s->base.adapted.arch;
    const size_t tokens = (size_t)s->most_tokens;
    const bool images = arch->image_size > 0;
    jobs->most = images ? s->most_tokens / s->max_length : s->most_tokens;
    const size_t most = (size_t)jobs->most;
    jobs->ids = xcalloc(tokens, sizeof *jobs->ids);
    jobs->types = xcalloc(tokens, sizeof *jobs->types);
    jobs->start = xcalloc(most + 1, sizeof *jobs->start);
    jobs->example = xcalloc(most, sizeof *jobs->example);
    jobs->adapters = xcalloc(most, sizeof(Adapter *));
    if (images)
        jobs->pixels = mem_alloc(most * (size_t)pictures_floats(arch) * sizeof(float), err);
    const int64_t labels = arch->head.task->embeds ? arch->C : jobs->options.most_labels;
    jobs->logits = mem_alloc(tokens * (size_t)labels * sizeof(float), err);
    return jobs->logits && (!images || jobs->pixels);
}

Jobs *jobs_open(const JobsOptions *options, Err *err)
{
    Jobs *jobs = xcalloc(1, sizeof *jobs);
    *jobs = (Jobs){ .options = *options };
    jobs->last = &jobs->first;
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_cond_init(&jobs->more, NULL);
    const bool speaks = options->session->base.adapted.arch->head.task->speaks;
    bool ok = speaks ? open_texts(jobs, err) : open_rows(jobs, err);
    jobs->running = xcalloc((size_t)jobs->most + 1, sizeof(ServeJob *));
    if (ok && pthread_create(&jobs->thread, NULL, compute, jobs) != 0)
        ok = err_set(err, ERR_IO, "no thread can be started");
    jobs->started = ok;
    if (ok)
        return jobs;
    jobs_close(jobs);
    return NULL;
}

void jobs_stop(Jobs *jobs)
{
    jobs_lock(jobs);
    jobs->closing = true;
    pthread_cond_signal(&jobs->more);
    jobs_unlock(jobs);
    if (jobs->started)
        pthread_join(jobs->thread, NULL);
    jobs->started = false;
}

void jobs_close(Jobs *jobs)
{
    if (!jobs)
        return;
    jobs_stop(jobs);
    writer_close(jobs->writer);
    text_engine_close(&jobs->engine);
    pthread_mutex_destroy(&jobs->lock);
    pthread_cond_destroy(&jobs->more);
    free(jobs->running);
    free(jobs->ids);
    free(jobs->types);
    free(jobs->start);
    free(jobs->example);
    free(jobs->adapters);
    free(jobs->pixels);
    free(jobs->logits);
    free(jobs);
}
