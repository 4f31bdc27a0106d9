#include "common/config/config_names.h"

#include "common/config/config_table.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEY(name, initial, why)                                                                                        \
    {                                                                                                                  \
        name, initial, NAME_KEY, name, NULL, why                                                                       \
    }
#define AS(name, initial, key, values, note)                                                                           \
    {                                                                                                                  \
        name, initial, NAME_AS, key, values, note                                                                      \
    }
#define BATCH(name, initial, why)                                                                                      \
    {                                                                                                                  \
        name, initial, NAME_BATCH, "train.batch_size", NULL, why                                                       \
    }
#define SAME(name, initial, key, note)                                                                                 \
    {                                                                                                                  \
        name, initial, NAME_SAME, key, NULL, note                                                                      \
    }
#define ANY(name, initial, why)                                                                                        \
    {                                                                                                                  \
        name, initial, NAME_ANY, NULL, NULL, why                                                                       \
    }
#define ONLY(name, initial, values, instead)                                                                           \
    {                                                                                                                  \
        name, initial, NAME_ONLY, NULL, values, instead                                                                \
    }
#define LATER(name, initial, what)                                                                                     \
    {                                                                                                                  \
        name, initial, NAME_LATER, NULL, NULL, what                                                                    \
    }

#define NO_PEER_RANKS "ranks need no settings of PyTorch's: `lora train --ranks=N`, mpirun, launch/hosts"
#define NO_GPU "CPUs compute in fp32 here: remove it"
#define NO_HUB "nothing is uploaded: `hf upload NAME output_dir` afterwards"
#define NO_PADDING "sequences lie end to end, so there is no padding to save: remove it"
#define OWN_FILES "the figures are in metrics.jsonl and trainer_state.json of output_dir"
#define IN_TIME "data is read and encoded once, before the first step"
#define NO_TORCH "a matter of PyTorch's, which does not compute here"
#define ALL_METRICS "evaluations always give all metrics of the task, as sums that add"
#define OTHER_METHOD "remove it: that init_lora_weights is not supported"

/* clang-format off */
static const PeerName names[] = {
    AS("lora.task_type", "null", "task_type", NULL, "a key of the run, not of lora"),
    AS("lora.peft_type", "null", "lora.method", "LORA=lora|ADALORA=adalora", NULL),
    ANY("lora.auto_mapping", "null", "task_type says which model it is"),
    ANY("lora.peft_version", "null", "of whoever wrote the adapter"),
    AS("lora.base_model_name_or_path", "null", "model", NULL, NULL),
    ONLY("lora.revision", "null", "main", "download that revision and name its folder as model"),
    ANY("lora.inference_mode", "false", "training and prediction are commands of their own"),
    KEY("lora.r", "8", NULL),
    KEY("lora.target_modules", "null", NULL),
    KEY("lora.exclude_modules", "null", NULL),
    KEY("lora.lora_alpha", "8", "twice r, as most recipes have it; with 8 every update is half as large"),
    KEY("lora.lora_dropout", "0.0", NULL),
    ANY("lora.fan_in_fan_out", "false", "the model's family says how its weights lie"),
    KEY("lora.bias", "none", NULL),
    KEY("lora.use_rslora", "false", NULL),
    KEY("lora.modules_to_save", "null", NULL),
    KEY("lora.init_lora_weights", "true", NULL),
    KEY("lora.layers_to_transform", "null", NULL),
    LATER("lora.layers_pattern", "null", "the list of layers is known of every supported family"),
    KEY("lora.rank_pattern", "{}", NULL),
    KEY("lora.alpha_pattern", "{}", NULL),
    ONLY("lora.megatron_config", "null", NULL, "remove it: models of Megatron are not read"),
    ANY("lora.megatron_core", "megatron.core", "models of Megatron are not read"),
    KEY("lora.trainable_token_indices", "null", NULL),
    ONLY("lora.loftq_config", "{}", NULL, OTHER_METHOD),
    ONLY("lora.eva_config", "null", NULL, OTHER_METHOD),
    ONLY("lora.corda_config", "null", NULL, OTHER_METHOD),
    ONLY("lora.lora_ga_config", "null", NULL, OTHER_METHOD),
    KEY("lora.use_dora", "false", NULL),
    ONLY("lora.velora_config", "null", NULL, "remove it: plain LoRA is computed"),
    ONLY("lora.alora_invocation_tokens", "null", NULL, "remove it: plain LoRA is computed"),
    ONLY("lora.use_qalora", "false", NULL, "remove it: plain LoRA is computed"),
    ANY("lora.qalora_group_size", "16", "for use_qalora only"),
    ONLY("lora.monteclora_config", "null", NULL, "remove it: plain LoRA is computed"),
    LATER("lora.layer_replication", "null", "layers that stand in the model more than once"),
    ANY("lora.runtime_config", "{ephemeral_gpu_offload: false}", "a matter of GPU memory"),
    KEY("lora.lora_bias", "false", NULL),
    LATER("lora.target_parameters", "null", "adapted parameters that are no module's weight"),
    ONLY("lora.use_bdlora", "null", NULL, "remove it: plain LoRA is computed"),
    ONLY("lora.arrow_config", "null", NULL, "remove it: plain LoRA is computed"),
    ONLY("lora.kasa_config", "null", NULL, "remove it: plain LoRA is computed"),
    LATER("lora.ensure_weight_tying", "false", "modules_to_save that share a weight"),
    KEY("lora.init_r", "12", NULL),
    KEY("lora.target_r", "8", NULL),
    KEY("lora.tinit", "0", NULL),
    KEY("lora.tfinal", "0", NULL),
    KEY("lora.deltaT", "1", NULL),
    KEY("lora.beta1", "0.85", NULL),
    KEY("lora.beta2", "0.85", NULL),
    KEY("lora.orth_reg_weight", "0.5", NULL),
    KEY("lora.total_step", "null", NULL),

    KEY("train.output_dir", "null", NULL),
    BATCH("train.per_device_train_batch_size", "8",
          "batch_size counts the examples of a whole step, whatever the workers"),
    KEY("train.num_train_epochs", "3.0", NULL),
    KEY("train.max_steps", "-1", NULL),
    KEY("train.learning_rate", "5e-5", "Trainer's is meant for whole models; adapters bear a higher rate, and need it"),
    KEY("train.lr_scheduler_type", "linear", NULL),
    KEY("train.lr_scheduler_kwargs", "null", NULL),
    KEY("train.warmup_steps", "0", "below 1 it is a share of all steps, as warmup_ratio"),
    KEY("train.optim", "adamw_torch_fused", "the same AdamW, by another kernel"),
    ONLY("train.optim_args", "null", NULL, "AdamW's are adam_beta1, adam_beta2, adam_epsilon, weight_decay"),
    KEY("train.weight_decay", "0.0", NULL),
    KEY("train.adam_beta1", "0.9", NULL),
    KEY("train.adam_beta2", "0.999", NULL),
    KEY("train.adam_epsilon", "1e-8", NULL),
    ONLY("train.optim_target_modules", "null", NULL, "remove it: lora.target_modules says what is trained"),
    BATCH("train.gradient_accumulation_steps", "1", NULL),
    ANY("train.average_tokens_across_devices", "true", "a loss is always the mean over all tokens of the step"),
    KEY("train.max_grad_norm", "1.0", NULL),
    KEY("train.label_smoothing_factor", "0.0", NULL),
    AS("train.bf16", "false", "train.precision", "false=|true=bf16", NULL),
    ONLY("train.fp16", "false", NULL, NO_GPU),
    ONLY("train.bf16_full_eval", "false", NULL, NO_GPU),
    ONLY("train.fp16_full_eval", "false", NULL, NO_GPU),
    ANY("train.tf32", "null", "a matter of GPUs; CPUs compute in fp32"),
    AS("train.activation_checkpointing", "null", "train.gradient_checkpointing", NULL, NULL),
    ANY("train.activation_checkpointing_kwargs", "null", "for activation_checkpointing only"),
    KEY("train.gradient_checkpointing", "null", NULL),
    ANY("train.gradient_checkpointing_kwargs", "null", "for gradient_checkpointing only"),
    ANY("train.torch_compile", "false", NO_TORCH),
    ANY("train.torch_compile_backend", "null", NO_TORCH),
    ANY("train.torch_compile_mode", "null", NO_TORCH),
    ANY("train.use_liger_kernel", "false", NO_TORCH),
    ANY("train.liger_kernel_config", "null", NO_TORCH),
    ANY("train.use_cache", "false", "training keeps no keys and values, writing always does"),
    KEY("train.neftune_noise_alpha", "null", "the length of the text, not of the padded batch"),
    ANY("train.torch_empty_cache_steps", "null", NO_TORCH),
    ONLY("train.auto_find_batch_size", "false", NULL,
         "remove it: memory depends on parallel.micro_batch_tokens, not on the batch"),
    ONLY("train.logging_strategy", "steps", NULL, "write train.logging_steps: the steps between two lines"),
    KEY("train.logging_steps", "500", "on CPUs 500 steps may be hours without a word"),
    ONLY("train.logging_first_step", "false", NULL, "write train.logging_steps: 1"),
    ANY("train.log_on_each_node", "true", "the server writes the log"),
    ANY("train.logging_nan_inf_filter", "true", "train.on_nan says what follows a loss that is not finite"),
    ANY("train.include_num_input_tokens_seen", "no", "summary.json always counts them"),
    ANY("train.log_level", "passive", "what matters is always said"),
    ANY("train.log_level_replica", "warning", "what matters is always said"),
    ANY("train.disable_tqdm", "null", "there is a bar on a terminal, and lines elsewhere"),
    AS("train.report_to", "none", "train.tensorboard", "none=false|tensorboard=true|all=true", OWN_FILES),
    ANY("train.run_name", "null", "a name for trackers; output_dir names the run"),
    ANY("train.project", "huggingface", "for trackers only"),
    ANY("train.trackio_space_id", "null", "for a tracker only"),
    ANY("train.trackio_bucket_id", "null", "for a tracker only"),
    ANY("train.trackio_static_space_id", "null", "for a tracker only"),
    KEY("train.eval_strategy", "no", "validation data is there to be used; without it the default is no"),
    KEY("train.eval_steps", "null", "whole steps, not a share of all"),
    ONLY("train.eval_delay", "0", NULL, "remove it: evaluations begin with the first epoch or eval_steps"),
    ANY("train.per_device_eval_batch_size", "8", "evaluations are cut by parallel.micro_batch_tokens"),
    ANY("train.prediction_loss_only", "false", ALL_METRICS),
    ONLY("train.eval_on_start", "false", NULL, "`lora eval RUN.yaml` measures the model before training"),
    ANY("train.eval_do_concat_batches", "true", ALL_METRICS),
    ANY("train.eval_use_gather_object", "false", ALL_METRICS),
    ANY("train.eval_accumulation_steps", "null", ALL_METRICS),
    ANY("train.include_for_metrics", "[]", ALL_METRICS),
    ANY("train.batch_eval_metrics", "false", ALL_METRICS),
    ANY("train.save_only_model", "false", "a checkpoint always holds what is needed to go on"),
    KEY("train.save_strategy", "steps",
        "as eval_strategy; a run goes on from its log anyway"),
    KEY("train.save_steps", "500", "whole steps, not a share of all"),
    ANY("train.save_on_each_node", "false", "the server writes the checkpoints"),
    KEY("train.save_total_limit", "null", NULL),
    ANY("train.enable_jit_checkpoint", "false", "a run that is asked to end always writes a checkpoint"),
    ONLY("train.push_to_hub", "false", NULL, NO_HUB),
    ANY("train.hub_token", "null", NO_HUB),
    ANY("train.hub_private_repo", "null", NO_HUB),
    ANY("train.hub_model_id", "null", NO_HUB),
    ANY("train.hub_strategy", "every_save", NO_HUB),
    ANY("train.hub_always_push", "false", NO_HUB),
    ANY("train.hub_revision", "null", NO_HUB),
    KEY("train.load_best_model_at_end", "false", NULL),
    KEY("train.metric_for_best_model", "null", NULL),
    { "train.greater_is_better", "null", NAME_GREATER, "train.metric_for_best_model", NULL,
      "it follows from the metric" },
    ONLY("train.ignore_data_skip", "false", NULL, "remove it: a run goes on with the rows it has not seen"),
    ANY("train.restore_callback_states_from_checkpoint", "false", "a run goes on with all of its state"),
    ANY("train.full_determinism", "false", "the same run file always gives the same bits"),
    KEY("train.seed", "42", NULL),
    SAME("train.data_seed", "null", "train.seed", "one seed is that of order, dropout and fresh weights"),
    ANY("train.use_cpu", "false", "CPUs are all there is"),
    ANY("train.accelerator_config", "null", NO_PEER_RANKS),
    ONLY("train.parallelism_config", "null", NULL, NO_PEER_RANKS),
    ONLY("train.dataloader_drop_last", "false", NULL, "remove it: the last, shorter batch of an epoch counts"),
    ANY("train.dataloader_num_workers", "0", IN_TIME),
    ANY("train.dataloader_pin_memory", "true", IN_TIME),
    ANY("train.dataloader_persistent_workers", "false", IN_TIME),
    ANY("train.dataloader_prefetch_factor", "null", IN_TIME),
    ANY("train.dataloader_multiprocessing_context", "null", IN_TIME),
    ANY("train.dataloader_in_order", "true", IN_TIME),
    ANY("train.remove_unused_columns", "true", "the keys of data name the columns that are read"),
    ONLY("train.label_names", "null", NULL, "write data.label: the column of the label"),
    AS("train.train_sampling_strategy", "random", "data.shuffle", "random=true|sequential=false", NO_PADDING),
    ANY("train.length_column_name", "length", "lengths are counted, not read"),
    ANY("train.ddp_find_unused_parameters", "null", NO_PEER_RANKS),
    ANY("train.ddp_bucket_cap_mb", "null", NO_PEER_RANKS),
    ANY("train.ddp_broadcast_buffers", "null", NO_PEER_RANKS),
    ANY("train.ddp_static_graph", "null", NO_PEER_RANKS),
    ANY("train.ddp_backend", "null", NO_PEER_RANKS),
    ANY("train.ddp_timeout", "1800", NO_PEER_RANKS),
    ONLY("train.fsdp", "null", NULL, "remove it: the ranks of a node share one copy of the model"),
    ANY("train.fsdp_config", "null", "for fsdp only"),
    ONLY("train.deepspeed", "null", NULL, "remove it: the ranks of a node share one copy of the model"),
    ANY("train.debug", "\"\"", NO_TORCH),
    ANY("train.skip_memory_metrics", "true", "summary.json always has the memory"),
    ANY("train.do_train", "false", "`lora train` trains"),
    ANY("train.do_eval", "false", "eval_strategy says when; `lora eval` evaluates"),
    ANY("train.do_predict", "false", "`lora predict` predicts"),
    ONLY("train.resume_from_checkpoint", "null", "true|false",
         "remove it: a run goes on by itself in its output_dir; lora.init_adapter begins with an adapter's weights"),
    ANY("train.local_rank", "-1", NO_PEER_RANKS),

    /* what Transformers 4 had besides */
    ONLY("train.overwrite_output_dir", "false", NULL,
         "`lora train RUN.yaml --overwrite` starts anew; in a file it would throw the run away at each restart"),
    BATCH("train.per_gpu_train_batch_size", "null", NULL),
    ANY("train.per_gpu_eval_batch_size", "null", "evaluations are cut by parallel.micro_batch_tokens"),
    AS("train.evaluation_strategy", "no", "train.eval_strategy", NULL, NULL),
    KEY("train.warmup_ratio", "0.0", NULL),
    ANY("train.logging_dir", "null", OWN_FILES),
    ONLY("train.save_safetensors", "true", NULL, "remove it: adapters are written as safetensors, which PEFT reads"),
    ANY("train.no_cuda", "false", "CPUs are all there is"),
    ANY("train.use_mps_device", "false", "CPUs are all there is"),
    ANY("train.jit_mode_eval", "false", NO_TORCH),
    ANY("train.use_ipex", "false", NO_TORCH),
    ANY("train.fp16_opt_level", "O1", "for fp16 only"),
    ANY("train.half_precision_backend", "auto", "for fp16 only"),
    ANY("train.fp16_backend", "auto", "for fp16 only"),
    ANY("train.tpu_num_cores", "null", "CPUs are all there is"),
    ANY("train.tpu_metrics_debug", "false", "CPUs are all there is"),
    ANY("train.xpu_backend", "null", NO_PEER_RANKS),
    ONLY("train.past_index", "-1", NULL, "remove it: no supported model has such an output"),
    ANY("train.fsdp_min_num_params", "0", "for fsdp only"),
    ANY("train.fsdp_transformer_layer_cls_to_wrap", "null", "for fsdp only"),
    ONLY("train.sharded_ddp", "\"\"", NULL, "remove it: the ranks of a node share one copy of the model"),
    ONLY("train.adafactor", "false", NULL, "remove it: the server's optimizer is AdamW in fp32"),
    ONLY("train.group_by_length", "false", NULL, NO_PADDING),
    ANY("train.use_legacy_prediction_loop", "false", ALL_METRICS),
    ANY("train.include_inputs_for_metrics", "false", ALL_METRICS),
    ANY("train.include_tokens_per_second", "false", "metrics.jsonl always has them"),
    ANY("train.push_to_hub_model_id", "null", NO_HUB),
    ANY("train.push_to_hub_organization", "null", NO_HUB),
    ANY("train.push_to_hub_token", "null", NO_HUB),
    ANY("train._n_gpu", "-1", "CPUs are all there is"),
    ANY("train.mp_parameters", "\"\"", NO_PEER_RANKS),
    ANY("train.torchdynamo", "null", NO_TORCH),
    ANY("train.ray_scope", "last", "for a search of Ray's only"),
    ANY("train.dispatch_batches", "null", IN_TIME),
    ANY("train.split_batches", "null", IN_TIME),

    /* of other scripts, and of later versions */
    AS("train.max_seq_length", NULL, "data.max_length", NULL, NULL),
    AS("train.max_length", NULL, "data.max_length", NULL, NULL),
    AS("train.dataset_text_field", NULL, "data.text", NULL, NULL),
    AS("train.predict_with_generate", NULL, "data.generate", NULL, NULL),
    AS("train.generation_max_length", NULL, "data.max_new_tokens", NULL, NULL),
    ONLY("train.generation_num_beams", "null", "1", "remove it: texts are the likeliest tokens, or drawn, one at a time"),
    AS("train.packing", NULL, "data.packing", NULL, "data.block_size says how large a pack may be"),
    ONLY("train.packing_strategy", NULL, "bfd", "remove it: rows are put together whole, and their borders are kept"),
    ANY("train.eval_packing", NULL, "evaluations are of single rows, whose loss packing would not change"),
    ANY("train.padding_free", NULL, "sequences always lie end to end, without padding"),
    ANY("train.pad_to_multiple_of", NULL, "sequences always lie end to end, without padding"),
    ANY("train.dataset_num_proc", NULL, IN_TIME),
    ONLY("train.completion_only_loss", NULL, "true",
         "remove it: of data.prompt and data.completion the completion is learnt; texts that are learnt whole are data.text"),
    ONLY("train.assistant_only_loss", NULL, "true",
         "remove it: of data.messages what the assistant says is learnt; texts that are learnt whole are data.text"),
    ONLY("train.chat_template_path", NULL, NULL, "put it into the model's folder, as chat_template.jinja"),
};
/* clang-format on */

enum { NAMES = sizeof names / sizeof names[0] };

const PeerName *config_names(int *count)
{
    *count = NAMES;
    return names;
}

const PeerName *config_name_find(const char *name)
{
    for (int i = 0; i < NAMES; i++)
        if (strcmp(names[i].name, name) == 0)
            return &names[i];
    return NULL;
}

bool config_known(const char *name)
{
    return config_find(name) || config_name_find(name);
}

bool config_name_word(const PeerName *row, const char *word, const char **to, size_t *size)
{
    const size_t n = strlen(word);
    for (const char *v = row->values; v && *v; v += strcspn(v, "|"), v += *v == '|') {
        const size_t from = strcspn(v, "=|");
        if (from != n || strncasecmp(v, word, n) != 0)
            continue;
        *to = v + from + (v[from] == '=');
        *size = strcspn(*to, "|");
        return true;
    }
    return false;
}

bool config_name_differs(const PeerName *row)
{
    const bool factor = row->kind == NAME_BATCH && row->note;
    if ((row->kind != NAME_KEY && !factor) || strcmp(row->initial, "null") == 0)
        return false;
    const char *here = config_find(row->key)->initial;
    if (config_is_number(row->initial) && config_is_number(here))
        return strtod(row->initial, NULL) != strtod(here, NULL);
    return strcasecmp(row->initial, here) != 0;
}

/* ---- for --help ---- */

void config_name_behaviour(const PeerName *row, Text *out)
{
    switch (row->kind) {
    case NAME_KEY:
        text_adds(out, "works");
        break;
    case NAME_AS:
        text_addf(out, "works as %s", row->key);
        break;
    case NAME_BATCH:
        text_addf(out, "works as a factor of %s, of one device", row->key);
        break;
    case NAME_SAME:
    case NAME_GREATER:
        text_addf(out, "accepted where it says what %s says", row->key);
        break;
    case NAME_ANY:
        text_adds(out, "accepted, changes nothing");
        break;
    case NAME_ONLY:
    case NAME_LATER:
        text_adds(out, row->initial ? "only its default" : row->values ? "only" : "not supported");
        for (const char *v = row->values; v && *v; v += strcspn(v, "|"), v += *v == '|')
            text_addf(out, "%s%.*s", v != row->values ? ", " : row->initial ? " or " : " ", (int)strcspn(v, "|"), v);
        text_adds(out, row->kind == NAME_LATER ? " yet" : "");
        break;
    }
    if (config_name_differs(row))
        text_addf(out, "; here %s", config_find(row->key)->initial);
    if (row->note)
        text_addf(out, ": %s", row->note);
}

void config_names_help(Text *out)
{
    for (int i = 0; i < NAMES; i++) {
        text_addf(out, "  %-40s  %-18s  ", names[i].name, names[i].initial ? names[i].initial : "-");
        config_name_behaviour(&names[i], out);
        text_adds(out, "\n");
    }
}

void config_differences_help(Text *out)
{
    for (int i = 0; i < NAMES; i++)
        if (config_name_differs(&names[i]))
            text_addf(out, "  %-36s  %-6s  %-6s  %s\n", names[i].name, names[i].initial,
                      config_find(names[i].key)->initial, names[i].note);
}
