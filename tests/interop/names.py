"""The table of names beside the installed PEFT and Transformers: every field of LoraConfig and of TrainingArguments
has a row with the library's own default, the defaults of both classes are accepted as they are, and the schema takes
every run file of configs/ and none with a slip in it.
  names.py LORA FOLDER [wheel of another version of PEFT or Transformers ...]"""
import ast
import copy
import dataclasses
import enum
import glob
import json
import os
import re
import subprocess
import sys
import zipfile

sys.path.pop(0)  # this folder, which has a tokenizers.py of its own

import jsonschema  # noqa: E402
from peft import LoraConfig  # noqa: E402
from ruamel.yaml import YAML  # noqa: E402
from transformers import TrainingArguments  # noqa: E402

lora, folder, *others = sys.argv[1:]
failures = []
os.makedirs(folder, exist_ok=True)


def check(good, words):
    if not good:
        failures.append(words)
        print("  FAILED:", words)


def run(*words):
    return subprocess.run([lora, *words], capture_output=True, text=True)


def yaml(text):
    """YAML 1.2, as editors and our reader have it: 1e-4 is a number, no is a text."""
    return YAML(typ="safe", pure=True).load(text)


def plain(value):
    """What a field's default is in a file."""
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return value


def default(field):
    made = field.default_factory is not dataclasses.MISSING
    return plain(field.default_factory() if made else field.default)


def same(ours, theirs):
    number = isinstance(theirs, (int, float)) and not isinstance(theirs, bool)
    return float(ours) == float(theirs) if number and isinstance(ours, (int, float)) else ours == theirs


# ---- the rows: "  train.fp16   false   only its default: ..."
rows = {}
for line in run("train", "--help=names").stdout.splitlines():
    row = re.match(r"  ((?:lora|train)\.\w+) +(\S+|\{.*?\})  +(\S.*)$", line)
    if row:
        rows[row[1]] = (row[2], row[3])
schema = json.loads(run("schema").stdout)
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
for section, cls in ("lora", LoraConfig), ("train", TrainingArguments):
    fields = dataclasses.fields(cls)
    for field in fields:
        name = f"{section}.{field.name}"
        check(name in rows, f"{name} has no row")
        check(field.name in schema["properties"][section]["properties"], f"{name} is not in the schema")
        if name in rows:
            ours, theirs = yaml(rows[name][0]), default(field)
            check(same(ours, theirs), f"{name} is {theirs!r} in {cls.__name__}, {ours!r} in the table")
    print(f"  {cls.__name__}: {len(fields)} fields")
# ---- older releases: the names alone
SECTIONS = {"LoraConfig": "lora", "PeftConfig": "lora", "PeftConfigMixin": "lora", "TrainingArguments": "train"}
for path in others:
    with zipfile.ZipFile(path) as wheel:
        sources = [wheel.read(n) for n in wheel.namelist()
                   if re.fullmatch(r"transformers/training_args\.py|peft/(utils/)?config\.py|peft/tuners/lora(/config)?\.py", n)]
    found = [(SECTIONS[n.name], field.target.id) for source in sources for n in ast.parse(source).body
             if isinstance(n, ast.ClassDef) and n.name in SECTIONS for field in n.body if isinstance(field, ast.AnnAssign)]
    check(len(found) > 15, f"{path} has {len(found)} fields")
    for section, name in found:
        check(f"{section}.{name}" in rows, f"{section}.{name} of {path} has no row")
    print(f"  {os.path.basename(path)}: {len(found)} fields")


# ---- the defaults of both classes, pasted whole
def accepted(name, run_file):
    path = os.path.join(folder, name + ".yaml")
    with open(path, "w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(run_file, file)
    ended = run("train", path, "--print-config")
    check(ended.returncode == 0, f"{name}: {ended.stderr}")
    for error in validator.iter_errors(run_file):
        check(False, f"{name}: the schema refuses {list(error.path)}: {error.message[:200]}")
    return yaml(ended.stdout) if ended.returncode == 0 else None


def to_dict(config):
    return json.loads(json.dumps({k: sorted(v) if isinstance(v, set) else v for k, v in config.to_dict().items()},
                                 default=str))


fields = {s: {f.name: default(f) for f in dataclasses.fields(c)}
          for s, c in (("lora", LoraConfig), ("train", TrainingArguments))}
got = accepted("fields", {"model": "m", **copy.deepcopy(fields)})
if got:
    for key, value in ("learning_rate", 5e-5), ("logging_steps", 500), ("eval_strategy", "no"), ("save_strategy", "steps"), \
            ("batch_size", 8):
        check(got["train"][key] == value, f"pasted defaults: {key} is {got['train'][key]}")
    check(got["lora"]["lora_alpha"] == 8, "pasted defaults: lora_alpha")
blog = {"model": "m", "data": {"train": "a.csv", "validation": "b.csv", "max_length": 512},
        "lora": to_dict(LoraConfig(r=8, lora_alpha=32, lora_dropout=0.1, task_type="SEQ_CLS",
                                   target_modules=["query", "value", "key", "dense"])),
        "train": to_dict(TrainingArguments(
            output_dir=folder, learning_rate=1e-4, per_device_train_batch_size=32, per_device_eval_batch_size=64,
            num_train_epochs=3, weight_decay=0.01, eval_strategy="epoch", save_strategy="epoch",
            load_best_model_at_end=True, metric_for_best_model="accuracy"))}
got = accepted("to-dict", blog)
if got:
    check(got["train"]["batch_size"] == 32 and got["lora"]["lora_alpha"] == 32, "to_dict() is another run")

# ---- the schema and configs/
files = sorted(glob.glob("configs/*.yaml"))
for path in files:
    with open(path, encoding="utf-8") as file:
        run_file = yaml(file.read())
    for error in validator.iter_errors(run_file):
        check(False, f"{path}: {list(error.path)}: {error.message[:200]}")
    whole = run("train", path, "--print-config")
    check(whole.returncode == 0 and validator.is_valid(yaml(whole.stdout)), f"{path}: not with every key: {whole.stderr}")
slips = [("lora", "rr", 8), ("lora", "r", "eight"), ("lora", "r", 0), ("lora", "bias", "some"), ("lora", "use_dora", "maybe"),
         ("train", "learning_rate", "fast"), ("train", "learning_rate", -1), ("train", "fp16", True),
         ("train", "eval_strategy", "never"), ("train", "bf16", "maybe"), ("data", "max_length", 1.5),
         ("data", "train", {"a": 1}), ("ps", "heartbeat", 0), ("train", "per_device_train_batch_size", 0)]
with open("configs/pasted-trainer.yaml", encoding="utf-8") as file:
    good = yaml(file.read())
for section, key, value in slips:
    bad = copy.deepcopy(good)
    bad.setdefault(section, {})[key] = value
    check(not validator.is_valid(bad), f"the schema takes {section}.{key}: {value}")
    path = os.path.join(folder, "slip.yaml")
    with open(path, "w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(bad, file)
    check(run("train", path, "--print-config").returncode == 2, f"the program takes {section}.{key}: {value}")
print(f"  {len(rows)} names, {len(files)} run files, {len(slips)} slips, {len(failures)} failures")
sys.exit(bool(failures) or not rows or not files)
