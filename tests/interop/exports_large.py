#!/usr/bin/env python3
"""exports_large.py WORK: a made-up Llama of 2.4 GB, which no protobuf file holds, through lora export --format=onnx: weights lie
in a file beside the graph, and onnxruntime gives Transformers' logits within 2e-5 of the largest, with the cache too. Takes 5 GB of disk and 6
of memory; both go at the end."""
import json, os, shutil, subprocess, sys

sys.path.pop(0)

import numpy as np
import onnxruntime
import torch
import transformers

GOLDEN = "tests/golden/llama-clm/model"
C, F, H, LAYERS = 2048, 8192, 16, 9


def shapes(V):
    yield "model.embed_tokens.weight", (V, C)
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        for name in ("q", "k", "v", "o"):
            yield f"{p}self_attn.{name}_proj.weight", (C, C)
        yield p + "mlp.gate_proj.weight", (F, C)
        yield p + "mlp.up_proj.weight", (F, C)
        yield p + "mlp.down_proj.weight", (C, F)
        yield p + "input_layernorm.weight", (C,)
        yield p + "post_attention_layernorm.weight", (C,)
    yield "model.norm.weight", (C,)
    yield "lm_head.weight", (V, C)


def make(folder):
    shutil.copytree(GOLDEN, folder, ignore=shutil.ignore_patterns("*.safetensors*"))
    config = json.load(open(f"{folder}/config.json"))
    config.update(hidden_size=C, intermediate_size=F, num_attention_heads=H, num_key_value_heads=H, num_hidden_layers=LAYERS, tie_word_embeddings=False)
    config.pop("head_dim", None)
    json.dump(config, open(f"{folder}/config.json", "w"))
    rng, header, at = np.random.default_rng(0), {}, 0
    for name, shape in shapes(config["vocab_size"]):
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    block = (rng.standard_normal(1 << 22) * 0.02).astype(np.float32)  # one block, begun elsewhere for each tensor
    with open(f"{folder}/model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes(config["vocab_size"]):
            count = int(np.prod(shape))
            file.write(np.ones(count, np.float32) if len(shape) == 1 else np.resize(np.roll(block, int(rng.integers(1 << 22))), count))
    return at


def main():
    work, = sys.argv[1:]
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    bytes_made = make(f"{work}/model")
    assert bytes_made > 2 << 30, bytes_made
    subprocess.run(["bin/lora", "export", f"{work}/model", f"{work}/onnx", "--format=onnx"], check=True)
    graph, data = (os.path.getsize(f"{work}/onnx/{name}") for name in ("model.onnx", "model.onnx_data"))
    assert graph < 1 << 20 and data >= bytes_made, (graph, data)
    ids = np.array([[1, 17, 5, 40, 9, 33], [1, 4, 3, 2, 60, 7]], np.int64)
    model = transformers.AutoModelForCausalLM.from_pretrained(f"{work}/model", dtype=torch.float32, attn_implementation="eager")
    with torch.no_grad():
        want = model(input_ids=torch.from_numpy(ids)).logits.numpy()
    del model
    session = onnxruntime.InferenceSession(f"{work}/onnx/model.onnx", providers=["CPUExecutionProvider"])
    caches = [i for i in session.get_inputs() if i.name.startswith("past_")]
    cache, got = {i.name: np.zeros((2, i.shape[1], 0, i.shape[3]), np.float32) for i in caches}, []
    for begin, end in ((0, 4), (4, 6)):  # a prompt, and two tokens behind it
        place = np.tile(np.arange(begin, end, dtype=np.int64), (2, 1))
        logits, *present = session.run(None, {"input_ids": ids[:, begin:end], "attention_mask": np.ones((2, end), np.int64), "position_ids": place, **cache})
        cache = {i.name: p for i, p in zip(caches, present)}
        got.append(logits)
    worst = float(np.abs(np.concatenate(got, 1) - want).max() / np.abs(want).max())
    print(f"{bytes_made / 1e9:.2f} GB of weights, a graph of {graph} bytes: logits within {worst:.1e} of the largest ({np.abs(want).max():.1f})")
    assert worst <= 2e-5
    shutil.rmtree(work)


main()
