"""Writes plateau.jsonl: learning rates behind each evaluation, by torch's ReduceLROnPlateau (2.13) with two groups of rates.

    python3 plateau.py > plateau.jsonl
"""
import json
import math
import random

import torch

RATES = (1e-2, 1.6e-1)
ROWS = [
    {},
    {"patience": 0},
    {"factor": 0.5, "patience": 1},
    {"factor": 0.5, "patience": 2, "threshold": 0.05},
    {"factor": 0.5, "patience": 1, "threshold": 0.02, "threshold_mode": "abs"},
    {"factor": 0.5, "patience": 1, "cooldown": 2},
    {"factor": 0.3, "patience": 0, "cooldown": 1, "min_lr": 2e-3},
    {"factor": 0.1, "patience": 0, "eps": 1e-4},
    {"factor": 0.0, "patience": 1, "min_lr": 1e-5},
    {"mode": "max", "factor": 0.5, "patience": 1},
    {"mode": "max", "factor": 0.7, "patience": 0, "threshold": 0.03, "cooldown": 1},
    {"mode": "max", "factor": 0.7, "patience": 1, "threshold": 0.03, "threshold_mode": "abs", "min_lr": 5e-3},
    {"threshold": 1},
]


def main():
    draw = random.Random(5)
    for kwargs in ROWS:
        sign = -1 if kwargs.get("mode") == "max" else 1
        metrics = [sign * (0.6 * math.exp(-i / 3) + 0.1 * draw.random()) + (1 if sign < 0 else 0) for i in range(18)]
        groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in RATES]
        optimizer = torch.optim.AdamW(groups)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **kwargs)
        after = []
        for metric in metrics:
            schedule.step(metric)
            after.append([group["lr"] for group in optimizer.param_groups])
        print(json.dumps({"lr_scheduler_kwargs": kwargs, "learning_rates": RATES, "metrics": metrics,
                          "learning_rates_after": after}))


if __name__ == "__main__":
    main()
