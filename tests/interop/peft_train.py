#!/usr/bin/env python3
"""Trains a run file with Transformers + PEFT: the numbers that our own training is compared with.

    peft_train.py RUN.yaml [--steps=N] [--out=FILE.jsonl] [--init=DIR] [--save-init=DIR] [--save=DIR]
                  [--threads=N] [--key=value ...]

Prints (or writes to --out) a JSON line a step: step, loss, grad_norm before clipping, the learning_rate used; at
the end a line with the metrics of the validation rows. --steps stops early and leaves the schedule as it is
(--train.max_steps=N changes it). --init starts from an adapter, like lora.init_adapter; --save-init writes the one
that training starts from, --save the trained one, with its metrics in eval.json.
"""
import json
import os
import sys

# Not this file's folder: tokenizers.py in it would hide the package.
sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")

import torch  # noqa: E402
import transformers  # noqa: E402

import reference  # noqa: E402
import rows  # noqa: E402
import run_file  # noqa: E402


def write_line(file, line):
    file.write(json.dumps(line) + "\n")
    file.flush()


def main():
    own = ("steps", "out", "init", "save-init", "save", "threads")
    paths, options, overrides = run_file.split_arguments(sys.argv[1:], own)
    if len(paths) != 1:
        raise SystemExit(__doc__)
    if "init" in options:
        overrides.append(("lora.init_adapter", options["init"]))
    run = run_file.read_run(paths[0], overrides)
    torch.set_num_threads(int(options.get("threads", torch.get_num_threads())))
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()

    features = rows.encode(run, run["data"]["train"])
    validation = rows.encode(run, run["data"]["validation"]) if run["data"]["validation"] else None
    pad = rows.pad_id(run)
    model = reference.make_model(run)
    if "save-init" in options:
        model.save_pretrained(options["save-init"])
    out = open(options["out"], "w", encoding="utf-8") if "out" in options else sys.stdout
    steps = int(options["steps"]) if "steps" in options else None
    last = {}
    for last in reference.train(run, model, features, pad, steps):
        write_line(out, last)
    metrics = reference.evaluate(run, model, validation, pad) if validation else {}
    if metrics:
        write_line(out, {"step": last["step"], "epoch": last["epoch"], **metrics})
    if "save" in options:
        model.save_pretrained(options["save"])
        with open(os.path.join(options["save"], "eval.json"), "w", encoding="utf-8") as file:
            json.dump(metrics, file, indent=2)


main()
