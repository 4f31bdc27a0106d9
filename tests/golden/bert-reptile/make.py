#!/usr/bin/env python3
"""Makes this case, and ../bert-fomaml: a plain PyTorch loop of Reptile and of first-order MAML over the two tasks of ../bert-tasks.

    make.py        (torch, transformers, peft, scikit-learn, pyyaml; writes into both folders)

Inner steps are torch.optim's, on a deep copy of what is trained; the outer step is torch.optim's, too, by what is laid into grad:
the mean over the episodes, by their tasks' weights, of (values - copy), or of the gradient of one more batch at the copy. The
rows of epoch e: those of each task in the order of randperm at seed + e, cut into episodes; the episodes of all tasks, task behind
task, in the order of randperm at seed + e.
"""
import os
import sys

import torch
import transformers

golden = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, golden)
from tasks_case import Tasks  # noqa: E402


def permutation(n, seed):
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed)).tolist()


def episodes_of(sets, size, seed):
    """[rows] of an epoch"""
    cut = []
    for rows in sets:
        order = [rows[i] for i in permutation(len(rows), seed)]
        cut += [order[i:i + size] for i in range(0, len(rows) - size + 1, size)]
    return [cut[i] for i in permutation(len(cut), seed)]


def optimizer_of(name, params, rate, t, decay):
    groups = [dict(params=[p for k, p in params if not k.endswith("bias")], weight_decay=decay), dict(params=[p for k, p in params if k.endswith("bias")], weight_decay=0.0)]
    if name == "sgd":
        return torch.optim.SGD(groups, lr=rate)
    return torch.optim.AdamW(groups, lr=rate, betas=(t["adam_beta1"], t["adam_beta2"]), eps=t["adam_epsilon"])


def make(name):
    os.chdir(os.path.join(golden, name))
    case = Tasks("../bert-tasks/init")
    case.part()
    run, params = case.run, case.parameters()
    t, meta = run["train"], run["meta"]
    fomaml, B = meta["algorithm"] == "fomaml", t["batch_size"]
    sets = [case.features(task, "train") for task in case.names]
    if run["data"].get("sampling") == "equal":
        most = max(map(len, sets))
        sets = [[s[i % len(s)] for i in range(most)] for s in sets]
    outer = optimizer_of(t["optim"], params, t["learning_rate"], t, t["weight_decay"])
    schedule = transformers.get_scheduler(t["lr_scheduler_type"], outer, num_warmup_steps=t["warmup_steps"], num_training_steps=t["max_steps"])
    steps, epoch = [], 0

    def mean_loss(rows):
        out = case.forward(rows)
        return torch.stack([torch.nn.functional.cross_entropy(logits[None], torch.tensor([goal])) for _, goal, logits in out]).mean()

    def episode(rows):
        """-> the loss, {name: what the outer step gets}; the parameters are what they were"""
        values = [p.detach().clone() for _, p in params]
        inner = optimizer_of(meta["inner_optim"], params, meta["inner_learning_rate"], t, 0.0)
        for k in range(meta["inner_steps"]):
            inner.zero_grad(set_to_none=False)
            loss = mean_loss(rows[k * B:(k + 1) * B])
            loss.backward()
            inner.step()
        if fomaml:
            inner.zero_grad(set_to_none=False)
            loss = mean_loss(rows[-B:])
            loss.backward()
            learnt = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for _, p in params]
        else:
            learnt = [v - p.detach() for v, (_, p) in zip(values, params)]
        with torch.no_grad():
            for v, (_, p) in zip(values, params):
                p.copy_(v)
        return loss.item(), learnt

    while len(steps) < t["max_steps"]:
        all_rows = episodes_of(sets, B * (meta["inner_steps"] + fomaml), t["seed"] + epoch)
        for i in range(0, len(all_rows), meta["episodes"]):
            if len(steps) == t["max_steps"]:
                break
            batch = all_rows[i:i + meta["episodes"]]
            weights = [case.weight(rows[0][1]) for rows in batch]
            made = [episode(rows) for rows in batch]
            for j, (_, p) in enumerate(params):
                p.grad = sum(w * learnt[j] for w, (_, learnt) in zip(weights, made)) / sum(weights)
            norm = torch.nn.utils.clip_grad_norm_([p for _, p in params], t["max_grad_norm"])
            steps.append({"step": len(steps) + 1, "loss": sum(w * loss for w, (loss, _) in zip(weights, made)) / sum(weights), "grad_norm": norm.item(),
                          "learning_rate": schedule.get_last_lr()[0], "tokens": sum(len(ids) for rows in batch for ids, _, _ in rows)})
            outer.step(), schedule.step()
        epoch += 1
    case.save_all(steps)


for name in sys.argv[1:] or ["bert-reptile", "bert-fomaml"]:
    make(name)
