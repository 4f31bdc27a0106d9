"""First steps over a base of less than fp32, as PyTorch and PEFT compute them in fp32: the base is rounded first, to
bf16, to int8 rows, or to bitsandbytes' nf4 with double quantisation and back. Writes CASE.KIND.safetensors: the mean
loss and every gradient of the case's first step, and the logits of its first two rows. CASE.KIND-products.safetensors
are the same with products in bf16: of a frozen matrix, and what is multiplied with it forward and backward, the numbers
rounded to bf16, their sums in fp32.

    pip install torch==2.13.0 transformers==5.23.0 peft==0.21.2 bitsandbytes==0.50.2
    python tests/golden/precision/make.py
"""
import json
import os
import warnings

import bitsandbytes.functional as bnb
import torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
from transformers.pytorch_utils import Conv1D

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = {"bert-seqcls": AutoModelForSequenceClassification, "gpt2-clm": AutoModelForCausalLM,
         "llama-clm": AutoModelForCausalLM}


def bf16(w):
    return w.to(torch.bfloat16).float()


def int8(w):
    scale = w.abs().max(1, keepdim=True)[0]
    return torch.round(w * (1.0 / scale * 127.0)) * (scale / 127.0)


def nf4(w):
    """Codes and absmax are bitsandbytes'. Its CPU code takes for some of the scales a number beside the nearest (0.50.2,
    quantize_blockwise); here it is the nearest. What codes stand for is looked up here, as its own dequantize_4bit is
    off by whole steps where the CPU has AVX-512 BF16."""
    codes, state = bnb.quantize_4bit(w.contiguous(), blocksize=64, compress_statistics=False, quant_type="nf4")
    offset, table = state.absmax.mean(), bnb.create_dynamic_map()
    rest = torch.nn.functional.pad(state.absmax - offset, (0, -len(state.absmax) % 256)).view(-1, 256)
    top = rest.abs().max(1, keepdim=True)[0]
    index = ((rest / top)[..., None] - table).abs().argmin(-1)
    absmax = (table[index] * top).flatten()[:len(state.absmax)] + offset
    codes = codes.flatten().long()
    numbers = state.code[torch.stack([codes >> 4, codes & 15], 1).flatten()[:w.numel()]]
    return (numbers * absmax.repeat_interleave(64)[:w.numel()]).view_as(w)


KINDS = {"bf16": bf16, "int8": int8, "nf4": nf4}


def round_base(model, kind):
    words, out = model.get_input_embeddings(), model.get_output_embeddings()
    for name, module in model.named_modules():
        if module is words or module is out:
            module.weight.data = bf16(module.weight.data)
        elif name in ("classifier", "score"):
            continue  # begins with the run
        elif isinstance(module, Conv1D):
            module.weight.data = KINDS[kind](module.weight.data.T).T.contiguous()
        elif isinstance(module, torch.nn.Linear):
            module.weight.data = KINDS[kind](module.weight.data)


class RoundedProduct(torch.autograd.Function):
    """x W^T of a frozen W[out,in]."""
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(w)
        return bf16(x) @ w.T

    @staticmethod
    def backward(ctx, dy):
        return bf16(dy) @ ctx.saved_tensors[0], None


def round_products(model):
    words = model.get_input_embeddings()
    for name, module in model.named_modules():
        if name in ("classifier", "score") or not isinstance(module, (Conv1D, torch.nn.Linear)) or module is words:
            continue
        w = bf16(module.weight.data.T if isinstance(module, Conv1D) else module.weight.data)

        def product(x, w=w, bias=module.bias):
            y = RoundedProduct.apply(x, w)
            return y if bias is None else y + bias
        module.forward = product


def rows_of(folder):
    with open(os.path.join(folder, "expected/encoded.jsonl")) as f:
        return [row for row in map(json.loads, f) if row["split"] == "train"]


def forward(model, row):
    inputs = {k: torch.tensor([row[k]]) for k in ("input_ids", "token_type_ids") if k in row}
    return model(**inputs).logits[0]


def loss_of(model, row):
    """Sum and count."""
    logits, labels = forward(model, row), torch.tensor(row["labels"])
    if labels.dim() == 0:
        return torch.nn.functional.cross_entropy(logits, labels, reduction="sum"), 1
    return (torch.nn.functional.cross_entropy(logits[:-1], labels[1:], reduction="sum"),
            int((labels[1:] != -100).sum()))


def run(case, kind, products=False):
    folder = os.path.join(HERE, "..", case)
    with open(os.path.join(folder, "run.yaml")) as f:
        labels = {"num_labels": 3} if "SEQ_CLS" in f.read() else {}
    model = CASES[case].from_pretrained(os.path.join(folder, "model"), dtype=torch.float32, **labels)
    if kind:
        round_base(model, kind)
    if products:
        round_products(model)
    model = PeftModel.from_pretrained(model, os.path.join(folder, "init"), is_trainable=True).eval()
    rows = rows_of(folder)
    with open(os.path.join(folder, "expected/trajectory.jsonl")) as f:
        step = json.loads(f.readline())
    total, count = 0.0, 0
    for i in step["rows"]:
        loss, n = loss_of(model, rows[i])
        total, count = total + loss, count + n
    total.backward()  # of the sum, as here: products in bf16 of a mean would round other numbers
    if not kind:
        assert abs(float(total) / count - step["loss"]) < 1e-5, (case, float(total) / count, step["loss"])
        return
    out = {"loss": (total / count).detach().reshape(1)}
    with torch.no_grad():
        for i in range(2):
            out[f"logits.row{i}"] = forward(model, rows[i]).contiguous()
    for name, p in model.named_parameters():
        if p.requires_grad:
            out[name.replace(".default", "").replace("modules_to_save.", "")] = p.grad.contiguous() / count
    path = os.path.join(HERE, f"{case}.{kind}{'-products' if products else ''}.safetensors")
    save_file(out, path)
    os.chmod(path, 0o644)


def main():
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for case in CASES:
        run(case, None)
        for kind in KINDS:
            run(case, kind)
            run(case, kind, products=True)


if __name__ == "__main__":
    main()
