"""Rows of data files, as ids and labels, in batches: what our programs should make of the same files."""
import csv
import json
import os

import torch
import transformers

from run_file import label_names


def read_tsv(path):
    """As GLUE's files are read: quotes are letters."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def read_conll(path):
    """A row a sentence; the word stands in the first column, its tag in the last."""
    rows, words, tags = [], [], []
    with open(path, encoding="utf-8", newline="\n") as file:
        lines = [line.strip(" \t\r\n") for line in file] + [""]
    for line in lines:
        if line and not line.startswith("-DOCSTART-"):
            cells = line.replace("\t", " ").split(" ")
            words.append(cells[0])
            tags.append(cells[-1])
        elif words:
            rows.append({"tokens": words, "tags": tags})
            words, tags = [], []
    return rows


def read_folder(path):
    """A row an image, in folders that are classes."""
    return [{"file": os.path.join(path, label, name), "label": label} for label in sorted(os.listdir(path))
            for name in sorted(os.listdir(os.path.join(path, label)))]


def read_rows(paths, limit):
    """The rows of one file or several, in order, the first `limit` of each."""
    rows = []
    for path in [paths] if isinstance(paths, str) else paths:
        if os.path.isdir(path):
            got = read_folder(path)
        elif path.endswith(".conll"):
            got = read_conll(path)
        elif path.endswith(".txt"):
            with open(path, encoding="utf-8", newline="\n") as file:
                got = [{"text": line} for line in file]
        elif path.endswith(".tsv"):
            got = read_tsv(path)
        elif path.endswith(".csv"):
            with open(path, encoding="utf-8", newline="") as file:
                got = list(csv.DictReader(file))
        elif path.endswith(".jsonl"):
            with open(path, encoding="utf-8", newline="\n") as file:
                got = [json.loads(line) for line in file if line.strip()]
        else:
            raise SystemExit(f"error: {path}: the reference side reads .tsv, .csv, .jsonl, .conll, .txt and folders of images")
        rows += got[:limit]
    return rows


def load_tokenizer(folder):
    """What AutoTokenizer makes of the folder, but for LlamaTokenizer and DebertaV2Tokenizer: they drop the normalizer of
    tokenizer.json, which stands here (worker/tokenizer/class.c)."""
    real = transformers.AutoTokenizer.from_pretrained(folder)
    if type(real).__name__ in ("LlamaTokenizer", "DebertaV2Tokenizer"):
        real = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    return real


def pad_id(run):
    """What fills a batch up: pad_token_id of the model, by which a causal classifier finds the last token; it is
    masked, so that any id would do for a model without one."""
    if run["task_type"] == "IMAGE_CLS":
        return 0
    with open(os.path.join(run["model"], "config.json"), encoding="utf-8") as file:
        known = json.load(file).get("pad_token_id")
    return known if known is not None else load_tokenizer(run["model"]).pad_token_id or 0


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


def is_typed(run):
    with open(os.path.join(run["model"], "config.json"), encoding="utf-8") as file:
        return json.load(file)["model_type"] in ("bert", "electra", "deberta", "deberta-v2")


def encode(run, paths):
    return encode_rows(run, read_rows(paths, run["data"]["limit"]))


def encode_rows(run, rows):
    """A dict a row (a block of a text): what the model takes, and labels or token_labels."""
    if run["task_type"] == "IMAGE_CLS":
        return encode_images(run, rows)
    tokenizer = load_tokenizer(run["model"])
    if run["task_type"] == "TOKEN_CLS":
        return [encode_words(run, tokenizer, row) for row in rows]
    if run["task_type"] == "CAUSAL_LM" and run["data"]["block_size"]:
        return encode_blocks(run, tokenizer, rows)
    if run["task_type"] == "CAUSAL_LM":
        return [encode_completion(run, tokenizer, row) for row in rows]
    return encode_texts(run, tokenizer, rows)


def encode_texts(run, tokenizer, rows):
    data = run["data"]
    first, second = texts_of(run, rows)
    encoded = tokenizer(first, second, truncation="longest_first", max_length=data["max_length"],
                        return_token_type_ids=is_typed(run))
    features = []
    for i, row in enumerate(rows):
        feature = {"input_ids": encoded["input_ids"][i], "labels": parse_label(run, row[data["label"]])}
        if "token_type_ids" in encoded:
            feature["token_type_ids"] = encoded["token_type_ids"][i]
        features.append(feature)
    return features


def encode_words(run, tokenizer, row):
    """run_ner's rule: the first token of a word carries its tag."""
    data, labels, last = run["data"], [], None
    encoded = tokenizer(row[data["tokens"]], is_split_into_words=True, truncation=True, max_length=data["max_length"],
                        return_token_type_ids=is_typed(run))
    for word in encoded.word_ids():
        labels.append(-100 if word is None or word == last else parse_label(run, row[data["tags"]][word]))
        last = word
    feature = {"input_ids": encoded["input_ids"], "token_labels": labels}
    if "token_type_ids" in encoded:
        feature["token_type_ids"] = encoded["token_type_ids"]
    return feature


def encode_completion(run, tokenizer, row):
    """TRL's rule: prompt, completion and end token in one text; as many ids as the prompt alone has are not learnt."""
    data = run["data"]
    prompt = tokenizer(row[data["prompt"]])["input_ids"]
    whole = tokenizer(row[data["prompt"]] + row[data["completion"]] + tokenizer.eos_token)["input_ids"]
    whole = whole[:data["max_length"]]
    return {"input_ids": whole, "token_labels": ([-100] * len(prompt) + whole[len(prompt):])[:len(whole)]}


def encode_blocks(run, tokenizer, rows):
    """run_clm's rule: every text alone, all joined, cut; the rest that fills no block is left out."""
    size = run["data"]["block_size"]
    ids = [i for row in rows for i in tokenizer(row[run["data"]["text"]])["input_ids"]]
    return [{"input_ids": ids[i:i + size], "token_labels": ids[i:i + size]} for i in range(0, len(ids) // size * size, size)]


def encode_images(run, rows):
    from PIL import Image
    processor = transformers.ViTImageProcessorPil.from_pretrained(run["model"])
    return [{"pixel_values": processor(Image.open(row["file"]).convert("RGB"), return_tensors="pt")["pixel_values"][0],
             "labels": parse_label(run, row["label"])} for row in rows]


def collate(features, pad):
    """A batch, padded on the right to its longest row."""
    if "pixel_values" in features[0]:
        return {"pixel_values": torch.stack([f["pixel_values"] for f in features]),
                "labels": torch.tensor([f["labels"] for f in features])}
    width = max(len(f["input_ids"]) for f in features)

    def fill(key, value):
        return torch.tensor([f[key] + [value] * (width - len(f[key])) for f in features])

    tokens = "token_labels" in features[0]
    batch = {"input_ids": fill("input_ids", pad),
             "labels": fill("token_labels", -100) if tokens else torch.tensor([f["labels"] for f in features]),
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
