#!/usr/bin/env python3
"""Checks that PEFT understands an adapter as we do.

    peft_check.py ADAPTER_DIR RUN.yaml PREDICTIONS.jsonl [--tolerance=1e-4] [--key=value ...]
    peft_check.py ADAPTER_DIR RUN.yaml --eval=FILE.json [--tolerance=1e-4] [--key=value ...]
    peft_check.py ADAPTER_DIR RUN.yaml ... --card=README.md
    peft_check.py --texts=FILE RUN.yaml

Loads the run's base model and the adapter with PEFT. The adapter's tensors must be exactly those that PEFT makes
for the run file (names and shapes), all of them must arrive, and the logits of the validation rows must be the
"logits" of PREDICTIONS.jsonl, which `lora predict --logits` printed for the FILE that --texts writes: a
validation row a line, a TAB between the texts of a pair. With --eval, the metrics that `lora eval` printed must
be PEFT's instead: for tasks whose logits are not a line a row. With --card, the model is what the Python code of
that model card makes, pasted as it is; it has to know the run's labels, and its tokenizer to be the base's.
"""
import json
import os
import re
import sys

# Not this file's folder: tokenizers.py in it would hide the package.
sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")

import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

import reference  # noqa: E402
import rows  # noqa: E402
import run_file  # noqa: E402


def write_texts(run, path):
    first, second = rows.texts_of(run, rows.read_rows(run["data"]["validation"], run["data"]["limit"]))
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for i, text in enumerate(first):
            parts = [text] + ([second[i]] if second else [])
            if any(c in part for c in "\t\n\r" for part in parts):
                raise SystemExit(f"error: row {i + 1} has a tab or a line end in it")
            file.write("\t".join(parts) + "\n")


def check_tensors(run, folder):
    """The adapter's model, after its names, shapes and loaded values were looked at."""
    state = load_file(os.path.join(folder, "adapter_model.safetensors"))
    base = reference.load_base(run)
    config = reference.lora_config(run, base)
    own = peft.PeftConfig.from_pretrained(folder)
    if reference.changes_base(run) and own.init_lora_weights is True:  # a plain LoRA of twice the rank
        config = own
        if own.r != 2 * run["lora"]["r"]:
            raise SystemExit(f"{folder}: r is {own.r}")
    if reference.uses_adalora(run):  # its masks say the shapes
        for key in ("peft_type", "init_r", "target_r", "lora_alpha"):
            if getattr(own, key) != getattr(config, key):
                raise SystemExit(f"{folder}: {key} is {getattr(own, key)}")
        config = own
    fresh = peft.get_peft_model(base, config)
    reference.check_keys(state, peft.get_peft_model_state_dict(fresh), folder)
    # Another seed than any run's, so that what PEFT leaves at its random start is seen below.
    torch.manual_seed(20240229)
    model = peft.PeftModel.from_pretrained(reference.load_base(run), folder)
    loaded = peft.get_peft_model_state_dict(model)
    reference.check_keys(loaded, state, "PEFT")
    for key, value in state.items():
        if not torch.equal(loaded[key], value):
            raise SystemExit(f"{key}: PEFT did not take the file's values")
    return model, len(state)


def check_card(run, path):
    """The model of the card's code, run as somebody does who pastes it into a session of their own."""
    with open(path, encoding="utf-8") as file:
        code = re.search("```python\n(.*?)```", file.read(), re.S)[1]
    own = {}
    exec(compile(code, path, "exec"), own)
    model = own["model"].float().eval()
    if run["task_type"] != "CAUSAL_LM":
        names = run_file.label_names(run)
        if isinstance(run["labels"], int):  # numbers have the names that Transformers gives them
            names = ["LABEL_" + name for name in names]
        if model.config.id2label != dict(enumerate(names)) or model.config.label2id != {n: i for i, n in enumerate(names)}:
            raise SystemExit(f"{path}: labels are {model.config.id2label}, {model.config.label2id} instead of {names}")
    if run["task_type"] != "IMAGE_CLS":
        text = "The film isn't <s>bad</s>, caf\u00e9!"
        if own["tokenizer"](text)["input_ids"] != transformers.AutoTokenizer.from_pretrained(run["model"])(text)["input_ids"]:
            raise SystemExit(f"{path}: another tokenizer than the base's")
    return model, len(peft.get_peft_model_state_dict(model))


def check_logits(run, model, path, tolerance):
    features = rows.encode(run, run["data"]["validation"])
    want = torch.stack(reference.predict(model, features, rows.pad_id(run)))
    with open(path, encoding="utf-8") as file:
        got = torch.tensor([json.loads(line)["logits"] for line in file])
    if got.shape != want.shape:
        raise SystemExit(f"{path} holds logits {list(got.shape)}, PEFT gives {list(want.shape)}")
    off = (got - want).abs()
    worst = off.max().item()
    if not worst <= tolerance:  # a nan fails this too
        row = int(off.max(-1).values.nan_to_num(torch.inf).argmax())
        raise SystemExit(f"logits are off by {worst:.1e}, in row {row + 1}: "
                         f"{got[row].tolist()}, PEFT: {want[row].tolist()}")
    return len(features), worst


def check_metrics(run, model, path, tolerance):
    features = rows.encode(run, run["data"]["validation"])
    want = reference.evaluate(run, model, features, rows.pad_id(run))
    with open(path, encoding="utf-8") as file:
        got = json.load(file)
    off = {k: abs(got.get(k, float("nan")) - v) / max(1, abs(v)) for k, v in want.items()}
    for key, distance in off.items():
        if not distance <= tolerance:
            raise SystemExit(f"{key} is {got.get(key)}, PEFT: {want[key]}")
    return len(features), max(off.values())


def main():
    paths, options, overrides = run_file.split_arguments(sys.argv[1:], ("tolerance", "texts", "eval", "card"))
    if len(paths) != (1 if "texts" in options else 2 if "eval" in options else 3):
        raise SystemExit(__doc__)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if "texts" in options:
        write_texts(run_file.read_run(paths[0], overrides), options["texts"])
        return
    folder, run = paths[0], run_file.read_run(paths[1], overrides)
    model, tensors = check_card(run, options["card"]) if "card" in options else check_tensors(run, folder)
    tolerance, what = float(options.get("tolerance", 1e-4)), "metrics" if "eval" in options else "logits"
    if "eval" in options:
        count, worst = check_metrics(run, model, options["eval"], tolerance)
    else:
        count, worst = check_logits(run, model, paths[2], tolerance)
    print(f"{options.get('card', folder)}: PEFT loads all {tensors} tensors; {what} of {count} rows differ by at most {worst:.1e}")


main()
