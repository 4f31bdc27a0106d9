"""The cases of peer.py: for each a model with its LoRA, and batches with the number of real tokens in them."""
import csv
import json
import os
import random
import sys

import peft
import torch
import transformers

from reference import load_base, lora_config
from rows import collate, encode_rows, epoch_order, load_tokenizer, read_rows

MAX_LENGTH = {"sst2": 128, "imdb": 512, "bert-base128": 128, "modernbert128": 128}
TEXT = {"sst2": "sentence", "imdb": "text", "bert-base128": "text", "modernbert128": "text"}
CASES = [*MAX_LENGTH, "gpt2-256", "e2e", "vit-base224", "gemma-1b256", "t5-base"]
BLOCK = 256  # tokens of a block of gpt2-256


def attention_dropout(a):
    """Without it PyTorch takes its fused kernel."""
    return 0.0 if a.setting == "best" else 0.1


def class_run(a):
    """A classification as a run file says it."""
    modern = a.case == "modernbert128"  # whose dropouts are 0
    return {"model": a.model, "task_type": "SEQ_CLS", "labels": 2, "problem_type": None,
            "model_config": {} if modern else {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": attention_dropout(a)},
            "data": {"text": TEXT[a.case], "text_pair": None, "label": "label", "max_length": MAX_LENGTH[a.case],
                     "limit": None, "shuffle": True},
            "lora": {"method": "lora", "r": 8, "lora_alpha": 16, "lora_dropout": 0.1, "target_modules": ["Wqkv"] if modern else ["query", "value"],
                     "init_adapter": None},
            "train": {"seed": 42}}


def draw(a, count_all):
    """The rows of the first epoch's first batches, as Trainer draws them."""
    count = (a.steps + a.warmup) * a.batch
    if count > count_all:
        sys.exit(f"error: {a.data} has {count_all} rows, {count} are needed")
    return epoch_order({"data": {"shuffle": True}, "train": {"seed": 42}}, 0, count_all)[:count]


def cut(a, features, make):
    """[(batch, real tokens)], the warm-up's first. For `best` the rows of each part are sorted by length before they
    are cut into batches, as Trainer's length-grouped sampler does with 50 batches at a time."""
    first, batches = a.warmup * a.batch, []
    for part in (features[:first], features[first:]):
        if a.setting == "best":
            part = sorted(part, key=lambda f: len(f["input_ids"]))
        groups = [part[i:i + a.batch] for i in range(0, len(part), a.batch)]
        random.Random(42).shuffle(groups)
        batches += [(make(g), sum(len(f["input_ids"]) for f in g)) for g in groups]
    return batches


def classes(a):
    run = class_run(a)
    rows = read_rows(a.data, None)
    features = encode_rows(run, [rows[i] for i in draw(a, len(rows))])
    pad = load_tokenizer(a.model).pad_token_id
    base = load_base(run, attn_implementation="sdpa")
    model = base if a.mode == "full" else peft.get_peft_model(base, lora_config(run, base))
    return model, cut(a, features, lambda g: collate(g, pad))


def language_model(a):
    if a.case == "gemma-1b256":
        base = transformers.AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32, attn_implementation="sdpa")
        return peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, lora_dropout=0.1,
                                                         target_modules=["q_proj", "v_proj"]))
    base = transformers.AutoModelForCausalLM.from_pretrained(
        a.model, dtype=torch.float32, attn_implementation="sdpa", attn_pdrop=attention_dropout(a))
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, lora_dropout=0.1, target_modules=["c_attn"],
                             fan_in_fan_out=True)
    return peft.get_peft_model(base, config)


def collate_language(group):
    """Padded on the right; what is padding is not learnt."""
    width = max(len(f["input_ids"]) for f in group)
    fill = lambda key, value: torch.tensor([f[key] + [value] * (width - len(f[key])) for f in group])
    return {"input_ids": fill("input_ids", 0), "labels": fill("labels", -100),
            "attention_mask": torch.tensor([[int(i < len(f["input_ids"])) for i in range(width)] for f in group])}


def blocks(a):
    tokenizer = load_tokenizer(a.model)
    with open(a.data, encoding="utf-8", newline="\n") as file:
        ids = [i for line in file for i in tokenizer(line)["input_ids"]]
    rows = [ids[i:i + BLOCK] for i in range(0, len(ids) // BLOCK * BLOCK, BLOCK)]
    features = [{"input_ids": rows[i], "labels": rows[i]} for i in draw(a, len(rows))]
    return language_model(a), cut(a, features, collate_language)


def completions(a):
    """E2E's rows: the meaning (mr) is the prompt, the text (ref) the completion, whose tokens alone are learnt."""
    tokenizer = load_tokenizer(a.model)
    with open(a.data, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    features = []
    for i in draw(a, len(rows)):
        start = tokenizer(rows[i]["mr"])["input_ids"]
        whole = tokenizer(rows[i]["mr"] + rows[i]["ref"] + tokenizer.eos_token)["input_ids"]
        features.append({"input_ids": whole, "labels": [-100] * len(start) + whole[len(start):]})
    return language_model(a), cut(a, features, collate_language)


def sources(a):
    """Sources of at most 128 tokens, targets of at most 32; a source's tokens and a target's count."""
    tokenizer = load_tokenizer(a.model)
    with open(a.data, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    features = []
    for i in draw(a, len(rows)):
        features.append({"input_ids": tokenizer(rows[i]["prompt"], truncation=True, max_length=128)["input_ids"],
                         "labels": tokenizer(text_target=rows[i]["completion"], truncation=True, max_length=32)["input_ids"]})
    base = transformers.AutoModelForSeq2SeqLM.from_pretrained(a.model, dtype=torch.float32)
    model = peft.get_peft_model(base, peft.LoraConfig(task_type="SEQ_2_SEQ_LM", r=8, lora_alpha=16, lora_dropout=0.1,
                                                      target_modules=["q", "v"]))
    batches = []
    for i in range(0, len(features), a.batch):
        group = features[i:i + a.batch]
        width = lambda key: max(len(f[key]) for f in group)
        fill = lambda key, value: torch.tensor([f[key] + [value] * (width(key) - len(f[key])) for f in group])
        mask = torch.tensor([[int(t < len(f["input_ids"])) for t in range(width("input_ids"))] for f in group])
        batches.append(({"input_ids": fill("input_ids", 0), "attention_mask": mask, "labels": fill("labels", -100)},
                        sum(len(f["input_ids"]) for f in group)))
    return model, batches


def images(a):
    """Pixels are made beforehand: only the model is measured. A row counts as its 197 positions."""
    from PIL import Image
    files = sorted(os.path.join(d, f) for d, _, names in os.walk(a.data) for f in names)
    processor = transformers.AutoImageProcessor.from_pretrained(a.model, use_fast=False)
    order = [files[i % len(files)] for i in range((a.steps + a.warmup) * a.batch)]
    pixels = {f: torch.from_numpy(processor(Image.open(f).convert("RGB"), return_tensors="np")["pixel_values"][0]) for f in set(order)}
    base = transformers.ViTForImageClassification.from_pretrained(a.model, dtype=torch.float32, attn_implementation="sdpa")
    config = peft.LoraConfig(r=8, lora_alpha=16, lora_dropout=0.1, target_modules=["q_proj", "v_proj"], modules_to_save=["classifier"])
    batches = []
    for i in range(0, len(order), a.batch):
        group = order[i:i + a.batch]
        labels = torch.tensor([int(os.path.basename(os.path.dirname(f)) != "a") for f in group])
        batches.append(({"pixel_values": torch.stack([pixels[f] for f in group]), "labels": labels}, 197 * len(group)))
    return peft.get_peft_model(base, config), batches


def open_case(a):
    """(model, [(batch, real tokens)])"""
    torch.manual_seed(42)
    return {"gpt2-256": blocks, "e2e": completions, "vit-base224": images, "gemma-1b256": blocks, "t5-base": sources}.get(a.case, classes)(a)
