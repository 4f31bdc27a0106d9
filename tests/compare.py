#!/usr/bin/env python3
"""Compares what a run wrote with what PEFT gave for the same case: every step's loss, gradient norm and
learning rate, every tensor of the adapter, the last metrics, how many tokens were trained on. Standard library only.

    compare.py CASE_FOLDER OUTPUT_DIR [--loss 1e-4] [--norm 1e-3] [--adapter 1e-4] [--eval 1e-4]

CASE_FOLDER/expected holds trajectory.jsonl, adapter_model.safetensors and eval.json. Prints "equal", or a line
for every figure that is off and ends with 1.
"""
import argparse
import array
import json
import os
import struct
import sys


def tensors(path):
    """{name: floats} of a safetensors file of F32."""
    with open(path, "rb") as file:
        head = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        body = file.read()
    return {k: array.array("f", body[slice(*v["data_offsets"])]) for k, v in head.items() if k != "__metadata__"}


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


def compare_adapters(case, out, most):
    got, want = (tensors(os.path.join(d, "adapter_model.safetensors")) for d in (out, os.path.join(case, "expected")))
    if got.keys() != want.keys():
        return [f"tensor {k} is {'missing' if k in want else 'not expected'}" for k in sorted(got.keys() ^ want.keys())]
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
    wrong += compare_tokens(a.case, a.out)
    print("\n".join(wrong) if wrong else "equal")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
