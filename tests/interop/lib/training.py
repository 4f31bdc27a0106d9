"""A run file trained by `lora train`, and by PEFT beside it."""
import json
import os
import subprocess
import sys

import yaml

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def train(name, run, out, ranks=None):
    """The losses of all steps; the adapter is in `out`, its run file beside it. ranks None: one a core."""
    run["train"] = {"output_dir": out, "logging_steps": 1, "save_strategy": "no", **run["train"]}
    with open(out + ".yaml", "w", encoding="utf-8") as file:
        yaml.safe_dump(run, file)
    command = ["bin/lora", "train", out + ".yaml", "--overwrite"] + ([f"--ranks={ranks}"] if ranks else [])
    with open(out + ".log", "w", encoding="utf-8") as log:
        if subprocess.run(command, stdout=log, stderr=log).returncode:
            raise SystemExit(f"{name}: lora train failed:\n{read(out + '.log')}")
    lines = map(json.loads, read(os.path.join(out, "metrics.jsonl")).splitlines())
    losses = [line["loss"] for line in lines if "loss" in line]
    if len(losses) != run["train"]["max_steps"]:
        raise SystemExit(f"{name}: {len(losses)} losses")
    return losses


def compare(name, out):
    """PEFT trains the same run file."""
    case = out + "-peft"
    expected = os.path.join(case, "expected")
    os.makedirs(expected, exist_ok=True)
    subprocess.run([sys.executable, f"{HERE}/peft_train.py", out + ".yaml", f"--save={expected}",
                    f"--out={expected}/trajectory.jsonl"], check=True)
    done = subprocess.run([sys.executable, "tests/compare.py", case, out], stdout=subprocess.PIPE, encoding="utf-8")
    if done.returncode:
        raise SystemExit(f"{name}: beside PEFT's run:\n{done.stdout}")
    print(f"{name}: every step's loss and gradient norm, the adapter and its metrics are PEFT's", flush=True)
