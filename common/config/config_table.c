#include "common/config/config_table.h"

#include "common/config/config.h"

#include <string.h>

static const KeyWord task_words[] = {
    { "SEQ_CLS", TASK_SEQ_CLS, false },
    { "TOKEN_CLS", TASK_TOKEN_CLS, false },
    { "CAUSAL_LM", TASK_CAUSAL_LM, false },
    { "IMAGE_CLS", TASK_IMAGE_CLS, false },
    { "SEQ_2_SEQ_LM", TASK_SEQ_2_SEQ_LM, false },
    { "QUESTION_ANS", TASK_QUESTION_ANS, false },
    { "FEATURE_EXTRACTION", TASK_FEATURE_EXTRACTION, false },
    { NULL, 0, false },
};
static const KeyWord loss_words[] = {
    { "multiple_negatives_ranking", EMBED_NEGATIVES, false },
    { "cosent", EMBED_COSENT, false },
    { "cosine_mse", EMBED_COSINE, false },
    { "triplet", EMBED_TRIPLET, false },
    { NULL, 0, false },
};
static const KeyWord pooling_words[] = {
    { "mean", POOLING_MEAN, false },
    { "cls", POOLING_CLS, false },
    { "lasttoken", POOLING_LAST, false },
    { "max", 0, true },
    { "weightedmean", 0, true },
    { "mean_sqrt_len", 0, true },
    { NULL, 0, false },
};
static const KeyWord normalize_words[] = {
    { "true", NORMALIZE_YES, false },
    { "false", NORMALIZE_NO, false },
    { NULL, 0, false },
};
static const KeyWord distance_words[] = {
    { "euclidean", DISTANCE_EUCLIDEAN, false },
    { "cosine", DISTANCE_COSINE, false },
    { NULL, 0, false },
};
static const KeyWord problem_words[] = {
    { "single_label_classification", PROBLEM_SINGLE_LABEL, false },
    { "regression", PROBLEM_REGRESSION, false },
    { "multi_label_classification", PROBLEM_MULTI_LABEL, false },
    { NULL, 0, false },
};
static const KeyWord trained_words[] = {
    { "lora", MODE_LORA, false },
    { "full", MODE_FULL, false },
    { NULL, 0, false },
};
static const KeyWord balanced_words[] = {
    { "balanced", 0, false },
    { NULL, 0, false },
};
static const KeyWord bias_words[] = {
    { "none", BIAS_NONE, false },
    { "all", BIAS_ALL, false },
    { "lora_only", BIAS_LORA_ONLY, false },
    { NULL, 0, false },
};
static const KeyWord method_words[] = {
    { "lora", METHOD_LORA, false },
    { "adalora", METHOD_ADALORA, false },
    { NULL, 0, false },
};
static const KeyWord init_words[] = {
    { "true", INIT_TRUE, false },
    { "false", INIT_FALSE, false },
    { "gaussian", INIT_GAUSSIAN, false },
    { "orthogonal", INIT_ORTHOGONAL, false },
    { "pissa", INIT_PISSA, false },
    { "pissa_niter_N", INIT_PISSA_NITER, false },
    { "olora", INIT_OLORA, false },
    { "eva", 0, true },
    { "corda", 0, true },
    { "loftq", 0, true },
    { "mica", 0, true },
    { NULL, 0, false },
};
static const KeyWord schedule_words[] = {
    { "linear", RATE_LINEAR, false },
    { "cosine", RATE_COSINE, false },
    { "constant", RATE_CONSTANT, false },
    { "constant_with_warmup", RATE_CONSTANT_WITH_WARMUP, false },
    { "cosine_with_restarts", RATE_COSINE_WITH_RESTARTS, false },
    { "cosine_with_min_lr", RATE_COSINE_WITH_MIN_LR, false },
    { "cosine_warmup_with_min_lr", RATE_COSINE_WARMUP_WITH_MIN_LR, false },
    { "polynomial", RATE_POLYNOMIAL, false },
    { "inverse_sqrt", RATE_INVERSE_SQRT, false },
    { "warmup_stable_decay", RATE_WARMUP_STABLE_DECAY, false },
    { "reduce_lr_on_plateau", RATE_REDUCE_ON_PLATEAU, false },
    { "greedy", 0, true },
    { NULL, 0, false },
};
static const KeyWord disk_words[] = {
    { "continue", ON_DISK_CONTINUE, false },
    { "pause", ON_DISK_PAUSE, false },
    { "stop", ON_DISK_STOP, false },
    { NULL, 0, false },
};
static const KeyWord nan_words[] = {
    { "stop", ON_NAN_STOP, false },
    { "skip", ON_NAN_SKIP, false },
    { "quarantine", ON_NAN_QUARANTINE, false },
    { NULL, 0, false },
};

static const KeyWord optim_words[] = {
    { "adamw_torch", OPTIM_ADAMW, false },
    { "adamw_torch_fused", OPTIM_ADAMW, false },
    { "adamw_torch_xla", OPTIM_ADAMW, false },
    { "adamw_torch_npu_fused", OPTIM_ADAMW, false },
    { "adamw_apex_fused", OPTIM_ADAMW, false },
    { "sgd", OPTIM_SGD, false },
    { NULL, 0, false },
};
static const KeyWord inner_words[] = {
    { "sgd", OPTIM_SGD, false },
    { "adamw_torch", OPTIM_ADAMW, false },
    { NULL, 0, false },
};
static const KeyWord meta_words[] = {
    { "reptile", META_REPTILE, false },
    { "fomaml", META_FOMAML, false },
    { "maml", 0, true },
    { "anil", 0, true },
    { NULL, 0, false },
};
static const KeyWord sampling_words[] = {
    { "proportional", SAMPLING_PROPORTIONAL, false },
    { "temperature", SAMPLING_TEMPERATURE, false },
    { "equal", SAMPLING_EQUAL, false },
    { NULL, 0, false },
};
static const KeyWord when_words[] = {
    { "no", WHEN_NO, false },
    { "steps", WHEN_STEPS, false },
    { "epoch", WHEN_EPOCH, false },
    { NULL, 0, false },
};
static const KeyWord save_words[] = {
    { "no", WHEN_NO, false }, { "steps", WHEN_STEPS, false }, { "epoch", WHEN_EPOCH, false }, { "best", 0, true },
    { NULL, 0, false },
};
static const KeyWord precision_words[] = {
    { "fp32", PRECISION_FP32, false },
    { "bf16", PRECISION_BF16, false },
    { "int8", PRECISION_INT8, false },
    { "nf4", PRECISION_NF4, false },
    { NULL, 0, false },
};
static const KeyWord mode_words[] = {
    { "sync", PS_SYNC, false }, { "ssp", PS_SSP, false }, { "async", PS_ASYNC, false },
    { "allreduce", 0, true },   { NULL, 0, false },
};
static const KeyWord wire_words[] = {
    { "fp32", WIRE_FP32, false },
    { "bf16", WIRE_BF16, false },
    { "int8", WIRE_INT8, false },
    { NULL, 0, false },
};

#define AT(field) offsetof(Config, field)

/* clang-format off */
static const ConfigKey keys[] = {
    { "model", KEY_MODEL, AT(model), "null", KEY_NULL, 0, 0, NULL,
      "folder of a Hugging Face model, or a hub name in the local cache" },
    { "model_config", KEY_OBJECT, AT(model_config), "{}", KEY_NULL, 0, 0, NULL,
      "overrides of the model's config.json" },
    { "task_type", KEY_WORD, AT(task), "SEQ_CLS", 0, 0, 0, task_words,
      "what is learnt" },
    { "labels", KEY_LABELS, AT(labels), "null", KEY_NULL | KEY_BEGUN, 1, 1e6, NULL,
      "names or count; null: from the model's config, then from the training data" },
    { "problem_type", KEY_WORD, AT(problem_type), "null", KEY_NULL | KEY_BEGUN, 0, 0, problem_words,
      "kind of loss; null: from the labels, as Transformers does" },

    { "tasks", KEY_OBJECT, AT(tasks_given), "{}", KEY_NULL, 0, 0, NULL,
      "several data sets for one adapter, each with its own classes and outputs: {NAME: {train, validation, labels, text, "
      "text_pair, label, weight}}; they say data.train, data.validation and labels" },

    { "data.train", KEY_PATHS, AT(data.train), "null", KEY_NULL | KEY_ROWS, 0, 0, NULL,
      "training data: a file, a folder of class folders, or a list of them" },
    { "data.validation", KEY_PATHS, AT(data.validation), "null", KEY_NULL, 0, 0, NULL,
      "data of the evaluations during training" },
    { "data.validation_split", KEY_REAL, AT(data.validation_split), "null",
      KEY_NULL | KEY_ABOVE | KEY_BELOW | KEY_ROWS, 0, 1, NULL,
      "share of the training data to hold back, instead of data.validation" },
    { "data.test", KEY_PATHS, AT(data.test), "null", KEY_NULL | KEY_FREE, 0, 0, NULL,
      "data of `lora eval`" },
    { "data.text", KEY_TEXT, AT(data.text), "text", 0, 0, 0, NULL,
      "column or field of the text" },
    { "data.text_pair", KEY_TEXT, AT(data.text_pair), "null", KEY_NULL, 0, 0, NULL,
      "column or field of the second text of a pair" },
    { "data.label", KEY_TEXT, AT(data.label), "label", 0, 0, 0, NULL,
      "column or field of the label" },
    { "data.max_length", KEY_INT, AT(data.max_length), "512", 0, 1, 1048576, NULL,
      "tokens of an example, special ones included; longer ones are cut" },
    { "data.max_target_length", KEY_INT, AT(data.max_target_length), "128", 0, 1, 1048576, NULL,
      "SEQ_2_SEQ_LM: tokens of a target, special ones included; longer ones are cut; data.max_length is the source's" },
    { "data.block_size", KEY_INT, AT(data.block_size), "null", KEY_NULL | KEY_ROWS, 2, 1048576, NULL,
      "CAUSAL_LM on plain text: the corpus is cut into blocks of this many tokens; with data.packing: of a pack" },
    { "data.packing", KEY_BOOL, AT(data.packing), "false", 0, 0, 0, NULL,
      "CAUSAL_LM: an example of a step is a pack of short rows, up to data.block_size tokens; no row sees another" },
    { "data.template", KEY_TEXT, AT(data.template_text), "null", KEY_NULL, 0, 0, NULL,
      "CAUSAL_LM, SEQ_2_SEQ_LM: the prompt (without data.completion: the text) of a row, in quotes: {NAME} is a field, "
      "{?NAME}...{/} a part only where the field is not empty" },
    { "data.system", KEY_TEXT, AT(data.system), "null", KEY_NULL, 0, 0, NULL,
      "CAUSAL_LM: the system's message of conversations that begin without one" },
    { "data.prompt", KEY_TEXT, AT(data.prompt), "null", KEY_NULL, 0, 0, NULL,
      "CAUSAL_LM, SEQ_2_SEQ_LM: column or field of the prompt (the source), which is not learnt" },
    { "data.completion", KEY_TEXT, AT(data.completion), "null", KEY_NULL, 0, 0, NULL,
      "CAUSAL_LM, SEQ_2_SEQ_LM: column or field of what follows the prompt (the target), which is learnt" },
    { "data.messages", KEY_TEXT, AT(data.messages), "null", KEY_NULL, 0, 0, NULL,
      "CAUSAL_LM: field of a conversation, a list of {role, content}; the model's chat template "
      "makes a text of it" },
    { "data.tokens", KEY_TEXT, AT(data.tokens), "tokens", 0, 0, 0, NULL,
      "TOKEN_CLS: field of the list of words, in a .jsonl file" },
    { "data.tags", KEY_TEXT, AT(data.tags), "tags", 0, 0, 0, NULL,
      "TOKEN_CLS: field of the list of their tags, in a .jsonl file" },
    { "data.columns", KEY_NAMES, AT(data.columns), "null", KEY_NULL, 0, 0, NULL,
      "FEATURE_EXTRACTION: columns or fields of the texts: [anchor, positive, negative...], or the two that are compared" },
    { "data.score", KEY_TEXT, AT(data.score), "null", KEY_NULL, 0, 0, NULL,
      "FEATURE_EXTRACTION: column or field of how alike the two are" },
    { "data.question", KEY_TEXT, AT(data.question), "question", 0, 0, 0, NULL,
      "QUESTION_ANS: column or field of the question" },
    { "data.context", KEY_TEXT, AT(data.context), "context", 0, 0, 0, NULL,
      "QUESTION_ANS: column or field of the text that answers are parts of" },
    { "data.answers", KEY_TEXT, AT(data.answers), "answers", 0, 0, 0, NULL,
      "QUESTION_ANS: column or field of the answers: {text: [...], answer_start: [...]}, in characters" },
    { "data.doc_stride", KEY_INT, AT(data.doc_stride), "128", 0, 0, 1048576, NULL,
      "QUESTION_ANS: tokens of the context that a window shares with the one before" },
    { "data.pad_to_max_length", KEY_BOOL, AT(data.padded), "true", 0, 0, 0, NULL,
      "QUESTION_ANS: pad windows to data.max_length, as run_qa.py does; false: to the longest of a step, which is faster. "
      "The loss is over all places of a window, so that it depends on this" },
    { "data.version_2_with_negative", KEY_BOOL, AT(data.impossible), "false", 0, 0, 0, NULL,
      "QUESTION_ANS: questions may have no answer, as in SQuAD 2.0" },
    { "data.n_best_size", KEY_INT, AT(data.n_best), "20", KEY_ALIKE, 1, 10000, NULL,
      "QUESTION_ANS: starts and ends of a window that are looked at for an answer" },
    { "data.max_answer_length", KEY_INT, AT(data.longest_answer), "30", KEY_ALIKE, 1, 1048576, NULL,
      "QUESTION_ANS: tokens of an answer at the most" },
    { "data.null_score_diff_threshold", KEY_REAL, AT(data.null_threshold), "0.0", KEY_ALIKE, -1e9, 1e9, NULL,
      "QUESTION_ANS: no answer is given where its score is larger than the best one's by more than this" },
    { "data.shuffle", KEY_BOOL, AT(data.shuffle), "true", 0, 0, 0, NULL,
      "a new order each epoch, the one of Trainer" },
    { "data.limit", KEY_INT, AT(data.limit), "null", KEY_NULL | KEY_ROWS, 1, 1e12, NULL,
      "first N examples of each file; null: all" },
    { "data.shots", KEY_INT, AT(data.shots), "null", KEY_NULL | KEY_ROWS, 1, 1e9, NULL,
      "classes of texts or images: train on this many rows of each class, drawn by train.seed; null: all" },
    { "data.skip_bad_rows", KEY_BOOL, AT(data.skip_bad_rows), "false", KEY_ROWS, 0, 0, NULL,
      "leave out rows that cannot be read, with a warning, instead of stopping" },
    { "data.sampling", KEY_WORD, AT(data.sampling), "proportional", 0, 0, 0, sampling_words,
      "of several tasks: how often rows of each come in an epoch: proportional (each once), equal (as many of each task), "
      "temperature (rows^(1/T) of each); none is left out, those of smaller tasks come again" },
    { "data.sampling_temperature", KEY_REAL, AT(data.sampling_temperature), "2", KEY_ABOVE, 0, 1000, NULL,
      "T of data.sampling: temperature; 1 is proportional, the larger the nearer to equal" },
    { "data.random_crop", KEY_BOOL, AT(data.random_crop), "false", 0, 0, 0, NULL,
      "IMAGE_CLS: train on a random part of each image (RandomResizedCrop)" },
    { "data.random_flip", KEY_BOOL, AT(data.random_flip), "false", 0, 0, 0, NULL,
      "IMAGE_CLS: mirror half of the training images (RandomHorizontalFlip)" },
    { "data.generate", KEY_BOOL, AT(data.generate), "false", KEY_ALIKE, 0, 0, NULL,
      "CAUSAL_LM on prompts, SEQ_2_SEQ_LM: evaluations also generate completions, for BLEU and ROUGE-L; one beside the "
      "completions of all rows of the same prompt" },
    { "data.max_new_tokens", KEY_INT, AT(data.max_new_tokens), "128", KEY_ALIKE, 1, 1048576, NULL,
      "generation ends after this many tokens" },
    { "data.do_sample", KEY_BOOL, AT(data.do_sample), "false", KEY_ALIKE, 0, 0, NULL,
      "generation draws tokens instead of taking the likeliest" },
    { "data.temperature", KEY_REAL, AT(data.temperature), "1.0", KEY_ABOVE | KEY_ALIKE, 0, 1000, NULL,
      "for do_sample: logits are divided by it" },
    { "data.top_k", KEY_INT, AT(data.top_k), "50", KEY_ALIKE, 0, 1e9, NULL,
      "for do_sample: only the k likeliest tokens; 0: all" },
    { "data.top_p", KEY_REAL, AT(data.top_p), "1.0", KEY_ABOVE | KEY_ALIKE, 0, 1, NULL,
      "for do_sample: only the likeliest tokens whose probabilities sum to it" },
    { "data.repetition_penalty", KEY_REAL, AT(data.repetition_penalty), "1.0", KEY_ABOVE | KEY_ALIKE, 0, 1000,
      NULL, "generation: above 1, tokens that have occurred become less likely" },
    { "data.stop_strings", KEY_NAMES, AT(data.stop_strings), "null", KEY_NULL | KEY_ALIKE, 0, 0, NULL,
      "generation ends behind any of these texts" },

    { "lora.method", KEY_WORD, AT(lora.method), "lora", 0, 0, 0, method_words,
      "adalora: B diag(E) A, whose triplets are masked step by step until target_r a module are left on average" },
    { "lora.init_r", KEY_INT, AT(lora.ada.init_r), "12", 0, 1, 4096, NULL,
      "AdaLoRA: triplets of each module at the start (instead of lora.r)" },
    { "lora.target_r", KEY_INT, AT(lora.ada.target_r), "8", 0, 1, 4096, NULL,
      "AdaLoRA: triplets of a module at the end, on average" },
    { "lora.tinit", KEY_INT, AT(lora.ada.tinit), "0", 0, 0, 1e12, NULL,
      "AdaLoRA: steps before triplets are masked" },
    { "lora.tfinal", KEY_INT, AT(lora.ada.tfinal), "0", 0, 0, 1e12, NULL,
      "AdaLoRA: steps at the end with the last mask; with 0 the budget ends a little above target_r" },
    { "lora.deltaT", KEY_INT, AT(lora.ada.deltaT), "1", 0, 1, 1e12, NULL,
      "AdaLoRA: steps from one mask to the next" },
    { "lora.beta1", KEY_REAL, AT(lora.ada.beta1), "0.85", KEY_ABOVE | KEY_BELOW, 0, 1, NULL,
      "AdaLoRA: of the mean of a weight's sensitivity" },
    { "lora.beta2", KEY_REAL, AT(lora.ada.beta2), "0.85", KEY_ABOVE | KEY_BELOW, 0, 1, NULL,
      "AdaLoRA: of the mean of its uncertainty" },
    { "lora.orth_reg_weight", KEY_REAL, AT(lora.ada.orth_reg_weight), "0.5", 0, 0, 1e6, NULL,
      "AdaLoRA: weight in the loss of how far A and B are from orthogonal" },
    { "lora.total_step", KEY_INT, AT(lora.ada.total_step), "null", KEY_NULL, 1, 1e12, NULL,
      "AdaLoRA: step at which the budget's course ends; null: the run's last" },
    { "lora.r", KEY_INT, AT(lora.r), "8", 0, 1, 4096, NULL,
      "rank of the A and B matrices" },
    { "lora.lora_alpha", KEY_REAL, AT(lora.alpha), "16", KEY_ABOVE, 0, 1e6, NULL,
      "updates are scaled by lora_alpha / r" },
    { "lora.use_rslora", KEY_BOOL, AT(lora.use_rslora), "false", 0, 0, 0, NULL,
      "scaled by lora_alpha / sqrt(r) instead, which suits high ranks" },
    { "lora.use_dora", KEY_BOOL, AT(lora.use_dora), "false", 0, 0, 0, NULL,
      "DoRA: the length of each row of W + update is learnt by itself" },
    { "lora.lora_bias", KEY_BOOL, AT(lora.lora_bias), "false", 0, 0, 0, NULL,
      "B has a bias of its own, which begins as zero" },
    { "lora.trainable_token_indices", KEY_OBJECT, AT(lora.tokens), "null", KEY_NULL | KEY_LISTED, 0, 0, NULL,
      "numbers of tokens whose rows of the word table are trained: a list, or {module: list}; a tied head has the same" },
    { "lora.lora_dropout", KEY_REAL, AT(lora.dropout), "0.0", KEY_BELOW, 0, 1, NULL,
      "dropout of the input of A" },
    { "lora.target_modules", KEY_TARGETS, AT(lora.target_modules), "null", KEY_NULL, 0, 0, NULL,
      "modules to adapt; a single text is a regular expression for the whole name; "
      "null: PEFT's default for the family" },
    { "lora.exclude_modules", KEY_EXCLUDES, AT(lora.exclude_modules), "null", KEY_NULL, 0, 0, NULL,
      "modules to leave out of them" },
    { "lora.modules_to_save", KEY_NAMES, AT(lora.modules_to_save), "null", KEY_NULL, 0, 0, NULL,
      "modules trained and saved whole" },
    { "lora.layers_to_transform", KEY_LAYERS, AT(lora.layers_to_transform), "null", KEY_NULL,
      0, 10000, NULL, "only these layers; not with a regular expression as target_modules" },
    { "lora.rank_pattern", KEY_PATTERNS, AT(lora.rank_pattern), "{}", KEY_NULL | KEY_WHOLE,
      1, 4096, NULL, "r of the modules whose names match, instead of lora.r" },
    { "lora.alpha_pattern", KEY_PATTERNS, AT(lora.alpha_pattern), "{}", KEY_NULL | KEY_ABOVE,
      0, 1e6, NULL, "lora_alpha of the modules whose names match" },
    { "lora.bias", KEY_WORD, AT(lora.bias), "none", 0, 0, 0, bias_words,
      "which biases are trained" },
    { "lora.init_lora_weights", KEY_WORD, AT(lora.init), "true", 0, 0, 0, init_words,
      "how A and B begin: A uniform (true) or gaussian, B zero; false: B too is uniform; orthogonal; pissa: the "
      "weight's largest singular vectors, pissa_niter_N: found in N rounds from random ones; olora: of its QR" },
    { "lora.init_adapter", KEY_PATH, AT(lora.init_adapter), "null", KEY_NULL, 0, 0, NULL,
      "PEFT adapter folder to begin with; its settings and labels are taken where the run file does not say them" },
    { "lora.ignore_mismatched_sizes", KEY_BOOL, AT(lora.other_head), "false", 0, 0, 0, NULL,
      "where lora.init_adapter was trained on other labels, its head is left out, and begins anew; labels have to be given" },

    { "train.output_dir", KEY_PATH, AT(train.output_dir), "null", KEY_NULL | KEY_FREE, 0, 0, NULL,
      "folder of all that the run writes" },
    { "train.mode", KEY_WORD, AT(lora.mode), "lora", 0, 0, 0, trained_words,
      "what is trained: an adapter, or every weight (full), which makes a model of its own" },
    { "train.batch_size", KEY_INT, AT(train.batch_size), "32", 0, 1, 1048576, NULL,
      "examples of an optimizer step, whatever the number of workers" },
    { "train.num_train_epochs", KEY_REAL, AT(train.num_train_epochs), "3", KEY_ABOVE | KEY_ALIKE, 0, 1e6, NULL,
      "passes over the data; may be a fraction" },
    { "train.max_steps", KEY_INT, AT(train.max_steps), "-1", KEY_ALIKE, -1, 1e12, NULL,
      "optimizer steps, instead of num_train_epochs; -1: by epochs" },
    { "train.learning_rate", KEY_REAL, AT(train.learning_rate), "1e-4", 0, 0, 100, NULL,
      "peak of the schedule" },
    { "train.optim", KEY_WORD, AT(train.optim), "adamw_torch", 0, 0, 0, optim_words,
      "how the server learns from a gradient: AdamW, or plain gradient descent, both as torch.optim's" },
    { "train.weight_decay", KEY_REAL, AT(train.weight_decay), "0.0", 0, 0, 100, NULL,
      "the optimizer's; not for biases and norms" },
    { "train.loraplus_lr_ratio", KEY_REAL, AT(train.loraplus_lr_ratio), "null", KEY_NULL | KEY_ABOVE, 0, 1e6, NULL,
      "LoRA+: B, biases and norms learn at this many times the rate; null: off" },
    { "train.loraplus_lr_embedding", KEY_REAL, AT(train.loraplus_lr_embedding), "1e-6", 0, 0, 100, NULL,
      "LoRA+: the rate of an adapted embedding, whatever learning_rate is" },
    { "train.loraplus_weight_decay", KEY_REAL, AT(train.loraplus_weight_decay), "0.0", 0, 0, 100, NULL,
      "LoRA+: AdamW's, instead of weight_decay" },
    { "train.adam_beta1", KEY_REAL, AT(train.adam_beta1), "0.9", KEY_BELOW, 0, 1, NULL,
      "decay of the first moment" },
    { "train.adam_beta2", KEY_REAL, AT(train.adam_beta2), "0.999", KEY_BELOW, 0, 1, NULL,
      "decay of the second moment" },
    { "train.adam_epsilon", KEY_REAL, AT(train.adam_epsilon), "1e-8", 0, 0, 1, NULL,
      "added to the root of the second moment" },
    { "train.max_grad_norm", KEY_REAL, AT(train.max_grad_norm), "1.0", 0, 0, 1e30, NULL,
      "gradients are clipped to this norm; 0: not clipped" },
    { "train.label_smoothing_factor", KEY_REAL, AT(train.label_smoothing), "0.0", KEY_BELOW, 0, 1, NULL,
      "this share of a goal is spread over all classes, or the whole vocabulary; in evaluations' loss too" },
    { "train.class_weights", KEY_OBJECT, AT(train.class_weights), "null", KEY_NULL | KEY_LISTED, 0, 0, balanced_words,
      "what the loss of a class counts, in training and evaluations: a list in the order of labels, {label: weight}, or "
      "balanced: rows / (labels * rows of the class)" },
    { "train.neftune_noise_alpha", KEY_REAL, AT(train.neftune_alpha), "null", KEY_NULL | KEY_ABOVE, 0, 1e6, NULL,
      "NEFTune: in training words' rows get uniform noise up to alpha / sqrt(length * width) of the text; null: off" },
    { "train.lr_scheduler_type", KEY_WORD, AT(train.schedule), "linear", 0, 0, 0, schedule_words,
      "how the learning rate goes down" },
    { "train.lr_scheduler_kwargs", KEY_OBJECT, AT(train.schedule_options), "{}", KEY_NULL, 0, 0, NULL,
      "settings of the schedule: num_cycles of the cosines; lr_end, power of polynomial; timescale of inverse_sqrt; "
      "min_lr or min_lr_rate of those with min_lr, warmup_lr_rate; num_decay_steps and more of warmup_stable_decay; "
      "mode, factor, patience and more of reduce_lr_on_plateau" },
    { "train.warmup_steps", KEY_INT, AT(train.warmup_steps), "0", 0, 0, 1e12, NULL,
      "steps until the learning rate reaches its peak" },
    { "train.warmup_ratio", KEY_REAL, AT(train.warmup_ratio), "0.0", 0, 0, 1, NULL,
      "the same as a share of all steps" },
    { "train.seed", KEY_INT, AT(train.seed), "42", KEY_ROWS, 0, 9223372036854775807.0, NULL,
      "of data order, dropout and fresh weights" },
    { "train.precision", KEY_WORD, AT(train.precision), "fp32", 0, 0, 0, precision_words,
      "what frozen matrices are stored as: bf16; int8 with a scale a row; nf4 with double quantisation, as QLoRA's; their "
      "products are in bf16 where the CPU has AMX or AVX-512 BF16 (parallel.arithmetic), all else is fp32" },
    { "train.gradient_checkpointing", KEY_BOOL, AT(train.checkpointing), "false", KEY_NULL | KEY_FREE, 0, 0, NULL,
      "compute blocks again when their backward comes, instead of keeping what they made: less memory, the same bits" },
    { "train.logging_steps", KEY_INT, AT(train.logging_steps), "10", KEY_GOING, 1, 1e12, NULL,
      "steps between two lines of metrics" },
    { "train.eval_strategy", KEY_WORD, AT(train.eval_strategy), "epoch", KEY_GOING, 0, 0, when_words,
      "when the validation data is evaluated; the default is no where there is none" },
    { "train.eval_steps", KEY_INT, AT(train.eval_steps), "null", KEY_NULL | KEY_GOING, 1, 1e12, NULL,
      "for eval_strategy steps; null: logging_steps" },
    { "train.save_strategy", KEY_WORD, AT(train.save_strategy), "epoch", KEY_GOING, 0, 0, save_words,
      "when a checkpoint is written" },
    { "train.save_steps", KEY_INT, AT(train.save_steps), "500", KEY_GOING, 1, 1e12, NULL,
      "for save_strategy steps" },
    { "train.save_total_limit", KEY_INT, AT(train.save_total_limit), "null", KEY_NULL | KEY_GOING, 1, 1e9, NULL,
      "checkpoints to keep; null: all" },
    { "train.load_best_model_at_end", KEY_BOOL, AT(train.load_best_model_at_end), "false", KEY_GOING, 0, 0,
      NULL, "end with the best adapter instead of the last" },
    { "train.metric_for_best_model", KEY_TEXT, AT(train.metric_for_best_model), "loss", KEY_GOING, 0, 0,
      NULL, "loss; classes: accuracy, f1, precision, recall, matthews; regression: pearson, "
      "spearman, mse; TOKEN_CLS: accuracy, f1, precision, recall; CAUSAL_LM: perplexity, and "
      "bleu, rougeL of generated texts; FEATURE_EXTRACTION: recall_at_1, recall_at_5, mrr_at_10, pearson_cosine, "
      "spearman_cosine, cosine_accuracy, by the loss" },
    { "train.early_stopping_patience", KEY_INT, AT(train.early_stopping_patience), "null",
      KEY_NULL | KEY_GOING, 1, 1e9, NULL, "evaluations without a better metric before the end; null: off" },

    { "train.tensorboard", KEY_BOOL, AT(train.tensorboard), "false", KEY_GOING, 0, 0, NULL,
      "write event files for TensorBoard, too (Trainer's report_to: tensorboard)" },
    { "train.on_nan", KEY_WORD, AT(train.on_nan), "stop", KEY_GOING, 0, 0, nan_words,
      "a gradient or loss that is not finite, or absurd: the run stops, the step is skipped, or its worker is refused" },

    { "train.loss", KEY_WORD, AT(train.embed.loss), "multiple_negatives_ranking", 0, 0, 0, loss_words,
      "FEATURE_EXTRACTION: all positives and negatives of a step beside each anchor; pairs with a score in their order "
      "(cosent) or near it (cosine_mse); a positive nearer than a negative (triplet)" },
    { "train.loss_scale", KEY_REAL, AT(train.embed.scale), "20.0", KEY_ABOVE, 0, 1e6, NULL,
      "FEATURE_EXTRACTION: cosines are multiplied by it (1 / temperature)" },
    { "train.margin", KEY_REAL, AT(train.embed.margin), "5.0", 0, 0, 1e6, NULL,
      "FEATURE_EXTRACTION, triplet: how much nearer a positive has to be" },
    { "train.distance", KEY_WORD, AT(train.embed.distance), "euclidean", 0, 0, 0, distance_words,
      "FEATURE_EXTRACTION, triplet: how far texts are from each other" },
    { "train.pooling", KEY_WORD, AT(train.embed.pooling), "null", KEY_NULL, 0, 0, pooling_words,
      "FEATURE_EXTRACTION: tokens become an embedding: their mean, the first, the last; null: as the model's folder "
      "says (1_Pooling), else mean" },
    { "train.normalize", KEY_WORD, AT(train.embed.normalize), "null", KEY_NULL, 0, 0, normalize_words,
      "FEATURE_EXTRACTION: embeddings have length 1; null: as the model's folder says (2_Normalize), else false" },

    { "meta.algorithm", KEY_WORD, AT(meta.algorithm), "null", KEY_NULL, 0, 0, meta_words,
      "over several tasks, learn a beginning from which each is learnt in a few steps. A step is of episodes, each inner steps "
      "of one task on a copy of the adapter. reptile: the adapter goes to where they lead; fomaml: along the gradient of one "
      "more batch behind them" },
    { "meta.episodes", KEY_INT, AT(meta.episodes), "4", 0, 1, 65536, NULL,
      "episodes of a step, each computed by one rank; they are its micro-batches" },
    { "meta.inner_steps", KEY_INT, AT(meta.inner_steps), "5", 0, 1, 10000, NULL,
      "steps of an episode, each on a batch of train.batch_size rows of its own" },
    { "meta.inner_learning_rate", KEY_REAL, AT(meta.inner_learning_rate), "1e-2", KEY_ABOVE, 0, 100, NULL,
      "of these steps, constant" },
    { "meta.inner_optim", KEY_WORD, AT(meta.inner_optim), "sgd", 0, 0, 0, inner_words,
      "of these steps: plain gradient descent, or AdamW that begins anew in each episode, without weight decay" },

    { "ps.address", KEY_TEXT, AT(ps.address), "null", KEY_NULL | KEY_FREE | KEY_ADDRESS, 0, 0, NULL,
      "of the parameter server; null: loopback, at a free port" },
    { "ps.mode", KEY_WORD, AT(ps.mode), "sync", 0, 0, 0, mode_words,
      "when an update is made: sync: when all of its step is there; ssp: likewise, but replicas work up to ps.staleness "
      "steps ahead; async: a step belongs to one replica, and none waits. Only sync gives bits that depend on nobody" },
    { "ps.staleness", KEY_INT, AT(ps.staleness), "2", 0, 1, 1024, NULL,
      "ps.mode ssp: steps that a replica may be ahead, and updates that its values may be behind" },
    { "ps.wire_dtype", KEY_WORD, AT(ps.wire_dtype), "fp32", 0, 0, 0, wire_words,
      "of gradients on the wire; bf16: half the bytes, every sum is rounded where it is made; other bits than fp32 has; "
      "int8 (with ps.mode ssp or async): a quarter, and what is lost goes with the next push" },
    { "ps.shared_memory", KEY_BOOL, AT(ps.shared_memory), "true", KEY_FREE, 0, 0, NULL,
      "ps.mode sync: where more than 1 MB is trained, ranks on the server's machine read the values, and lay their "
      "gradients, where the server has them; false: all goes over the sockets" },
    { "ps.heartbeat", KEY_REAL, AT(ps.heartbeat), "1", KEY_FREE | KEY_ABOVE, 0, 86400, NULL,
      "seconds between two signs of life" },
    { "ps.lease_timeout", KEY_REAL, AT(ps.lease_timeout), "5", KEY_FREE | KEY_ABOVE, 0, 86400, NULL,
      "seconds of silence after which a replica's work is given to others" },
    { "ps.patience", KEY_REAL, AT(ps.patience), "60", KEY_FREE | KEY_ABOVE, 0, 1e7, NULL,
      "seconds a worker waits for a parameter server that went away" },
    { "ps.durable_every", KEY_INT, AT(ps.durable_every), "1", KEY_FREE, 1, 1e9, NULL,
      "steps between durable points" },
    { "ps.log_steps", KEY_INT, AT(ps.log_steps), "auto", KEY_AUTO | KEY_FREE, 1, 1e9, NULL,
      "steps that the log on the disk holds before it is begun anew, a gradient each; auto: what 256 MB hold, at least 16" },
    { "ps.on_disk_full", KEY_WORD, AT(ps.on_disk_full), "continue", KEY_FREE, 0, 0, disk_words,
      "when the log cannot be written (full, broken, read-only): train on, wait until it can be, or stop with 1" },
    { "ps.keys", KEY_PATH, AT(ps.keys), "null", KEY_NULL | KEY_FREE, 0, 0, NULL,
      "folder of keys (`lora keys new`): who may talk to the server, and encrypted; of a worker also its NAME.key" },
    { "ps.insecure", KEY_BOOL, AT(ps.insecure), "false", KEY_FREE, 0, 0, NULL,
      "allow an address that is not loopback without ps.keys" },
    { "ps.http", KEY_TEXT, AT(ps.http), "null", KEY_NULL | KEY_FREE, 0, 0, NULL,
      "HOST:PORT of the status page, /metrics and /healthz; null: none" },

    { "parallel.threads", KEY_INT, AT(parallel.threads), "null", KEY_NULL | KEY_FREE, 1, 4096, NULL,
      "of a rank; null: cores of the node / ranks on it; they change no bits" },
    { "parallel.arithmetic", KEY_TEXT, AT(parallel.arithmetic), "auto", KEY_BEGUN, 0, 0, NULL,
      "level of the CPU that all compute with: x86-64-v2, v3, v4, x86-64-v4-bf16 or -amx (a base of less than fp32 in bf16); auto: the first replica's best" },
    { "parallel.fingerprint", KEY_TEXT, AT(parallel.fingerprint), "null", KEY_NULL | KEY_BEGUN, 0, 0, NULL,
      "of the run's arithmetic, which knows a library or compiler too; written when it begins" },
    { "parallel.micro_batches", KEY_INT, AT(parallel.micro_batches), "auto", KEY_AUTO | KEY_BEGUN, 1, 1048576,
      NULL, "pieces of a step; fixed for the run, as the adapter's bits depend on it" },
    { "parallel.micro_batch_tokens", KEY_INT, AT(parallel.micro_batch_tokens), "4096", KEY_AUTO, 1,
      2147483647, NULL, "most tokens that `auto` puts into a piece; auto: 4096, or as many as parallel.memory has room for, fixed for the run" },
    { "parallel.memory", KEY_TEXT, AT(parallel.memory), "null", KEY_NULL | KEY_FREE, 0, 0, NULL,
      "of a machine, what a run may take there, as 16GB or 900MB; null: what is free, or its control group's limit" },
    { "parallel.data", KEY_INT, AT(parallel.data), "auto", KEY_AUTO | KEY_FREE, 1, 65536, NULL,
      "ranks of a job that work side by side: all, by parallel.pipeline; a number is checked; auto: as many as there are" },
    { "parallel.pipeline", KEY_INT, AT(parallel.pipeline), "auto", KEY_AUTO | KEY_FREE, 1, 4096, NULL,
      "stages that hold the model together, each whole blocks of it; auto: 1 where a node of the job has room for all, else what its nodes have "
      "room for (`lora plan`); they change no bits" },
    { "parallel.tensor", KEY_FIXED, 0, "auto", 0, 0, 0, NULL,
      "ranks that share a layer: none, as those of a node share the weights already, and its cores by parallel.threads" },
};
/* clang-format on */

enum { KEYS = sizeof keys / sizeof keys[0] };

static const char *const sections[] = { "data", "lora", "train", "meta", "ps", "parallel", NULL };

const ConfigKey *config_keys(int *count)
{
    *count = KEYS;
    return keys;
}

const ConfigKey *config_find(const char *name)
{
    for (int i = 0; i < KEYS; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

const char *const *config_sections(void)
{
    return sections;
}

bool config_is_section(const char *name)
{
    for (int i = 0; sections[i]; i++)
        if (strcmp(sections[i], name) == 0)
            return true;
    return false;
}
