#!/usr/bin/env python3
"""Models of random weights and data to measure with, in the shapes that everybody knows.

    make_case.py bert-base128 OUT BERT_FOLDER       BERT-base; rows of exactly 128 tokens
    make_case.py gpt2-256 OUT GPT2_TOKENIZER        GPT-2 small; a plain text for blocks of 256 tokens
    make_case.py vit-base224 OUT                    ViT-base; PNG images of 224 x 224 in two classes

BERT_FOLDER and GPT2_TOKENIZER are folders with a tokenizer.json. Writes OUT/model and the data.
"""
import json
import os
import random
import re
import shutil
import sys

import torch
import transformers

ROWS = 2000


def copy_tokenizer(source, out):
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        if os.path.exists(os.path.join(source, name)):
            shutil.copy(os.path.join(source, name), os.path.join(out, "model"))


def words_of(source):
    with open(os.path.join(source, "tokenizer.json"), encoding="utf-8") as file:
        vocab = json.load(file)["model"]["vocab"]
    return [w.removeprefix("\u0120") for w in sorted(vocab) if re.fullmatch("\u0120?[a-z]{3,}", w)]


def bert_base(out, source):
    transformers.BertForSequenceClassification(transformers.BertConfig()).save_pretrained(os.path.join(out, "model"))
    copy_tokenizer(source, out)
    words, rng = words_of(source), random.Random(42)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=os.path.join(source, "tokenizer.json"))
    with open(os.path.join(out, "train.tsv"), "w", encoding="utf-8") as file:
        file.write("text\tlabel\n")
        for _ in range(ROWS):
            text = " ".join(rng.choice(words) for _ in range(126))
            assert len(tokenizer(text)["input_ids"]) == 128
            file.write(f"{text}\t{rng.randrange(2)}\n")


def gpt2(out, source):
    transformers.GPT2LMHeadModel(transformers.GPT2Config()).save_pretrained(os.path.join(out, "model"))
    copy_tokenizer(source, out)
    path = os.path.join(out, "model", "tokenizer_config.json")
    if not os.path.exists(path):
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>"}, file)
    words, rng = words_of(source), random.Random(42)
    with open(os.path.join(out, "train.txt"), "w", encoding="utf-8") as file:
        for _ in range(ROWS * 4):
            file.write(" ".join(rng.choice(words) for _ in range(40)) + "\n")


def vit_base(out):
    from PIL import Image
    transformers.ViTForImageClassification(transformers.ViTConfig(num_labels=2)).save_pretrained(os.path.join(out, "model"))
    with open(os.path.join(out, "model", "preprocessor_config.json"), "w", encoding="utf-8") as file:
        json.dump({"image_processor_type": "ViTImageProcessor", "do_resize": True, "size": {"height": 224, "width": 224}, "resample": 2,
                   "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [.5] * 3, "image_std": [.5] * 3}, file)
    torch.manual_seed(1)
    for i in range(96):
        folder = os.path.join(out, "train", "ab"[i % 2])
        os.makedirs(folder, exist_ok=True)
        Image.fromarray(torch.randint(256, (224, 224, 3), dtype=torch.uint8).numpy()).save(os.path.join(folder, f"{i:03}.png"))


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    torch.manual_seed(0)
    {"bert-base128": bert_base, "gpt2-256": gpt2, "vit-base224": vit_base}[sys.argv[1]](*sys.argv[2:])


main()
