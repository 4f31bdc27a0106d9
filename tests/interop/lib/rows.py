"""Rows of data files, as ids and labels, in batches: what our programs should make of the same files."""
import csv
import json
import os

import torch
import transformers

from run_file import label_names


def split_tsv(line):
    """Cells of a line. A quote is a letter, unless a pair of them wraps the whole cell ("" is then one quote)."""
    cells, at = [], 0
    while True:
        close = wrapped_end(line, at)
        if close is None:
            tab = line.find("\t", at)
            end = len(line) if tab < 0 else tab
            cells.append(line[at:end])
        else:
            end = close + 1
            cells.append(line[at + 1:close].replace('""', '"'))
        if end >= len(line):
            return cells
        at = end + 1


def wrapped_end(line, at):
    """Where the quote is that closes the cell from `at`, or None when the cell is not wrapped."""
    if at >= len(line) or line[at] != '"':
        return None
    i = at + 1
    while i < len(line):
        if line[i] == '"' and line[i + 1:i + 2] == '"':
            i += 2
        elif line[i] == '"':
            return i if i + 1 == len(line) or line[i + 1] == "\t" else None
        else:
            i += 1
    return None


def read_tsv(path):
    with open(path, encoding="utf-8", newline="\n") as file:
        lines = [line.rstrip("\n").removesuffix("\r") for line in file]
    header, *rows = [split_tsv(line) for line in lines if line]
    return [dict(zip(header, row, strict=True)) for row in rows]


def read_rows(paths, limit):
    """The rows of one file or several, in order, the first `limit` of each."""
    rows = []
    for path in [paths] if isinstance(paths, str) else paths:
        if path.endswith(".tsv"):
            got = read_tsv(path)
        elif path.endswith(".csv"):
            with open(path, encoding="utf-8", newline="") as file:
                got = list(csv.DictReader(file))
        elif path.endswith(".jsonl"):
            with open(path, encoding="utf-8", newline="\n") as file:
                got = [json.loads(line) for line in file if line.strip()]
        else:
            raise SystemExit(f"error: {path}: the reference side reads .tsv, .csv and .jsonl")
        rows += got[:limit]
    return rows


def load_tokenizer(folder):
    """tokenizer.json as it stands, with the special tokens that tokenizer_config.json names."""
    path = os.path.join(folder, "tokenizer.json")
    if not os.path.exists(path):
        return transformers.AutoTokenizer.from_pretrained(folder)
    with open(os.path.join(folder, "tokenizer_config.json"), encoding="utf-8") as file:
        config = json.load(file)
    special = {}
    for name in ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"):
        if config.get(name):
            special[name] = config[name]["content"] if isinstance(config[name], dict) else config[name]
    return transformers.PreTrainedTokenizerFast(tokenizer_file=path, padding_side="right", truncation_side="right",
                                                clean_up_tokenization_spaces=False, **special)


def parse_label(run, value):
    if run["problem_type"] == "regression":
        return float(value)
    if run["problem_type"] == "multi_label_classification":
        return [float(v) for v in value]
    names = label_names(run)  # by name, or by number
    return names.index(str(value)) if str(value) in names else range(len(names)).index(int(value))


def texts_of(run, rows):
    """The texts of the rows, and of the second column or None."""
    data = run["data"]
    return [r[data["text"]] for r in rows], [r[data["text_pair"]] for r in rows] if data["text_pair"] else None


def encode(run, paths):
    return encode_rows(run, read_rows(paths, run["data"]["limit"]))


def encode_rows(run, rows):
    """A dict a row: input_ids, token_type_ids where the model has them, labels."""
    data = run["data"]
    first, second = texts_of(run, rows)
    with open(os.path.join(run["model"], "config.json"), encoding="utf-8") as file:
        typed = json.load(file)["model_type"] == "bert"
    encoded = load_tokenizer(run["model"])(first, second, truncation="longest_first", max_length=data["max_length"],
                                           return_token_type_ids=typed)
    features = []
    for i, row in enumerate(rows):
        feature = {"input_ids": encoded["input_ids"][i], "labels": parse_label(run, row[data["label"]])}
        if typed:
            feature["token_type_ids"] = encoded["token_type_ids"][i]
        features.append(feature)
    return features


def collate(features, pad):
    """A batch, padded on the right to its longest row."""
    width = max(len(f["input_ids"]) for f in features)

    def fill(key, value):
        return torch.tensor([f[key] + [value] * (width - len(f[key])) for f in features])

    batch = {"input_ids": fill("input_ids", pad), "labels": torch.tensor([f["labels"] for f in features]),
             "attention_mask": torch.tensor([[int(i < len(f["input_ids"])) for i in range(width)] for f in features])}
    if "token_type_ids" in features[0]:
        batch["token_type_ids"] = fill("token_type_ids", 0)
    return batch


def epoch_order(run, epoch, count):
    """Trainer's order (accelerate's SeedableRandomSampler): randperm of a generator at seed + epoch."""
    if not run["data"]["shuffle"]:
        return list(range(count))
    generator = torch.Generator()
    generator.manual_seed(run["train"]["seed"] + epoch)
    return torch.randperm(count, generator=generator).tolist()
