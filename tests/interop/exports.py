#!/usr/bin/env python3
"""exports.py GOLDEN WORK [CASE...]: what lora merge and lora export write of each golden run, and what Transformers makes of it.

Transformers loads each merged folder with no key missing or unexpected, and gives what the runtimes are compared with
(that it measures what PEFT measured: tests/dist/merge_test.sh). WORK/CASE receives merged/, onnx/, model.gguf, and, of
adapters that have that form, base.gguf with adapter.gguf; in reference.npz the rows of expected/encoded.jsonl padded to the
right and, for language models, to the left, their logits, and prompts with their greedy tokens. A case without one of
these has a line that says why: lora's own refusal. exports_onnx.py, exports_optimum.py and exports_gguf.py look at them. case.json
names the activation, and the window of layers that llama.cpp heeds in none."""
import json, os, shutil, subprocess, sys

sys.path.pop(0)  # here lies a tokenizers.py that is not the library

import numpy as np
import torch
import transformers
import yaml

transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)  # models are small, and the machine may be busy
NEW = 12
SURE = 0.05  # two tokens whose logits are nearer than this may change places by rounding
CLASSES = {"SEQ_CLS": "SequenceClassification", "TOKEN_CLS": "TokenClassification", "CAUSAL_LM": "CausalLM", "IMAGE_CLS": "ImageClassification"}
# Golden models with another setting, by --model_config: what llama.cpp has and no golden run.
VARIANTS = {
    "gemma2-even": ("gemma2-clm", {"query_pre_attn_scalar": 16}),
    "gemma3-even": ("gemma3-clm", {"query_pre_attn_scalar": 16, "rope_local_base_freq": 10000.0}),
    "gemma3-linear": ("gemma3-clm", {"query_pre_attn_scalar": 16, "rope_local_base_freq": 10000.0, "rope_scaling": {"rope_type": "linear", "factor": 4.0}}),
    "qwen2-plain": ("qwen2-clm", {"rope_parameters": {"rope_theta": 50000.0, "rope_type": "default"}}),
    "llama-linear": ("llama-clm", {"rope_parameters": {"rope_theta": 10000.0, "rope_type": "linear", "factor": 2.0}}),
    "llama-yarn": ("llama-clm", {"rope_parameters": {"rope_theta": 10000.0, "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}}),
    "qwen3-yarn": ("qwen3-clm", {"rope_parameters": {"rope_theta": 10000.0, "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}}),
}


def lora(*words):
    """None, or why not: the refusal's sentence."""
    done = subprocess.run(["bin/lora", *words], capture_output=True, text=True)
    assert done.returncode in (0, 2), (words, done.stderr)
    error = next((line[7:] for line in done.stderr.splitlines() if line.startswith("error: ")), None)
    assert (done.returncode == 2) == (error is not None), (words, done.stderr)
    return error


def rows_of(case, side, pad):
    rows = [json.loads(line) for line in open(f"{case}/expected/encoded.jsonl", encoding="utf-8")]
    rows = sorted((r for r in rows if r["split"] != "train"), key=lambda r: len(r["input_ids"]))[::9]
    longest = max(len(r["input_ids"]) for r in rows)

    def fill(key, value):
        space = lambda r: [value] * (longest - len(r[key]))
        return np.array([r[key] + space(r) if side == "right" else space(r) + r[key] for r in rows], np.int64)

    for row in rows:
        row["attention_mask"] = [1] * len(row["input_ids"])
    feed = {"input_ids": fill("input_ids", pad), "attention_mask": fill("attention_mask", 0)}
    if "token_type_ids" in rows[0]:
        feed["token_type_ids"] = fill("token_type_ids", 0)
    return feed


def pixels_of(config):
    size = config.image_size
    return {"pixel_values": np.random.default_rng(1).standard_normal((5, config.num_channels, size, size)).astype(np.float32)}


def reference(case, task, model):
    """What the runtimes get, and have to give."""
    out = {}
    logits = lambda feed: model(**{k: torch.from_numpy(v) for k, v in feed.items()}).logits.numpy()
    sides = ("right", "left") if task == "CAUSAL_LM" else ("right",)
    for side in sides:
        feed = pixels_of(model.config) if task == "IMAGE_CLS" else rows_of(case, side, model.config.pad_token_id or 0)
        if task == "CAUSAL_LM":
            feed["position_ids"] = (feed["attention_mask"].cumsum(-1) - 1).clip(0)
        out.update({f"{side}.{k}": v for k, v in feed.items()})
        out[f"{side}.logits"] = logits(feed)
    if task == "CAUSAL_LM":
        ids, mask = out["right.input_ids"], out["right.attention_mask"]
        lengths = sorted({4, 5, int(mask.sum(-1).max()) // 2})
        for i, length in enumerate(lengths):
            row = int(mask.sum(-1).argmax()) - i
            prompt = ids[row][:min(length, int(mask[row].sum()))].tolist()
            made, gap = list(prompt), []
            for k in range(NEW):
                z = logits({"input_ids": np.array([made], np.int64)})[0]
                if k == 0:
                    out[f"prompt{i}.logits"] = z
                two = np.sort(z[-1])[-2:]
                gap.append(two[1] - two[0])
                made.append(int(z[-1].argmax()))
            sure = next((k for k, g in enumerate(gap) if g < SURE), NEW)
            out[f"prompt{i}.ids"] = np.array(prompt, np.int64)
            out[f"prompt{i}.tokens"] = np.array(made[len(prompt):len(prompt) + sure], np.int64)
    return out


def run_keys(case, config):
    run = yaml.safe_load(open(f"{case}/run.yaml", encoding="utf-8"))
    given = {key: run.get(key) for key in ("labels", "problem_type")}
    given["model_config"] = {**(run.get("model_config") or {}), **config}
    for key, value in given.items():
        if value:
            yield f"--{key}={value if isinstance(value, str) else json.dumps(value, separators=(',', ':'))}"


def prepare(name, case, out, task, config):
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    where = [f"--model={case}/model", *run_keys(case, config)]
    assert not lora("merge", f"{case}/expected", f"{out}/merged", "--dtype=f32", *where)
    auto = getattr(transformers, "AutoModelFor" + CLASSES[task])
    model, load = auto.from_pretrained(f"{out}/merged", dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    assert not any(load[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")), load
    with torch.no_grad():
        np.savez(f"{out}/reference.npz", **reference(case, task, model.eval()))
    refused = {}
    for file, words in (("onnx", ["--format=onnx"]), ("model.gguf", ["--format=gguf"]), ("adapter.gguf", ["--format=gguf-lora"])):
        refused[file] = lora("export", f"{case}/expected", f"{out}/{file}", *words, *where)
    if not refused["adapter.gguf"]:
        base = f"{out}/base"
        shutil.copytree(f"{case}/model", base)
        if config:  # a base by itself has no --model_config
            whole = json.load(open(f"{base}/config.json"))
            json.dump({**whole, **config}, open(f"{base}/config.json", "w"))
        assert not lora("export", base, f"{out}/base.gguf", "--format=gguf")
    config = model.config.to_dict()
    keys = ("hidden_activation", "hidden_act", "activation_function", "activation")
    act = next((str(config[key]) for key in keys if config.get(key)), "gelu")  # BLOOM has no other
    windowed = 0 if str(config["model_type"]).startswith("gemma") else config.get("sliding_window") or 0
    json.dump({"task": task, "refused": refused, "act": act, "window": windowed}, open(f"{out}/case.json", "w"))
    print(f"{name}: merged clean; " + "; ".join(f"{file}: {why or 'written'}" for file, why in refused.items()))


def main():
    golden, work, *names = sys.argv[1:]
    cases = {name: (name, {}) for name in sorted(os.listdir(golden))}
    cases.update(VARIANTS)
    for name, (of, config) in cases.items():
        case = f"{golden}/{of}"
        adapter = f"{case}/expected/adapter_config.json"
        if (names and name not in names) or not (os.path.exists(adapter) and os.path.exists(f"{case}/run.yaml")):
            continue
        settings = json.load(open(adapter))
        if settings.get("init_lora_weights") in ("pissa", "olora") or settings.get("trainable_token_indices"):
            continue
        task = next((line.split()[1] for line in open(f"{case}/run.yaml") if line.startswith("task_type:")), None)
        if task == "IMAGE_CLS" or (task in CLASSES and os.path.exists(f"{case}/expected/encoded.jsonl")):
            prepare(name, case, f"{work}/{name}", task, config)


main()
