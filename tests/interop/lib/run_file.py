"""Our run file, read by Python: the keys that the reference side understands, with the defaults of the
programs in C. A key that it does not understand is refused, never ignored."""
import os

import yaml

DEFAULTS = {
    "model": None, "model_config": {}, "task_type": "SEQ_CLS", "labels": None, "problem_type": None,
    "data": {"train": None, "validation": None, "test": None, "text": "text", "text_pair": None, "label": "label",
             "prompt": None, "completion": None, "tokens": "tokens", "tags": "tags", "block_size": None,
             "max_length": 512, "shuffle": True, "limit": None},
    "lora": {"r": 8, "lora_alpha": 16.0, "lora_dropout": 0.0, "target_modules": None, "exclude_modules": None,
             "modules_to_save": None, "layers_to_transform": None, "rank_pattern": {}, "alpha_pattern": {},
             "bias": "none", "use_rslora": False, "use_dora": False, "lora_bias": False, "trainable_token_indices": None,
             "init_lora_weights": True, "init_adapter": None,
             "method": "lora", "init_r": 12, "target_r": 8, "tinit": 0, "tfinal": 0, "deltaT": 1, "beta1": 0.85, "beta2": 0.85,
             "orth_reg_weight": 0.5, "total_step": None},
    "train": {"mode": "lora", "output_dir": None, "batch_size": 32, "num_train_epochs": 3.0, "max_steps": -1, "learning_rate": 1e-4,
              "weight_decay": 0.0, "adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8,
              "max_grad_norm": 1.0, "lr_scheduler_type": "linear", "lr_scheduler_kwargs": None, "warmup_steps": 0, "warmup_ratio": 0.0,
              "seed": 42, "precision": "fp32", "logging_steps": 10, "eval_strategy": "epoch", "eval_steps": None,
              "save_strategy": "epoch", "save_steps": 500, "save_total_limit": None, "label_smoothing_factor": 0.0, "class_weights": None,
              "loraplus_lr_ratio": None, "loraplus_lr_embedding": 1e-6, "loraplus_weight_decay": 0.0},
}
# How work is spread and kept safe: nothing that changes what is computed, so the reference side skips it.
OTHER_SECTIONS = ("ps", "parallel")
PATHS = {("model",), ("data", "train"), ("data", "validation"), ("data", "test"), ("lora", "init_adapter"),
         ("train", "output_dir")}
LISTS = {("labels",), ("lora", "target_modules"), ("lora", "exclude_modules"), ("lora", "modules_to_save"),
         ("data", "train"), ("data", "validation"), ("data", "test")}


def resolve(folder, value):
    if isinstance(value, list):
        return [resolve(folder, v) for v in value]
    return os.path.normpath(os.path.join(folder, value)) if value else value


def typed(value, default):
    """PyYAML takes 1e-4 for text and 3 for an integer: the default's type decides."""
    if isinstance(default, float) and value is not None:
        return float(value)
    if value is False and isinstance(default, str):  # eval_strategy: no
        return "no"
    return value


def put(run, key, value, folder):
    """Sets one key; `folder` is what its relative paths are relative to."""
    section, default = run, DEFAULTS
    for part in key:
        if not isinstance(default, dict) or part not in default:
            raise SystemExit(f"error: the reference side does not know the key '{'.'.join(key)}'")
        default = default[part]
    for part in key[:-1]:
        section = section[part]
    section[key[-1]] = resolve(folder, value) if key in PATHS else typed(value, default)


def read_run(path, overrides=()):
    """The effective run: defaults, then the file, then (key, text) pairs of the command line."""
    run = {k: dict(v) if isinstance(v, dict) else v for k, v in DEFAULTS.items()}
    with open(path, encoding="utf-8") as file:
        text = yaml.safe_load(file)
    for name, value in text.items():
        if name in OTHER_SECTIONS:
            continue
        if name in ("data", "lora", "train"):
            for key, inner in (value or {}).items():
                put(run, (name, key), inner, os.path.dirname(path))
        else:
            put(run, (name,), value, os.path.dirname(path))
    for name, value in overrides:
        key = tuple(name.split("."))
        if key[0] in OTHER_SECTIONS:
            continue
        comma = key in LISTS and "," in value and value[0] not in "[("
        put(run, key, value.split(",") if comma else yaml.safe_load(value), "")
    check(run)
    return run


def check(run):
    language = run["task_type"] == "CAUSAL_LM"
    needs = {"train.precision: fp32": run["train"]["precision"] == "fp32", "model": run["model"],
             "labels": language or run["labels"] is not None, "data.train": run["data"]["train"],
             "data.prompt or data.block_size": not language or run["data"]["prompt"] or run["data"]["block_size"]}
    for what, given in needs.items():
        if not given:
            raise SystemExit(f"error: the reference side needs {what}")


def label_names(run):
    labels = run["labels"]
    return [str(i) for i in range(labels)] if isinstance(labels, int) else [str(name) for name in labels]


def split_arguments(arguments, own):
    """(positional, {own option: text}, [(key, text)]) of a command line."""
    positional, options, overrides = [], {}, []
    for argument in arguments:
        if not argument.startswith("--"):
            positional.append(argument)
            continue
        name, equals, value = argument[2:].partition("=")
        if not equals:
            raise SystemExit(f"error: '{argument}' lacks '=value'")
        if name in own:
            options[name] = value
        else:
            overrides.append((name, value))
    return positional, options, overrides
