#!/usr/bin/env python3
"""exports_optimum.py WORK [CASE...]: the folders that exports.py made, loaded as Optimum's users do
(ORTModelFor....from_pretrained): logits within 1e-4 of Transformers', and generate()'s greedy tokens. Needs an environment of
its own, as optimum-onnx holds back Transformers. It takes the size of a head to be width / heads: models with another
are left out, and counted."""
import json, os, sys

sys.path.pop(0)

import numpy as np
import torch
import optimum.onnxruntime as optimum

CLASSES = {"SEQ_CLS": "SequenceClassification", "TOKEN_CLS": "TokenClassification", "CAUSAL_LM": "CausalLM", "IMAGE_CLS": "ImageClassification"}


def main():
    work, *only = sys.argv[1:]
    checked, other = 0, []
    for name in only or sorted(os.listdir(work)):
        case = json.load(open(f"{work}/{name}/case.json"))
        if case["refused"]["onnx"]:
            continue
        config = json.load(open(f"{work}/{name}/onnx/config.json"))
        if config.get("head_dim") and config["head_dim"] != config["hidden_size"] // config["num_attention_heads"]:
            other.append(name)
            continue
        model = getattr(optimum, "ORTModelFor" + CLASSES[case["task"]]).from_pretrained(f"{work}/{name}/onnx")
        ref, worst, count = np.load(f"{work}/{name}/reference.npz"), 0, 0
        for side in ("right", "left"):
            feed = {k[len(side) + 1:]: torch.from_numpy(ref[k]) for k in ref.files if k.startswith(side + ".")}
            if not feed:
                continue
            want = feed.pop("logits").numpy()
            got = model(**feed).logits.numpy()
            keep = feed["attention_mask"].numpy().astype(bool) if want.ndim == 3 else slice(None)
            worst = max(worst, float(np.abs(got - want)[keep].max()))
        for i in range(3 if case["task"] == "CAUSAL_LM" else 0):
            if f"prompt{i}.ids" in ref.files and len(ref[f"prompt{i}.tokens"]):
                ids, tokens = torch.from_numpy(ref[f"prompt{i}.ids"])[None], ref[f"prompt{i}.tokens"].tolist()
                got = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=len(tokens), do_sample=False, eos_token_id=None)
                assert got[0, ids.shape[1]:].tolist() == tokens, (name, i)
                count += len(tokens)
        assert worst <= 1e-4, (name, worst)
        checked += 1
        print(f"{name}: {type(model).__name__} {worst:.1e}" + (f", {count} generated tokens equal" if count else ""))
    print(f"{checked} folders in Optimum; heads of a size of their own: {', '.join(other) or 'none'}")
    assert checked


main()
