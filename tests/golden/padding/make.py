"""What Transformers and PEFT make of rows that hold the padding's id: positions, the row that a classifier reads, and which rows of the
embeddings have a gradient.

    python make.py      with the packages of tests/interop/requirements.txt

Each folder is a golden case with trained embeddings: an adapter as PEFT writes it, rows.jsonl (ids, labels, the logits of a row alone, its
loss) and grads.safetensors (of the sum of the losses). Rows are computed one by one and all tokens are attended to: nothing pads here but
ids in the text itself.
"""
import json
import os
import shutil

import peft
import torch
import transformers
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = [
    ("roberta-lora", "roberta-pair", "SEQ_CLS", 2, dict(target_modules=["word_embeddings", "position_embeddings", "query"])),
    ("roberta-whole", "roberta-pair", "SEQ_CLS", 2, dict(target_modules=["query"], modules_to_save=["word_embeddings", "position_embeddings"])),
    ("bert-lora", "bert-seqcls", "SEQ_CLS", 3, dict(target_modules=["word_embeddings", "position_embeddings"])),
    ("distilbert-lora", "distilbert-regress", "SEQ_CLS", 1, dict(target_modules=["word_embeddings"])),
    ("gpt2-lora", "gpt2-seqcls", "SEQ_CLS", 3, dict(target_modules=["wte", "c_attn"])),
    ("llama-lora", "llama-clm", "CAUSAL_LM", 0, dict(target_modules=["embed_tokens", "q_proj"])),
]
CLASSES = {"SEQ_CLS": transformers.AutoModelForSequenceClassification, "CAUSAL_LM": transformers.AutoModelForCausalLM}
P = "pad"
# what stands where; numbers are other ids, the first and last are special tokens of the families that have some
ROWS = [[0, 20, 21, 22, 2], [0, 20, P, 22, 23, 2], [0, P, P, 24, 25, P, 26, 2], [P, 0, 27, 28, 2], [0, 30, 31, 2, P], [0, 30, 31, 2, P, P, P], [P, 33, P], [P], [P, P, P]]


def rows_of(pad, task, labels):
    for i, row in enumerate(ROWS):
        if task == "CAUSAL_LM" and len(row) < 2:
            continue
        ids = [pad if t == P else (t + 40 if t == pad else t) for t in row]
        label = [t if k % 4 else -100 for k, t in enumerate(ids)] if task == "CAUSAL_LM" else 0.5 * i - 1 if labels == 1 else i % labels
        yield dict(input_ids=ids, labels=label)


def make(name, case, task, labels, lora):
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(0)
    more = dict(num_labels=labels) if labels else {}
    base = CLASSES[task].from_pretrained(os.path.join(HERE, "..", case, "model"), dtype=torch.float32, **more)
    if labels == 1:
        base.config.problem_type = "regression"
    model = peft.get_peft_model(base, peft.LoraConfig(r=2, lora_alpha=4, task_type=task, **lora)).eval()
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p += 0.1 * torch.randn_like(p)
    rows = list(rows_of(base.config.pad_token_id, task, labels))
    assert any(base.config.pad_token_id in row["input_ids"] for row in rows)
    for row in rows:
        target = torch.tensor([row["labels"]])
        out = model(input_ids=torch.tensor([row["input_ids"]]), attention_mask=torch.ones(1, len(row["input_ids"]), dtype=torch.long), labels=target)
        count = int((target[:, 1:] != -100).sum()) if task == "CAUSAL_LM" else 1
        (out.loss * count).backward()
        row.update(count=count, loss=float(out.loss) * count)
        if task != "CAUSAL_LM":
            row["logits"] = [float(x) for x in out.logits[0]]
    model.peft_config["default"].base_model_name_or_path = "model"
    model.save_pretrained(folder, save_embedding_layers=False)
    saved = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
    grads = peft.get_peft_model_state_dict(model, {n: p.grad for n, p in model.named_parameters() if p.grad is not None}, save_embedding_layers=False)
    assert grads.keys() == saved.keys(), grads.keys() ^ saved.keys()
    save_file({k: v.contiguous() for k, v in grads.items()}, os.path.join(folder, "grads.safetensors"))
    os.remove(os.path.join(folder, "README.md"))
    with open(os.path.join(folder, "rows.jsonl"), "w") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)


for c in CASES:
    make(*c)
