#!/usr/bin/env python3
"""Compares what a run wrote with what PEFT gave for the same case: every step's loss, gradient norm and
learning rate, every tensor of the adapter, the last metrics, how many tokens were trained on. Standard library only.

    compare.py CASE_FOLDER OUTPUT_DIR [--loss 1e-4] [--norm 1e-3] [--adapter 1e-4] [--eval 1e-4]

CASE_FOLDER/expected holds trajectory.jsonl, adapter_model.safetensors and eval.json; of a model that is trained whole
model.safetensors, and in noise.json ranges without a gradient but rounding noise, which are passed over. Prints "equal", or a line
for every figure that is off and ends with 1.
"""
import argparse
import array
import json
import os
import struct
import sys


def with_shapes(path):
    """{name: (shape, floats)} of a safetensors file of F32."""
    with open(path, "rb") as file:
        head = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        body = file.read()
    return {k: (v["shape"], array.array("f", body[slice(*v["data_offsets"])])) for k, v in head.items() if k != "__metadata__"}


def tensors(path):
    """{name: floats} of the same."""
    return {k: floats for k, (_, floats) in with_shapes(path).items()}


def lines(path, key):
    """The lines of a .jsonl file that have the key."""
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    return [row for row in rows if key in row]


def distance(a, b):
    """Largest difference; infinite when the lengths differ or something is not a number."""
    if len(a) != len(b):
        return float("inf")
    worst = 0.0
    for x, y in zip(a, b):
        d = abs(x - y)
        worst = max(worst, d if d == d else float("inf"))
    return worst


def compare_steps(case, out, most):
    got = {row["step"]: row for row in lines(os.path.join(out, "metrics.jsonl"), "loss")}
    want = lines(os.path.join(case, "expected", "trajectory.jsonl"), "loss")
    missing = [row["step"] for row in want if row["step"] not in got]
    if missing or len(got) != len(want) or not want:
        return [f"{len(got)} steps instead of {len(want)}; missing {missing[:5]}"]
    pairs = [(row, got[row["step"]]) for row in want]
    worst = {"loss": distance([w["loss"] for w, _ in pairs], [g["loss"] for _, g in pairs])}
    for key in ("grad_norm", "learning_rate"):  # relative
        worst[key] = distance([1.0] * len(pairs), [1 + (g[key] - w[key]) / max(w[key], 1e-12) for w, g in pairs])
    return [f"{key} is off by {value:.1e}" for key, value in worst.items() if not value <= most[key]]


def products(adapter, ranks):
    """{name of the weight: B A of those ranks}, and tensors of other kinds as they are."""
    made = {}
    for k, (shape, floats) in adapter.items():
        name = k.replace(".lora_A.weight", ".weight")
        if ".lora_B." in k:
            continue
        if name == k:
            made[k] = floats
            continue
        (out, r), b = adapter[k.replace(".lora_A.", ".lora_B.")]
        made[name] = array.array("f", (sum(b[o * r + j] * floats[j * shape[1] + i] for j in ranks(r))
                                       for o in range(out) for i in range(shape[1])))
    return made


def compare_starts(case, out, most):
    """A run that took its start off the base: signs of components are free, so products are compared. The first half
    of the file's ranks is what PEFT trains, the second takes the start off again: it leaves PEFT's residual."""
    expected = os.path.join(case, "expected")
    got, want = (with_shapes(os.path.join(d, "adapter_model.safetensors")) for d in (out, expected))
    worst = {}
    now, then = products(got, lambda r: range(r // 2)), products(want, range)
    if now.keys() != then.keys():
        return [f"other tensors: {sorted(now.keys() ^ then.keys())}"]
    worst = {k: distance(now[k], then[k]) for k in then}
    with open(os.path.join(out, "adapter_config.json"), encoding="utf-8") as file:
        config = json.load(file)
    scale, taken = config["lora_alpha"] / config["r"], products(got, lambda r: range(r // 2, r))
    base = tensors(os.path.join(case, "model", "model.safetensors"))
    for k, left in tensors(os.path.join(expected, "residual.safetensors")).items():
        worst["residual " + k] = distance([w + scale * t for w, t in zip(base[k], taken["base_model.model." + k])], left)
    return [f"{key} is off by {value:.1e}" for key, value in worst.items() if not value <= most]


def compare_ranks(case, out):
    """AdaLoRA: every mask's budget and threshold, and which triplets are left at the end."""
    path = os.path.join(case, "expected", "allocations.jsonl")
    if not os.path.exists(path):
        return []
    rows = {row["step"]: row for row in lines(os.path.join(out, "metrics.jsonl"), "budget")}
    wrong = []
    for want in lines(path, "budget"):
        got = rows.get(want["t"] + 1, {"budget": None, "rank_threshold": 0})
        if got["budget"] != want["budget"] or not abs(got["rank_threshold"] / want["threshold"] - 1) <= 1e-3:
            wrong.append(f"mask of t = {want['t']}: {got['budget']} above {got['rank_threshold']}, should be {want['budget']} above {want['threshold']}")
    patterns = []
    for folder in (out, os.path.join(case, "expected")):
        with open(os.path.join(folder, "adapter_config.json"), encoding="utf-8") as file:
            patterns.append(json.load(file)["rank_pattern"])
    with open(os.path.join(out, "summary.json"), encoding="utf-8") as file:
        ranks = json.load(file)["ranks"]
    if patterns[0] != patterns[1]:
        wrong.append(f"other triplets are kept: {patterns[0]}")
    if {k + ".lora_E": n for k, n in ranks.items()} != {k: sum(v) for k, v in patterns[1].items()}:
        wrong.append(f"summary.json says other ranks: {ranks}")
    return wrong


def compare_adapters(case, out, most):
    if os.path.exists(os.path.join(case, "expected", "residual.safetensors")):
        return compare_starts(case, out, most)
    expected = os.path.join(case, "expected")
    noise = os.path.join(expected, "noise.json")
    name = "model.safetensors" if os.path.exists(noise) else "adapter_model.safetensors"
    got, want = (tensors(os.path.join(d, name)) for d in (out, expected))
    if got.keys() != want.keys():
        return [f"tensor {k} is {'missing' if k in want else 'not expected'}" for k in sorted(got.keys() ^ want.keys())]
    if os.path.exists(noise):
        with open(noise, encoding="utf-8") as file:
            for r in json.load(file):
                got[r["name"]][r["from"]:r["to"]] = want[r["name"]][r["from"]:r["to"]]
    worst = {k: distance(got[k], want[k]) for k in sorted(want)}
    return [f"{key} is off by {value:.1e}" for key, value in worst.items() if not value <= most]


def compare_metrics(case, out, most):
    rows = lines(os.path.join(out, "metrics.jsonl"), "eval_loss")
    with open(os.path.join(case, "expected", "eval.json"), encoding="utf-8") as file:
        want = json.load(file)
    if not rows and want:
        return ["no evaluation in metrics.jsonl"]
    return [f"{key} is {rows[-1].get(key)}, should be {value}" for key, value in want.items()
            if not abs(rows[-1].get(key, float("nan")) - value) <= most * max(1, abs(value))]


def compare_tokens(case, out):
    """Every token that was trained on; images have none in PEFT's rows."""
    want = sum(step["tokens"] for step in lines(os.path.join(case, "expected", "trajectory.jsonl"), "loss"))
    got = {}
    for name, key in (("summary.json", "tokens"), ("trainer_state.json", "num_input_tokens_seen")):
        with open(os.path.join(out, name), encoding="utf-8") as file:
            got[f"{key} of {name}"] = json.load(file)[key]
    return [f"{key} is {n}, should be {want}" for key, n in got.items() if want and n != want]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case")
    parser.add_argument("out")
    for name, value in (("loss", 1e-4), ("norm", 1e-3), ("adapter", 1e-4), ("eval", 1e-4)):
        parser.add_argument("--" + name, type=float, default=value)
    a = parser.parse_args()
    wrong = compare_steps(a.case, a.out, {"loss": a.loss, "grad_norm": a.norm, "learning_rate": 1e-6})
    wrong += compare_adapters(a.case, a.out, a.adapter) + compare_metrics(a.case, a.out, a.eval)
    wrong += compare_tokens(a.case, a.out) + compare_ranks(a.case, a.out)
    print("\n".join(wrong) if wrong else "equal")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
