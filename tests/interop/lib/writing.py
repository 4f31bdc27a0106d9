"""Texts that follow prompts: by `lora predict`, and greedily by Transformers and PEFT."""
import json
import subprocess

import torch


def predict(folder, adapter, prompts, count, longest=256):
    """{"text", "tokens"} a prompt, of up to `count` tokens; `longest`: data.max_length."""
    if any("\n" in p for p in prompts):
        raise SystemExit("a prompt is one line")
    out = subprocess.run(["bin/lora", "predict", f"--adapter={adapter}", f"--model={folder}", f"--max_length={longest}",
                          f"--data.max_new_tokens={count}"], input="".join(p + "\n" for p in prompts),
                         stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
    return [json.loads(line) for line in out.splitlines()]


def greedy(model, tokenizer, prompt, count):
    """The same of a model of Transformers or PEFT."""
    ids = torch.tensor([tokenizer(prompt)["input_ids"]])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=count,
                         pad_token_id=0)[0, ids.shape[1]:].tolist()
    ends = model.generation_config.eos_token_id
    while out and out[-1] in (ends if isinstance(ends, list) else [ends]):
        out.pop()
    return {"text": tokenizer.decode(out, skip_special_tokens=True), "tokens": len(out)}
