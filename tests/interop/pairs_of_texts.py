#!/usr/bin/env python3
"""QUESTION_ANS and SEQ_2_SEQ_LM beside PEFT, over the features of a golden case: what Transformers encoded.

    pairs_of_texts.py check CASE OUT EVAL.json      the adapter in OUT: PEFT makes exactly its tensors, loads all, and has the loss
                                                    of the validation rows that `lora eval` printed; so does the model card's code
    pairs_of_texts.py half CASE ON                  ON/start: an adapter after some steps of PEFT's; ON/peft: where PEFT goes on from it
    pairs_of_texts.py compare CASE ON               ON/run, which went on from ON/start here, beside ON/peft
"""
import json
import os
import re
import sys

sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")

import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
import yaml  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

import reference  # noqa: E402

AUTO = {"QUESTION_ANS": transformers.AutoModelForQuestionAnswering, "SEQ_2_SEQ_LM": transformers.AutoModelForSeq2SeqLM}
HALF = 7
# A relu at its corner, or Adam's first step over a gradient that is rounding noise, parts two right programs: a start without those.
OTHER_HALF = {"t5-seq2seq": 5}


def open_run(case):
    with open(os.path.join(case, "run.yaml"), encoding="utf-8") as file:
        run = yaml.safe_load(file)
    run["model"] = os.path.join(case, run["model"])
    run.setdefault("model_config", None)
    run["data"] |= {"shuffle": True}
    run["lora"] = {"method": "lora", "modules_to_save": None} | run["lora"]
    run["train"] |= {"lr_scheduler_kwargs": None, "loraplus_lr_ratio": None, "label_smoothing_factor": 0.0}
    return run


def read_features(case, split):
    with open(os.path.join(case, "expected", "encoded.jsonl"), encoding="utf-8") as file:
        return [f for f in map(json.loads, file) if f["split"] == split]


def collate_for(run):
    """Sources and windows are padded on the right, windows to max_length where the run says so."""
    def collate(features, pad):
        padded = run["data"].get("pad_to_max_length")
        width = run["data"]["max_length"] if padded else max(len(f["input_ids"]) for f in features)
        fill = lambda key, value, n: torch.tensor([f[key] + [value] * (n - len(f[key])) for f in features])
        batch = {"input_ids": fill("input_ids", pad, width),
                 "attention_mask": torch.tensor([[int(i < len(f["input_ids"])) for i in range(width)] for f in features])}
        if "token_type_ids" in features[0]:
            batch["token_type_ids"] = fill("token_type_ids", 0, width)
        for key in ("start_positions", "end_positions"):
            if key in features[0]:
                batch[key] = torch.tensor([f[key] for f in features])
        if "labels" in features[0]:
            batch["labels"] = fill("labels", -100, max(len(f["labels"]) for f in features))
        return batch
    return collate


def load_base(run):
    return AUTO[run["task_type"]].from_pretrained(run["model"], dtype=torch.float32, **(run["model_config"] or {}))


def fresh(run, folder):
    """PEFT's own model for the run file, with the values of an adapter."""
    settings = {k: v for k, v in run["lora"].items() if k not in ("init_adapter", "method")}
    if run["task_type"] == "QUESTION_ANS" and not any("qa_outputs" in n for n, _ in load_base(run).named_modules()):
        settings["modules_to_save"] = settings["modules_to_save"] or ["classifier"]
    model = peft.get_peft_model(load_base(run), peft.LoraConfig(task_type=run["task_type"], **settings))
    state = load_file(os.path.join(folder, "adapter_model.safetensors"))
    reference.check_keys(state, peft.get_peft_model_state_dict(model), folder)
    result = peft.set_peft_model_state_dict(model, state)
    assert not result.unexpected_keys, result.unexpected_keys
    return model, state


def loss_of(run, model, features, pad):
    """Exactly a mean: over windows, or over the tokens of targets."""
    model.eval()
    total = count = 0
    collate = collate_for(run)
    for feature in features:
        weight = len(feature["labels"]) if "labels" in feature else 1
        with torch.no_grad():
            total += model(**collate([feature], pad)).loss.item() * weight
        count += weight
    return total / count


def check(case, out, figures):
    run, pad = open_run(case), 0
    dev = read_features(case, "dev")
    with open(os.path.join(case, "model", "config.json"), encoding="utf-8") as file:
        pad = json.load(file).get("pad_token_id") or 0
    with open(figures, encoding="utf-8") as file:
        ours = json.load(file)["eval_loss"]
    model, state = fresh(run, out)
    own = {}
    with open(os.path.join(out, "README.md"), encoding="utf-8") as file:
        code = re.search("```python\n(.*?)```", file.read(), re.S)[1]
    exec(compile(code, "README.md", "exec"), own)
    for what, one in (("PEFT's", model), ("the model card's", own["model"].float())):
        wanted = loss_of(run, one, dev, pad)
        print(f"{case}: {len(state)} tensors; the loss of {len(dev)} rows: {ours:.6f} here, {wanted:.6f} by {what} model")
        assert abs(ours - wanted) < 2e-5 * max(1, wanted), (ours, wanted)


def half(case, on):
    run = open_run(case)
    reference.collate = collate_for(run)
    train = read_features(case, "train")
    model, _ = fresh(run, os.path.join(case, run["lora"]["init_adapter"]))
    pad = model.config.pad_token_id or 0
    for _ in reference.train(run, model, train, pad, OTHER_HALF.get(os.path.basename(case), HALF)):
        pass
    model.save_pretrained(os.path.join(on, "start"))
    model, _ = fresh(run, os.path.join(on, "start"))
    os.makedirs(os.path.join(on, "peft"), exist_ok=True)
    with open(os.path.join(on, "peft", "losses.json"), "w", encoding="utf-8") as file:
        json.dump([step["loss"] for step in reference.train(run, model, train, pad)], file)
    model.save_pretrained(os.path.join(on, "peft"))


def compare(case, on):
    with open(os.path.join(on, "peft", "losses.json"), encoding="utf-8") as file:
        wanted = json.load(file)
    with open(os.path.join(on, "run", "metrics.jsonl"), encoding="utf-8") as file:
        got = [line["loss"] for line in map(json.loads, file) if "loss" in line]
    assert len(got) == len(wanted), (len(got), len(wanted))
    loss = max(abs(a - b) for a, b in zip(got, wanted))
    ours, theirs = (load_file(os.path.join(on, f, "adapter_model.safetensors")) for f in ("run", "peft"))
    reference.check_keys(ours, theirs, on)
    off = max((ours[k] - theirs[k]).abs().max().item() for k in theirs)
    print(f"{case}: {len(got)} steps from an adapter of PEFT's: losses within {loss:.1e}, the adapter within {off:.1e}")
    assert loss < 1e-4 and off < 1e-4


transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)
{"check": check, "half": half, "compare": compare}[sys.argv[1]](*sys.argv[2:])
