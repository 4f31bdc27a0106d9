#!/usr/bin/env python3
"""Makes this case: two tasks of different classes, columns, weights and sizes that share one LoRA, trained by a plain PyTorch
loop with a linear layer of its own for each task, of which nothing here knows that they might be one.

    make.py        (torch, transformers, peft, scikit-learn, pyyaml; writes into the folder it lies in)

Texts are those of ../bert-seqcls. A row of the smaller task comes as often as one of the larger (data.sampling: equal), so it
comes twice an epoch. The loss of a step is sum w_task loss / sum w_task over its rows.
"""
import os
import sys

import torch
import transformers

here = os.path.dirname(os.path.abspath(__file__))
os.chdir(here)
sys.path.insert(0, os.path.dirname(here))
from tasks_case import Tasks, rows_of  # noqa: E402


def write(path, columns, rows):
    with open(path, "w", encoding="utf-8", newline="") as f:
        f.write("\n".join("\t".join(row) for row in [columns, *rows]) + "\n")


train, dev = rows_of("../bert-seqcls/train.tsv"), rows_of("../bert-seqcls/dev.tsv")
write("mood.tsv", ["text", "label"], [[r["text"], r["label"]] for r in train[:120]])
write("mood-dev.tsv", ["text", "label"], [[r["text"], r["label"]] for r in dev[:30]])
wordy = lambda r: [r["text"], "many" if len(r["text"]) > 34 else "few"]
write("words.tsv", ["sentence", "answer"], [wordy(r) for r in train[120:180]])
write("words-dev.tsv", ["sentence", "answer"], [wordy(r) for r in dev[30:]])

case = Tasks()
t = case.run["train"]
case.save("init")
case.part()
sets = [case.features(task, "train") for task in case.names]
most = max(map(len, sets))
rows = [s[i % len(s)] for s in sets for i in range(most)]
params = case.parameters()
decay = [p for k, p in params if not k.endswith("bias")]
optimizer = torch.optim.AdamW([dict(params=decay, weight_decay=t["weight_decay"]), dict(params=[p for k, p in params if k.endswith("bias")], weight_decay=0.0)],
                              lr=t["learning_rate"], betas=(t["adam_beta1"], t["adam_beta2"]), eps=t["adam_epsilon"])
schedule = transformers.get_scheduler(t["lr_scheduler_type"], optimizer, num_warmup_steps=t["warmup_steps"], num_training_steps=t["max_steps"])
steps, epoch = [], 0
while len(steps) < t["max_steps"]:
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(t["seed"] + epoch)).tolist()
    for i in range(0, len(rows), t["batch_size"]):
        if len(steps) == t["max_steps"]:
            break
        batch = [rows[j] for j in order[i:i + t["batch_size"]]]
        loss, _ = case.loss_of(case.forward(batch))
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in params], t["max_grad_norm"])
        steps.append({"step": len(steps) + 1, "loss": loss.item(), "grad_norm": norm.item(), "learning_rate": schedule.get_last_lr()[0],
                      "tokens": sum(len(ids) for ids, _, _ in batch)})
        optimizer.step(), schedule.step(), optimizer.zero_grad(set_to_none=False)
    epoch += 1

case.save_all(steps)
case.save_tasks()
