#!/usr/bin/env python3
"""exports_onnx.py WORK [CASE...]: the graphs that exports.py made, in this environment's onnxruntime: names and axes as Optimum
has them, logits of padded batches within 2e-5 of Transformers', a row alone as it is among others, and of language
models the greedy tokens one at a time through the cache. Needs numpy and onnxruntime alone, of any release since 1.16."""
import json, os, sys

sys.path.pop(0)

import numpy as np
import onnxruntime

BOUND = 2e-5


def empty(session, batch):
    return {i.name: np.zeros((batch, i.shape[1], 0, i.shape[3]), np.float32) for i in session.get_inputs() if i.name.startswith("past_")}


def run(session, feed):
    known = {i.name for i in session.get_inputs()}
    assert known <= set(feed), (known - set(feed))
    return dict(zip((o.name for o in session.get_outputs()), session.run(None, {k: v for k, v in feed.items() if k in known})))


def names(session, task):
    got = [(i.name, [str(d) for d in i.shape]) for i in session.get_inputs()]
    two, past = ["batch_size", "sequence_length"], any(n.startswith("past_") for n, _ in got)
    if task != "IMAGE_CLS":
        assert got[0] == ("input_ids", two), got[0]
        assert got[1] == ("attention_mask", ["batch_size", "past_sequence_length + sequence_length"] if past else two), got[1]
    else:
        assert got[0][0] == "pixel_values"
    for name, axes in got:
        assert not name.startswith("past_") or (axes[0], axes[2]) == ("batch_size", "past_sequence_length"), (name, axes)
    caches = [n.replace("past_key_values.", "present.") for n, _ in got if n.startswith("past_")]
    assert [o.name for o in session.get_outputs()] == ["logits"] + caches
    assert (task == "CAUSAL_LM") == bool(caches)


def batches(session, ref):
    worst = 0
    for side in ("right", "left"):
        feed = {k[len(side) + 1:]: ref[k] for k in ref.files if k.startswith(side + ".")}
        if not feed:
            continue
        want = feed.pop("logits")
        got = run(session, {**feed, **empty(session, len(want))})["logits"]
        assert got.shape == want.shape, (got.shape, want.shape)
        keep = feed["attention_mask"].astype(bool) if want.ndim == 3 else np.ones(len(want), bool)
        worst = max(worst, float(np.abs(got - want)[keep].max()))
        alone = run(session, {**{k: v[:1] for k, v in feed.items()}, **empty(session, 1)})["logits"]
        worst = max(worst, float(np.abs(alone[0] - got[0])[keep[0] if want.ndim == 3 else slice(None)].max()))
    return worst


def greedy(session, ref):
    count, worst = 0, 0
    for i in range(3):
        if f"prompt{i}.ids" not in ref.files:
            break
        ids, cache, seen = ref[f"prompt{i}.ids"].tolist(), empty(session, 1), 0
        for k, wanted in enumerate([-1, *ref[f"prompt{i}.tokens"].tolist()]):
            if k:
                ids = [wanted]
            seen += len(ids)
            feed = {"input_ids": np.array([ids], np.int64), "attention_mask": np.ones((1, seen), np.int64),
                    "position_ids": np.arange(seen - len(ids), seen, dtype=np.int64)[None], **cache}
            got = run(session, feed)
            if not k:
                worst = max(worst, float(np.abs(got["logits"][0] - ref[f"prompt{i}.logits"]).max()))
            cache = {n.replace("present.", "past_key_values."): v for n, v in got.items() if n.startswith("present.")}
            if k < len(ref[f"prompt{i}.tokens"]):
                assert int(got["logits"][0, -1].argmax()) == int(ref[f"prompt{i}.tokens"][k]), (i, k)
                count += 1
    return count, worst


def main():
    work, *only = sys.argv[1:]
    checked = 0
    for name in only or sorted(os.listdir(work)):
        case = json.load(open(f"{work}/{name}/case.json"))
        if case["refused"]["onnx"]:
            continue
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(f"{work}/{name}/onnx/model.onnx", options, providers=["CPUExecutionProvider"])
        ref = np.load(f"{work}/{name}/reference.npz")
        names(session, case["task"])
        worst = batches(session, ref)
        count, first = greedy(session, ref) if case["task"] == "CAUSAL_LM" else (0, 0)
        assert max(worst, first) <= BOUND, (name, worst, first)
        checked += 1
        print(f"{name}: {max(worst, first):.1e}" + (f", {count} greedy tokens equal" if count else ""))
    print(f"{checked} graphs in onnxruntime {onnxruntime.__version__}")
    assert checked


main()
