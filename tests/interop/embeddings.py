"""sentence-transformers beside a run of FEATURE_EXTRACTION: `embeddings.py CASE OUT MERGED`.

The run's folder and the merged one load as SentenceTransformer and give `lora embed`'s vectors; PEFT loads the adapter with no key
missing and none left; the loss of the first step is that of sentence-transformers' own module over all its rows."""
import json
import os
import subprocess
import sys

sys.path.pop(0)  # tokenizers.py beside this file is not the library

import numpy as np
import peft
import torch
import transformers
import yaml
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.losses import MultipleNegativesRankingLoss

case, out, merged = sys.argv[1:]
run = yaml.safe_load(open(os.path.join(case, "run.yaml"), encoding="utf-8"))
columns = run["data"]["columns"]
rows = [json.loads(line) for line in open(os.path.join(case, "train.jsonl"), encoding="utf-8")]
dev = os.path.join(case, "dev.jsonl")


def ours(*arguments):
    path = out + ".npy"
    subprocess.run(["bin/lora", "embed", *arguments, dev, "--column=" + columns[1], "--output=" + path], check=True)
    return np.load(path)


texts = [json.loads(line)[columns[1]] for line in open(dev, encoding="utf-8")]
for folder, arguments in ((os.path.join(case, "model"), ["--model=" + os.path.join(case, "model")]), (out, ["--adapter=" + out]), (merged, ["--model=" + merged])):
    off = np.abs(SentenceTransformer(folder, device="cpu").encode(texts) - ours(*arguments)).max()
    print(f"{folder}: vectors differ by {off:.1e}")
    assert off < 1e-5

base = transformers.AutoModel.from_pretrained(os.path.join(case, "model"), dtype=torch.float32)
model = peft.get_peft_model(base, peft.PeftConfig.from_pretrained(out))
result = peft.set_peft_model_state_dict(model, load_file(os.path.join(out, "adapter_model.safetensors")))
missing = [k for k in result.missing_keys if "lora_" in k]
assert not missing and not result.unexpected_keys, (missing, result.unexpected_keys)
print("PEFT: no key is missing, none is left")

st = SentenceTransformer(os.path.join(case, "model"), device="cpu")
st[0].auto_model = peft.PeftModel.from_pretrained(st[0].auto_model, os.path.join(case, "init")).base_model.model
first = json.loads(open(os.path.join(case, "expected", "trajectory.jsonl"), encoding="utf-8").readline())["rows"]
loss = MultipleNegativesRankingLoss(st, scale=run["train"]["loss_scale"])
with torch.no_grad():
    wanted = loss([st.tokenize([rows[r][c] for r in first]) for c in columns], None).item()
got = next(x["loss"] for x in map(json.loads, open(os.path.join(out, "metrics.jsonl"), encoding="utf-8")) if "loss" in x)
print(f"the first step's loss: {got:.7f} here, {wanted:.7f} there")
assert abs(got - wanted) < 1e-5
