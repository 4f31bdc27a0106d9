#include "launch/serve/figures.h"

#include "common/base/process.h"

#include <string.h>

static const char *const counter_names[FIGURE_COUNTERS] = {
    [FIGURE_ABORTED] = "lora_requests_aborted_total",
    [FIGURE_PROMPT_TOKENS] = "lora_prompt_tokens_total",
    [FIGURE_TEXT_TOKENS] = "lora_generation_tokens_total",
};

static const char *const histogram_names[FIGURE_HISTOGRAMS] = {
    [FIGURE_FIRST_TOKEN] = "lora_time_to_first_token_seconds",
    [FIGURE_EACH_TOKEN] = "lora_time_per_output_token_seconds",
    [FIGURE_REQUEST] = "lora_request_seconds",
    [FIGURE_ROWS] = "lora_batch_rows",
};

/* Seconds, and rows of a step. */
static const double seconds[FIGURES_BUCKETS] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                 0.25,  0.5,    1,     2.5,  5,     10,   60 };
static const double rows[FIGURES_BUCKETS] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192 };

static const double *bounds(int histogram)
{
    return histogram == FIGURE_ROWS ? rows : seconds;
}

void figures_init(Figures *f)
{
    memset(f, 0, sizeof *f);
    pthread_mutex_init(&f->lock, NULL);
}

void figures_release(Figures *f)
{
    pthread_mutex_destroy(&f->lock);
}

void figures_add(Figures *f, FigureCounter counter, int64_t n)
{
    pthread_mutex_lock(&f->lock);
    f->counters[counter] += n;
    pthread_mutex_unlock(&f->lock);
}

void figures_see(Figures *f, FigureHistogram histogram, double value)
{
    int b = 0;
    while (b < FIGURES_BUCKETS && value > bounds(histogram)[b])
        b++;
    pthread_mutex_lock(&f->lock);
    f->histograms[histogram].buckets[b]++;
    f->histograms[histogram].count++;
    f->histograms[histogram].sum += value;
    pthread_mutex_unlock(&f->lock);
}

void figures_request(Figures *f, const char *path, int code)
{
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < sizeof f->requests / sizeof *f->requests; i++) {
        if (f->requests[i].count == 0) {
            f->requests[i].path = path;
            f->requests[i].code = code;
        }
        if (strcmp(f->requests[i].path, path) == 0 && f->requests[i].code == code) {
            f->requests[i].count++;
            break;
        }
    }
    pthread_mutex_unlock(&f->lock);
}

static void write_histogram(const Figures *f, int h, Text *out)
{
    int64_t below = 0;
    text_addf(out, "# TYPE %s histogram\n", histogram_names[h]);
    for (int b = 0; b < FIGURES_BUCKETS; b++) {
        below += f->histograms[h].buckets[b];
        text_addf(out, "%s_bucket{le=\"%g\"} %lld\n", histogram_names[h], bounds(h)[b], (long long)below);
    }
    text_addf(out, "%s_bucket{le=\"+Inf\"} %lld\n%s_sum %.9g\n%s_count %lld\n", histogram_names[h],
              (long long)f->histograms[h].count, histogram_names[h], f->histograms[h].sum, histogram_names[h],
              (long long)f->histograms[h].count);
}

void figures_write(Figures *f, const FiguresNow *now, Text *out)
{
    const struct {
        const char *name;
        int64_t value;
    } gauges[] = {
        { "lora_requests_running", now->running }, { "lora_requests_waiting", now->waiting },
        { "lora_adapters_loaded", now->adapters }, { "lora_kv_tokens", now->kv_tokens },
        { "lora_kv_tokens_max", now->kv_most },    { "process_resident_memory_bytes", process_memory() },
    };
    pthread_mutex_lock(&f->lock);
    text_adds(out, "# TYPE lora_requests_total counter\n");
    for (size_t i = 0; i < sizeof f->requests / sizeof *f->requests && f->requests[i].count > 0; i++)
        text_addf(out, "lora_requests_total{path=\"%s\",code=\"%d\"} %lld\n", f->requests[i].path, f->requests[i].code,
                  (long long)f->requests[i].count);
    for (int c = 0; c < FIGURE_COUNTERS; c++)
        text_addf(out, "# TYPE %s counter\n%s %lld\n", counter_names[c], counter_names[c], (long long)f->counters[c]);
    for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++)
        text_addf(out, "# TYPE %s gauge\n%s %lld\n", gauges[i].name, gauges[i].name, (long long)gauges[i].value);
    for (int h = 0; h < FIGURE_HISTOGRAMS; h++)
        write_histogram(f, h, out);
    pthread_mutex_unlock(&f->lock);
}
