/* oracle_bench - the step without a parameter server: what the server and the wire cost is the
 * difference to `lora train` on the same run file.
 *
 *   mpirun -n 2 oracle_bench RUN.yaml [--key=value ...]
 *
 * The worker's own code (worker/train) runs unchanged; the functions of ps_client.h are defined here
 * instead, without a thread, a socket or a log: the leader's next lease is AdamW in place. Prints
 * tokens a second after the first `logging_steps` steps. */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/config/options.h"
#include "ps/store.h"
#include "worker/train/job.h"

#include <stdlib.h>
#include <string.h>

struct PsClient {
    Config config;
    ModelArch *arch;
    SlotTable *table;
    Store store;
    float *sums;
    int64_t step, total, tokens;
    double begin; /* when the steps that count began */
    double weight; /* that the sums are divided by */
};

PsClient *ps_client_open(const PsClientOptions *options, Err *err)
{
    (void)options;
    (void)err;
    return xcalloc(1, sizeof(PsClient));
}

void ps_client_close(PsClient *client)
{
    if (!client)
        return;
    free(client->sums);
    store_release(&client->store);
    slots_close(client->table);
    arch_close(client->arch);
    config_release(&client->config);
    free(client);
}

bool ps_client_ask(PsClient *client, const char *found, char **run_text, uint64_t *run, Err *err)
{
    (void)client;
    (void)found;
    (void)run_text;
    (void)run;
    return err_set(err, ERR_INPUT, "oracle_bench needs a run file");
}

static bool open_store(PsClient *client, Err *err)
{
    const Config *c = &client->config;
    char *folder = model_find(c->model, err);
    client->arch =
        folder ? arch_open(folder, c->model_config, c->task, &c->labels, c->label_count, c->problem_type, err) : NULL;
    free(folder);
    client->table = client->arch ? slots_open(client->arch, &c->lora, err) : NULL;
    if (!client->table ||
        !store_init(&client->store, client->table, &client->config.lora, &client->config.train, false, err))
        return false;
    client->sums = mem_alloc((size_t)client->table->size * sizeof(float), err);
    return client->sums && slots_init(client->store.value, client->table, client->arch, &c->lora, c->train.seed, err);
}

bool ps_client_hello(PsClient *client, const HelloFacts *facts, const char *run_text, char **fixed, char **follow,
                     Err *err)
{
    const ConfigSources sources = { "the run", run_text, NULL, 0 };
    if (!config_load(&client->config, &sources, err) || !open_store(client, err))
        return false;
    if (client->config.parallel.micro_batches < 1 || client->config.train.max_steps < 1)
        return err_set(err, ERR_INPUT, "give parallel.micro_batches and train.max_steps");
    client->total = client->config.train.max_steps;
    char digest[24];
    Text text = { 0 };
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)facts->fingerprint);
    if (!config_set(&client->config, "parallel.arithmetic", facts->arithmetic, err) ||
        !config_set(&client->config, "parallel.fingerprint", digest, err))
        return false;
    config_print(&client->config, &text);
    *fixed = text_take(&text);
    *follow = NULL;
    return true;
}

void ps_client_plan(PsClient *client, uint64_t plan, const PsConfig *ps)
{
    (void)ps;
    (void)client;
    (void)plan;
}

static void update(PsClient *client)
{
    const TrainConfig *t = &client->config.train;
    const AdamW adam = { t->learning_rate, t->adam_beta1,   t->adam_beta2,
                         t->adam_epsilon,  t->weight_decay, client->step + 1 };
    rates_set(client->store.rates, client->store.table->count, &(Schedule){ 0 }, t->learning_rate, 0);
    store_apply(&client->store, client->sums, client->weight, t->max_grad_norm, &adam, NULL);
    client->weight = 0;
    client->step++;
    if (client->step == t->logging_steps) {
        client->begin = clock_now();
        client->tokens = 0;
    }
}

bool ps_client_next(PsClient *client, int64_t have, Lease *lease, float *values, int64_t size, Err *err)
{
    (void)err;
    if (have >= 0)
        update(client);
    memcpy(values, client->store.value, (size_t)size * sizeof *values);
    *lease = (Lease){ .kind = LEASE_TRAIN, .step = client->step, .version = client->step, .range_count = 1 };
    lease->range[0] = (Range){ 0, client->config.parallel.micro_batches };
    if (client->step == client->total) {
        printf("{\"tokens_per_second\": %.1f}\n", (double)client->tokens / (clock_now() - client->begin));
        lease->kind = LEASE_STOP;
    }
    return true;
}

bool ps_client_push(PsClient *client, const Push *push, Err *err)
{
    if (push->range.begin != 0 || push->range.end != client->config.parallel.micro_batches)
        return err_set(err, ERR_INPUT, "one job on one node computes whole steps");
    memcpy(client->sums, push->data, push->size);
    client->weight = push->weight;
    client->tokens += push->tokens;
    return true;
}

void ps_client_memory(PsClient *client, int64_t bytes)
{
    (void)client;
    (void)bytes;
}

MemoryOffer ps_client_offer(PsClient *client)
{
    (void)client;
    return (MemoryOffer){ 0 };
}

void ps_client_takes(PsClient *client, uint64_t sums_key)
{
    (void)client;
    (void)sums_key;
}

void ps_client_foresee(PsClient *client, const Foreseen *foreseen)
{
    (void)client;
    (void)foreseen;
}

void ps_client_traffic(const PsClient *client, int64_t *up, int64_t *down)
{
    (void)client;
    *up = *down = 0;
}

int main(int argc, char **argv)
{
    const OptionTable table = { "oracle_bench", "RUN.yaml", "the step without a parameter server", NULL, 0, true, 0 };
    Arguments given = { 0 };
    Err err = { 0 };
    Job job = { 0 };
    int code = 0;
    Comm *comm = NULL;
    Groups groups;
    bool ok = options_read(&given, &table, argc, argv, &err) && arguments_expect(&given, &table, 1, 1, &err) &&
              (comm = comm_open(&argc, &argv, &err)) && comm_groups(&groups, comm, 1, 1, &err);
    if (ok) {
        const ConfigSources sources = { .file = given.positionals[0],
                                        .overrides = given.overrides,
                                        .override_count = given.override_count };
        ok = job_open(&job, &groups, &sources, "none", NULL, &err) && job_work(&job, &code, &err);
        job_close(&job);
    }
    if (!ok && err.what[0])
        err_print(&err, stderr);
    if (comm)
        comm_close(comm);
    arguments_release(&given);
    return ok ? code : 2;
}
