"""When Trainer's EarlyStoppingCallback ends a run, and which step is its best: evaluations.jsonl of this folder.

    python make.py      with the packages of tests/interop/requirements.txt

A model of one number is trained; what its evaluations say is written beforehand (figures). 3 steps an epoch, an evaluation an epoch.
"""
import json
import os
import tempfile

import torch
import transformers

HERE = os.path.dirname(os.path.abspath(__file__))
LOSSES = [[5, 4, 3, 2, 1, 0.5], [5, 4, 4, 4, 3, 2], [1, 2, 3, 4, 5, 6], [3, 4, 2, 3, 4, 5], [3, 3, 3, 3, 3, 3], [3, 4, 5, 2, 3, 4]]
UPWARD = [[0.1, 0.2, 0.2, 0.3, 0.25, 0.25], [0.5, 0.25, 0.75, 0.25, 0.5, 0.75], [0.75, 0.5, 0.75, 0.5, 0.875, 0.25]]


class One(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.x = torch.nn.Parameter(torch.zeros(1))

    def forward(self, labels=None):
        return {"loss": ((self.x - labels) ** 2).mean(), "logits": self.x.expand(len(labels))}


def run(metric, figures, patience, best):
    left = iter(figures)

    class Told(transformers.Trainer):
        def evaluate(self, *args, **kwargs):
            metrics = {"eval_loss": 1.0, "epoch": self.state.epoch, f"eval_{metric}": next(left)}
            self.log(dict(metrics))
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
            return metrics

    rows = [{"labels": 1.0}] * 40
    with tempfile.TemporaryDirectory() as out:
        args = transformers.TrainingArguments(out, num_train_epochs=len(figures), per_device_train_batch_size=16, eval_strategy="epoch", save_strategy="epoch",
                                              load_best_model_at_end=best, metric_for_best_model=metric, report_to=[], use_cpu=True, disable_tqdm=True)
        trainer = Told(One(), args, train_dataset=rows, eval_dataset=rows, callbacks=[transformers.EarlyStoppingCallback(patience)])
        trainer.train()
    return trainer.state


with open(os.path.join(HERE, "evaluations.jsonl"), "w") as out:
    for metric, series in (("loss", LOSSES), ("accuracy", UPWARD)):
        for figures in series:
            for patience in (1, 2, 3):
                state = run(metric, figures, patience, True)
                out.write(json.dumps(dict(metric=metric, figures=figures, patience=patience, steps=state.global_step, best_step=state.best_global_step, best=state.best_metric)) + "\n")
