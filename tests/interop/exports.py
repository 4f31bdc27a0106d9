#!/usr/bin/env python3
"""exports.py GOLDEN WORK [CASE...]: what lora merge and lora export write, in the runtimes that read it.

Transformers loads each merged folder with no key missing or unexpected, and is what the others are
compared with (that it measures what PEFT measured: tests/dist/merge_test.sh); onnxruntime computes the exported graph within 2e-5, and greedy tokens through its cache; llama.cpp (where
llama-cpp-python is installed: pip compiles it for minutes) writes the same tokens from the GGUF file. Rows are the first
of expected/encoded.jsonl, padded."""
import json, os, shutil, subprocess, sys

sys.path.pop(0)  # here lies a tokenizers.py that is not the library

import numpy as np
import onnxruntime
import torch
import transformers

try:
    import llama_cpp
except ImportError:
    llama_cpp = None

NEW, BOUND = 12, 2e-5
CLASSES = {"SEQ_CLS": "SequenceClassification", "TOKEN_CLS": "TokenClassification", "CAUSAL_LM": "CausalLM"}
NO_ONNX, GGUF = ("opt-clm",), ("llama-clm", "qwen2-clm", "gpt2-clm", "gpt2-text")


def lora(*words):
    done = subprocess.run(["bin/lora", *words], capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stderr)


def feed_of(case, pad):
    rows = [json.loads(line) for line in open(f"{case}/expected/encoded.jsonl", encoding="utf-8")]
    rows = sorted((r for r in rows if r["split"] != "train"), key=lambda r: len(r["input_ids"]))[::9]
    longest = max(len(r["input_ids"]) for r in rows)
    fill = lambda key, value: np.array([r[key] + [value] * (longest - len(r[key])) for r in rows], np.int64)
    feed = {"input_ids": fill("input_ids", pad)}
    feed["attention_mask"] = np.array([[1] * len(r["input_ids"]) + [0] * (longest - len(r["input_ids"])) for r in rows], np.int64)
    if "token_type_ids" in rows[0]:
        feed["token_type_ids"] = fill("token_type_ids", 0)
    return feed


def greedy_onnx(session, config, prompt):
    made, names = [], [i for i in session.get_inputs() if i.name.startswith("past_")]
    cache = {i.name: np.zeros((1, i.shape[1], 0, i.shape[3]), np.float32) for i in names}
    ids, seen = prompt, 0
    for _ in range(NEW):
        seen += len(ids)
        feed = {"input_ids": np.array([ids], np.int64), "attention_mask": np.ones((1, seen), np.int64),
                "position_ids": np.arange(seen - len(ids), seen, dtype=np.int64)[None], **cache}
        logits, *present = session.run(None, feed)
        cache = {i.name: p for i, p in zip(names, present)}
        ids = [int(logits[0, -1].argmax())]
        made += ids
    return made


def greedy_gguf(path, prompt):
    model = llama_cpp.Llama(path, n_ctx=256, logits_all=True, verbose=False, n_threads=1, type_k=0, type_v=0)
    made = list(prompt)
    for _ in range(NEW):
        model.reset()
        model.eval(made)
        made.append(int(np.array(model.scores[len(made) - 1]).argmax()))
    return made[len(prompt):]


def check(case, work, task):
    name, keys = os.path.basename(case), [f"--{k}" for k in run_keys(case)]
    merged, graph, file = (os.path.join(work, f"{name}{end}") for end in ("-merged", "-onnx", ".gguf"))
    for path in (merged, graph):
        shutil.rmtree(path, ignore_errors=True)
    where = [f"--model={case}/model", *keys]
    lora("merge", f"{case}/expected", merged, "--dtype=f32", *where)
    auto = getattr(transformers, "AutoModelFor" + CLASSES[task])
    model, load = auto.from_pretrained(merged, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    assert not any(load[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")), load
    feed = feed_of(case, model.config.pad_token_id or 0)
    said = []
    with torch.no_grad():
        want = model.eval()(**{k: torch.from_numpy(v) for k, v in feed.items()}).logits.numpy()
        if task == "CAUSAL_LM":
            prompt = feed["input_ids"][0][:4].tolist()
            ids = list(prompt)
            for _ in range(NEW):
                ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
            tokens = ids[len(prompt):]
    if name not in NO_ONNX:
        lora("export", f"{case}/expected", graph, "--format=onnx", *where)
        session = onnxruntime.InferenceSession(f"{graph}/model.onnx", providers=["CPUExecutionProvider"])
        if task == "CAUSAL_LM":
            feed["position_ids"] = (feed["attention_mask"].cumsum(-1) - 1).clip(0)
            feed.update({i.name: np.zeros((len(want), i.shape[1], 0, i.shape[3]), np.float32)
                         for i in session.get_inputs() if i.name.startswith("past_")})
        got = session.run(["logits"], {i.name: feed[i.name] for i in session.get_inputs()})[0]
        keep = feed["attention_mask"].astype(bool) if want.ndim == 3 else slice(None)
        worst = float(np.abs(got - want)[keep].max())
        assert worst <= BOUND, (name, worst)
        said.append(f"onnx {worst:.1e}")
        if task == "CAUSAL_LM":
            assert greedy_onnx(session, model.config, prompt) == tokens, name
    if name in GGUF and llama_cpp:
        if os.path.exists(file):
            os.remove(file)
        lora("export", f"{case}/expected", file, "--format=gguf", *where)
        assert greedy_gguf(file, prompt) == tokens, name
        said.append("gguf equal")
    print(name, "merged clean;", ", ".join(said))


def run_keys(case):
    import yaml

    run = yaml.safe_load(open(f"{case}/run.yaml", encoding="utf-8"))
    for key in ("labels", "problem_type", "model_config"):
        if run.get(key):
            yield f"{key}={run[key] if isinstance(run[key], str) else json.dumps(run[key], separators=(',', ':'))}"


def main():
    golden, work, *names = sys.argv[1:]
    os.makedirs(work, exist_ok=True)
    if not llama_cpp:
        print("without llama.cpp: pip install llama-cpp-python")
    for name in names or sorted(os.listdir(golden)):
        case = f"{golden}/{name}"
        adapter, rows = f"{case}/expected/adapter_config.json", f"{case}/expected/encoded.jsonl"
        if not (os.path.exists(adapter) and os.path.exists(rows) and os.path.exists(f"{case}/run.yaml")):
            continue
        config = json.load(open(adapter))
        if config.get("init_lora_weights") in ("pissa", "olora") or config.get("trainable_token_indices"):
            continue
        task = next((line.split()[1] for line in open(f"{case}/run.yaml") if line.startswith("task_type:")), None)
        if task in CLASSES:
            check(case, work, task)


main()
