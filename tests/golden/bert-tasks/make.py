#!/usr/bin/env python3
"""Makes this case: two tasks of different classes, columns, weights and sizes that share one LoRA, trained by a plain PyTorch
loop with a linear layer of its own for each task, of which nothing here knows that they might be one.

    make.py        (torch, transformers, peft, scikit-learn, pyyaml; writes into the folder it lies in)

Texts are those of ../bert-seqcls. A row of the smaller task comes as often as one of the larger (data.sampling: equal), so it
comes twice an epoch. The loss of a step is sum w_task loss / sum w_task over its rows.
"""
import csv
import json
import math
import os
import shutil

import peft
import torch
import transformers
import yaml
from safetensors.torch import save_file
from sklearn import metrics

here = os.path.dirname(os.path.abspath(__file__))
os.chdir(here)
run = yaml.safe_load(open("run.yaml", encoding="utf-8"))
t = run["train"]


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f, delimiter="\t"))


def write(path, columns, rows):
    with open(path, "w", encoding="utf-8", newline="") as f:
        f.write("\n".join("\t".join(row) for row in [columns, *rows]) + "\n")


train, dev = rows_of("../bert-seqcls/train.tsv"), rows_of("../bert-seqcls/dev.tsv")
write("mood.tsv", ["text", "label"], [[r["text"], r["label"]] for r in train[:120]])
write("mood-dev.tsv", ["text", "label"], [[r["text"], r["label"]] for r in dev[:30]])
wordy = lambda r: [r["text"], "many" if len(r["text"]) > 34 else "few"]
write("words.tsv", ["sentence", "answer"], [wordy(r) for r in train[120:180]])
write("words-dev.tsv", ["sentence", "answer"], [wordy(r) for r in dev[30:]])

tokenizer = transformers.AutoTokenizer.from_pretrained("../bert-seqcls/model")
names = list(run["tasks"])


def features(task, path):
    data = run["tasks"][task]
    made = []
    for r in rows_of(path):
        ids = tokenizer(r[data.get("text", "text")], truncation=True, max_length=run["data"]["max_length"])["input_ids"]
        made.append((ids, task, data["labels"].index(r[data.get("label", "label")])))
    return made


labels = sum(len(task["labels"]) for task in run["tasks"].values())
torch.manual_seed(3)
base = transformers.AutoModelForSequenceClassification.from_pretrained("../bert-seqcls/model", num_labels=labels, ignore_mismatched_sizes=True,
                                                                       hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
lora = {k: v for k, v in run["lora"].items() if k != "init_adapter"}
model = peft.get_peft_model(base, peft.LoraConfig(task_type="SEQ_CLS", **lora))
g = torch.Generator().manual_seed(10)
with torch.no_grad():
    for name, p in sorted(model.named_parameters()):
        if p.requires_grad:
            noise = torch.randn(p.shape, generator=g)
            p.copy_(noise * (1 / math.sqrt(p[0].numel()) if "lora_A" in name else .05 if "lora_B" in name else .3 / math.sqrt(p.shape[-1]) if p.ndim > 1 else .02))


def save(folder):
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    path = os.path.join(folder, "adapter_config.json")
    config = json.load(open(path))
    config["base_model_name_or_path"] = "model"
    for key in ("target_modules", "modules_to_save"):
        config[key].sort()
    json.dump(config, open(path, "w"), indent=2, sort_keys=True)


save("init")
joint = model.base_model.model.classifier.modules_to_save["default"]
heads, first = {}, 0
for task in names:
    n = len(run["tasks"][task]["labels"])
    heads[task] = torch.nn.Linear(joint.in_features, n)
    with torch.no_grad():
        heads[task].weight.copy_(joint.weight[first:first + n])
        heads[task].bias.copy_(joint.bias[first:first + n])
    first += n


def forward(batch):
    """-> [(task, class, logits of the task's own layer)] in the order of the rows"""
    width = max(len(ids) for ids, _, _ in batch)
    ids = torch.tensor([i + [tokenizer.pad_token_id] * (width - len(i)) for i, _, _ in batch])
    mask = torch.tensor([[1] * len(i) + [0] * (width - len(i)) for i, _, _ in batch])
    pooled = model.base_model.model.bert(input_ids=ids, attention_mask=mask).pooler_output
    return [(task, goal, heads[task](pooled[b])) for b, (_, task, goal) in enumerate(batch)]


def loss_of(out):
    weight = [float(run["tasks"][task].get("weight", 1)) for task, _, _ in out]
    each = [torch.nn.functional.cross_entropy(logits[None], torch.tensor([goal])) for _, goal, logits in out]
    return sum(w * e for w, e in zip(weight, each)) / sum(weight), [e.item() for e in each]


def evaluate(rows):
    with torch.no_grad():
        out = forward(rows)
        total, each = loss_of(out)
    figures = {"eval_loss": total.item()}
    for task in names:
        at = [i for i, o in enumerate(out) if o[0] == task]
        goal, guess = [out[i][1] for i in at], [int(out[i][2].argmax()) for i in at]
        binary = dict(average="binary" if len(run["tasks"][task]["labels"]) == 2 else "macro", zero_division=0)
        own = {"loss": sum(each[i] for i in at) / len(at), "accuracy": metrics.accuracy_score(goal, guess), "f1": metrics.f1_score(goal, guess, **binary),
               "precision": metrics.precision_score(goal, guess, **binary), "recall": metrics.recall_score(goal, guess, **binary),
               "matthews": metrics.matthews_corrcoef(goal, guess)}
        figures.update({f"eval_{task}_{k}": float(v) for k, v in own.items()})
    for k in ("accuracy", "f1", "precision", "recall", "matthews"):
        figures["eval_" + k] = sum(figures[f"eval_{task}_{k}"] for task in names) / len(names)
    return figures


sets = [features(task, run["tasks"][task]["train"]) for task in names]
most = max(map(len, sets))
rows = [s[i % len(s)] for s in sets for i in range(most)]
held = [row for task in names for row in features(task, run["tasks"][task]["validation"])]
params = [(k, p) for k, p in model.named_parameters() if "lora_" in k] + [(f"{task}.{k}", p) for task in names for k, p in heads[task].named_parameters()]
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
        loss, _ = loss_of(forward(batch))
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in params], t["max_grad_norm"])
        steps.append({"step": len(steps) + 1, "loss": loss.item(), "grad_norm": norm.item(), "learning_rate": schedule.get_last_lr()[0],
                      "tokens": sum(len(ids) for ids, _, _ in batch)})
        optimizer.step(), schedule.step(), optimizer.zero_grad(set_to_none=False)
    epoch += 1

with torch.no_grad():
    joint.weight.copy_(torch.cat([heads[task].weight for task in names]))
    joint.bias.copy_(torch.cat([heads[task].bias for task in names]))
save("expected")
for task in names:  # what each task's own folder holds
    os.makedirs(f"expected/tasks/{task}", exist_ok=True)
    state = {k: v.contiguous() for k, v in peft.get_peft_model_state_dict(model).items() if "classifier" not in k}
    state.update({f"base_model.model.classifier.{k}": v.detach().clone() for k, v in heads[task].named_parameters()})
    save_file(state, f"expected/tasks/{task}/adapter_model.safetensors")
with open("expected/trajectory.jsonl", "w") as f:
    f.writelines(json.dumps(s) + "\n" for s in steps)
with open("expected/eval.json", "w") as f:
    json.dump(evaluate(held), f, indent=2)
