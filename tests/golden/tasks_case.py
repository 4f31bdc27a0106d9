"""What the cases of several tasks have in common: BERT with one LoRA and a linear layer of its own for each task, of which nothing
here knows that they might be one; rows, losses and metrics of the tasks (../bert-tasks, ../bert-reptile, ../bert-fomaml).
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


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f, delimiter="\t"))


class Tasks:
    """The run file in the working directory. start: a PEFT folder to begin with; None: fresh values, from a fixed seed."""

    def __init__(self, start=None):
        self.run = yaml.safe_load(open("run.yaml", encoding="utf-8"))
        self.names = list(self.run["tasks"])
        self.tokenizer = transformers.AutoTokenizer.from_pretrained("../bert-seqcls/model")
        labels = sum(len(task["labels"]) for task in self.run["tasks"].values())
        torch.manual_seed(3)
        base = transformers.AutoModelForSequenceClassification.from_pretrained("../bert-seqcls/model", num_labels=labels, ignore_mismatched_sizes=True,
                                                                               hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        lora = {k: v for k, v in self.run["lora"].items() if k != "init_adapter"}
        if start:
            self.model = peft.PeftModel.from_pretrained(base, start, is_trainable=True)
        else:
            self.model = peft.get_peft_model(base, peft.LoraConfig(task_type="SEQ_CLS", **lora))
            self.draw()

    def draw(self):
        g = torch.Generator().manual_seed(10)
        with torch.no_grad():
            for name, p in sorted(self.model.named_parameters()):
                if p.requires_grad:
                    noise = torch.randn(p.shape, generator=g)
                    p.copy_(noise * (1 / math.sqrt(p[0].numel()) if "lora_A" in name else .05 if "lora_B" in name else .3 / math.sqrt(p.shape[-1]) if p.ndim > 1 else .02))

    def part(self):
        """One linear layer a task, of the joint one's rows."""
        self.joint = self.model.base_model.model.classifier.modules_to_save["default"]
        self.heads, first = {}, 0
        for task in self.names:
            n = len(self.run["tasks"][task]["labels"])
            self.heads[task] = torch.nn.Linear(self.joint.in_features, n)
            with torch.no_grad():
                self.heads[task].weight.copy_(self.joint.weight[first:first + n])
                self.heads[task].bias.copy_(self.joint.bias[first:first + n])
            first += n

    def parameters(self):
        """[(name, parameter)] of all that is trained"""
        return [(k, p) for k, p in self.model.named_parameters() if "lora_" in k] + [(f"{task}.{k}", p) for task in self.names for k, p in self.heads[task].named_parameters()]

    def features(self, task, part):
        data, made = self.run["tasks"][task], []
        for r in rows_of(data[part]):
            ids = self.tokenizer(r[data.get("text", "text")], truncation=True, max_length=self.run["data"]["max_length"])["input_ids"]
            made.append((ids, task, data["labels"].index(r[data.get("label", "label")])))
        return made

    def forward(self, batch):
        """-> [(task, class, logits of the task's own layer)] in the order of the rows"""
        width = max(len(ids) for ids, _, _ in batch)
        ids = torch.tensor([i + [self.tokenizer.pad_token_id] * (width - len(i)) for i, _, _ in batch])
        mask = torch.tensor([[1] * len(i) + [0] * (width - len(i)) for i, _, _ in batch])
        pooled = self.model.base_model.model.bert(input_ids=ids, attention_mask=mask).pooler_output
        return [(task, goal, self.heads[task](pooled[b])) for b, (_, task, goal) in enumerate(batch)]

    def weight(self, task):
        return float(self.run["tasks"][task].get("weight", 1))

    def loss_of(self, out):
        weight = [self.weight(task) for task, _, _ in out]
        each = [torch.nn.functional.cross_entropy(logits[None], torch.tensor([goal])) for _, goal, logits in out]
        return sum(w * e for w, e in zip(weight, each)) / sum(weight), [e.item() for e in each]

    def evaluate(self):
        rows = [row for task in self.names for row in self.features(task, "validation")]
        with torch.no_grad():
            out = self.forward(rows)
            total, each = self.loss_of(out)
        figures = {"eval_loss": total.item()}
        for task in self.names:
            at = [i for i, o in enumerate(out) if o[0] == task]
            goal, guess = [out[i][1] for i in at], [int(out[i][2].argmax()) for i in at]
            binary = dict(average="binary" if len(self.run["tasks"][task]["labels"]) == 2 else "macro", zero_division=0)
            own = {"loss": sum(each[i] for i in at) / len(at), "accuracy": metrics.accuracy_score(goal, guess), "f1": metrics.f1_score(goal, guess, **binary),
                   "precision": metrics.precision_score(goal, guess, **binary), "recall": metrics.recall_score(goal, guess, **binary),
                   "matthews": metrics.matthews_corrcoef(goal, guess)}
            figures.update({f"eval_{task}_{k}": float(v) for k, v in own.items()})
        for k in ("accuracy", "f1", "precision", "recall", "matthews"):
            figures["eval_" + k] = sum(figures[f"eval_{task}_{k}"] for task in self.names) / len(self.names)
        return figures

    def save(self, folder):
        shutil.rmtree(folder, ignore_errors=True)
        self.model.save_pretrained(folder)
        os.remove(os.path.join(folder, "README.md"))
        path = os.path.join(folder, "adapter_config.json")
        config = json.load(open(path))
        config["base_model_name_or_path"] = "model"
        for key in ("target_modules", "modules_to_save"):
            config[key].sort()
        json.dump(config, open(path, "w"), indent=2, sort_keys=True)

    def save_all(self, steps):
        """expected/: what was trained, the steps, the last metrics"""
        with torch.no_grad():
            self.joint.weight.copy_(torch.cat([self.heads[task].weight for task in self.names]))
            self.joint.bias.copy_(torch.cat([self.heads[task].bias for task in self.names]))
        self.save("expected")
        with open("expected/trajectory.jsonl", "w") as f:
            f.writelines(json.dumps(s) + "\n" for s in steps)
        with open("expected/eval.json", "w") as f:
            json.dump(self.evaluate(), f, indent=2)

    def save_tasks(self):
        """expected/tasks/NAME: what each task's own folder holds"""
        for task in self.names:
            os.makedirs(f"expected/tasks/{task}", exist_ok=True)
            state = {k: v.contiguous() for k, v in peft.get_peft_model_state_dict(self.model).items() if "classifier" not in k}
            state.update({f"base_model.model.classifier.{k}": v.detach().clone() for k, v in self.heads[task].named_parameters()})
            save_file(state, f"expected/tasks/{task}/adapter_model.safetensors")
