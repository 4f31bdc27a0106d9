#include "ps/prometheus.h"

#include "common/base/mem.h"

#include <string.h>

/* One number of the report, by its path. */
typedef struct ReportFigure {
    const char *name, *type, *help, *path[2];
} ReportFigure;

static const ReportFigure singles[] = {
    { "lora_steps_total", "counter", "Steps that were applied.", { "step", NULL } },
    { "lora_steps_planned", "gauge", "Steps of the whole run; 0 before the first worker.", { "total_steps", NULL } },
    { "lora_epoch", "gauge", "Passes over the training data.", { "epoch", NULL } },
    { "lora_loss", "gauge", "Mean training loss since the last logged line.", { "loss", NULL } },
    { "lora_learning_rate", "gauge", "Learning rate of the last logged step.", { "learning_rate", NULL } },
    { "lora_gradient_norm", "gauge", "Norm before clipping at the last logged step.", { "grad_norm", NULL } },
    { "lora_tokens_total", "counter", "Tokens that were trained on.", { "tokens", NULL } },
    { "lora_training_seconds_total", "counter", "Time that steps and evaluations took.", { "seconds", NULL } },
    { "lora_workers", "gauge", "Clients that are there.", { "clients", NULL } },
    { "lora_worker_ranks", "gauge", "Ranks behind them.", { "ranks", NULL } },
    { "lora_workers_quarantined", "gauge", "Clients that get no work.", { "quarantined", NULL } },
    { "lora_full_fine_tuning_bytes",
      "gauge",
      "What full fine-tuning would have sent for these steps.",
      { "traffic", "full_fine_tuning" } },
    { "lora_wire_share_ratio", "gauge", "Bytes sent, of those of full fine-tuning.", { "traffic", "share" } },
    { "lora_pieces", "gauge", "Pieces of the open round.", { "pieces", "total" } },
    { "lora_pieces_done", "gauge", "Pieces of the open round that are done.", { "pieces", "done" } },
    { "lora_log_bytes", "gauge", "Size of the write-ahead log.", { "durable", "log_bytes" } },
    { "lora_log_sync_seconds", "gauge", "Time that the last sync of the log took.", { "durable", "sync_seconds" } },
    { "lora_checkpoint_step", "gauge", "Step of the newest checkpoint.", { "durable", "checkpoint" } },
    { "lora_messages_malformed_total",
      "counter",
      "Messages that were none of the protocol.",
      { "refused", "malformed" } },
    { "lora_pushes_absurd_total", "counter", "Sums that were not finite, or absurdly large.", { "refused", "absurd" } },
    { "lora_pieces_differing_total",
      "counter",
      "Pieces of which two machines gave other bits.",
      { "refused", "differing" } },
    { "process_resident_memory_bytes", "gauge", "Memory of the server.", { "memory", "server" } },
    { "process_start_time_seconds", "gauge", "When the server began, since 1970.", { "started", NULL } },
};

static void add_head(Text *out, const char *name, const char *type, const char *help)
{
    text_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* As a label's value: backslash, quote and newline escaped. */
static void add_quoted(Text *out, const char *value)
{
    text_adds(out, "\"");
    for (; value && *value; value++) {
        if (*value == '\n')
            text_adds(out, "\\n");
        else if (*value == '"' || *value == '\\')
            text_addf(out, "\\%c", *value);
        else
            text_add(out, value, 1);
    }
    text_adds(out, "\"");
}

static void add_singles(Text *out, const json_t *report)
{
    for (size_t i = 0; i < LENGTH(singles); i++) {
        const ReportFigure *f = &singles[i];
        const json_t *value = json_object_get(report, f->path[0]);
        if (f->path[1])
            value = json_object_get(value, f->path[1]);
        if (!json_is_number(value))
            continue;
        add_head(out, f->name, f->type, f->help);
        text_addf(out, "%s %.17g\n", f->name, json_number_value(value));
    }
}

static void add_evaluation(Text *out, const json_t *evaluation)
{
    const char *key;
    json_t *value;
    bool first = true;
    json_object_foreach((json_t *)(uintptr_t)evaluation, key, value)
    {
        if (!text_starts(key, "eval_") || !json_is_number(value))
            continue;
        if (first)
            add_head(out, "lora_evaluation", "gauge", "Figures of the last evaluation.");
        first = false;
        text_addf(out, "lora_evaluation{metric=\"%s\"} %.17g\n", key + strlen("eval_"), json_number_value(value));
    }
}

static void add_traffic(Text *out, const json_t *traffic)
{
    add_head(out, "lora_wire_bytes_total", "counter", "Bytes on the wire, framing included, over restarts.");
    static const char *const ways[] = { "up", "down" };
    for (size_t i = 0; i < LENGTH(ways); i++)
        text_addf(out, "lora_wire_bytes_total{direction=\"%s\"} %.17g\n", ways[i],
                  json_number_value(json_object_get(traffic, ways[i])));
}

static void add_states(Text *out, const json_t *report)
{
    add_head(out, "lora_degraded", "gauge", "1 while steps are not durable, or the disk is slow.");
    text_addf(out, "lora_degraded %d\n", json_is_string(json_object_get(report, "degraded")));
    add_head(out, "lora_run_info", "gauge", "Whose figures these are.");
    text_adds(out, "lora_run_info{run=");
    add_quoted(out, json_string_value(json_object_get(report, "run")));
    text_adds(out, ",output_dir=");
    add_quoted(out, json_string_value(json_object_get(report, "output_dir")));
    text_adds(out, ",state=");
    add_quoted(out, json_string_value(json_object_get(report, "state")));
    text_adds(out, "} 1\n");
}

static void add_workers(Text *out, const json_t *workers)
{
    static const struct {
        const char *name, *help, *key;
    } figures[] = {
        { "lora_worker_pieces_per_second", "Micro-batches that a client computes.", "pieces_per_second" },
        { "lora_worker_lag_steps", "Versions that a client is behind.", "lag" },
        { "lora_worker_silent_seconds", "Time since a client was last heard.", "silent" },
        { "lora_worker_memory_bytes", "Memory of a client's ranks.", "memory" },
    };
    for (size_t f = 0; f < LENGTH(figures); f++) {
        if (json_array_size(workers) > 0)
            add_head(out, figures[f].name, "gauge", figures[f].help);
        for (size_t i = 0; i < json_array_size(workers); i++) {
            const json_t *row = json_array_get(workers, i), *value = json_object_get(row, figures[f].key);
            if (!json_is_number(value))
                continue;
            text_addf(out, "%s{client=\"%s\",host=", figures[f].name,
                      json_string_value(json_object_get(row, "client")));
            add_quoted(out, json_string_value(json_object_get(row, "host")));
            text_addf(out, "} %.17g\n", json_number_value(value));
        }
    }
}

void prometheus_write(Text *out, const json_t *report)
{
    add_singles(out, report);
    add_evaluation(out, json_object_get(report, "evaluation"));
    add_traffic(out, json_object_get(report, "traffic"));
    add_states(out, report);
    add_workers(out, json_object_get(report, "workers"));
}
