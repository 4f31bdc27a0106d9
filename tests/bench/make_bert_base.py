#!/usr/bin/env python3
"""A BERT-base of random weights, and rows of exactly 128 tokens: make_bert_base.py BERT_FOLDER OUT_FOLDER ROWS

Takes the tokenizer of BERT_FOLDER (bert-base-uncased's vocabulary). Writes OUT_FOLDER/model and OUT_FOLDER/train.tsv.
"""
import os
import random
import re
import shutil
import sys

import torch
import transformers

source, out, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.manual_seed(0)
transformers.BertForSequenceClassification(transformers.BertConfig()).save_pretrained(os.path.join(out, "model"))
for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
    if os.path.exists(os.path.join(source, name)):
        shutil.copy(os.path.join(source, name), os.path.join(out, "model"))
tokenizer = transformers.AutoTokenizer.from_pretrained(source)
words = [w for w in sorted(tokenizer.get_vocab()) if re.fullmatch("[a-z]{3,}", w)]
rng = random.Random(42)
with open(os.path.join(out, "train.tsv"), "w", encoding="utf-8") as file:
    file.write("text\tlabel\n")
    for _ in range(rows):
        text = " ".join(rng.choice(words) for _ in range(126))
        assert len(tokenizer(text)["input_ids"]) == 128
        file.write(f"{text}\t{rng.randrange(2)}\n")
