#!/usr/bin/env python3
"""Models of random weights and data to measure with, in the shapes that everybody knows.

    make_case.py bert-base128 OUT BERT_FOLDER       BERT-base; rows of exactly 128 tokens
    make_case.py gpt2-256 OUT GPT2_TOKENIZER        GPT-2 small; a plain text for blocks of 256 tokens
    make_case.py vit-base224 OUT                    ViT-base; PNG images of 224 x 224 in two classes
    make_case.py modernbert128 OUT                  ModernBERT-base; rows of 128 tokens
    make_case.py gemma-1b256 OUT                    Gemma 3 of 1B; a plain text for blocks of 256 tokens
    make_case.py t5-base OUT                        T5-base; sources of 128 tokens, targets of 32

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


GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden")


def golden_shape(out, case, kind, **sizes):
    """A model of these sizes with the tokenizer of a golden case, which has few words: the model's table has all the same."""
    source = os.path.join(GOLDEN, case, "model")
    config = transformers.AutoConfig.from_pretrained(source)
    for key, value in sizes.items():
        setattr(config, key, value)
    folder = os.path.join(out, "model")
    os.makedirs(folder, exist_ok=True)
    copy_tokenizer(source, out)
    getattr(transformers, kind).from_config(config, dtype=torch.bfloat16).save_pretrained(folder)


def golden_words(count, rng):
    with open(os.path.join(GOLDEN, "bert-seqcls", "train.tsv"), encoding="utf-8") as file:
        words = sorted({w for line in file for w in line.split() if w.isalpha()})
    return " ".join(rng.choice(words) for _ in range(count))


MODERNBERT = dict(vocab_size=50368, hidden_size=768, intermediate_size=1152, num_hidden_layers=22, num_attention_heads=12,
                  max_position_embeddings=8192, local_attention=128, global_attn_every_n_layers=3, num_labels=2,
                  layer_types=["sliding_attention" if i % 3 else "full_attention" for i in range(22)])


def rows_of(out, count, words):
    rng = random.Random(42)
    with open(os.path.join(out, "train.tsv"), "w", encoding="utf-8") as file:
        file.write("text\tlabel\n")
        for _ in range(count):
            file.write(f"{golden_words(words, rng)}\t{rng.randrange(2)}\n")


def modernbert(out):
    golden_shape(out, "modernbert-seqcls", "AutoModelForSequenceClassification", **MODERNBERT)
    rows_of(out, ROWS, 128)


def gemma(out):
    golden_shape(out, "gemma3-clm", "AutoModelForCausalLM", vocab_size=262144, hidden_size=1152, intermediate_size=6912,
                 num_hidden_layers=26, num_attention_heads=4, num_key_value_heads=1, head_dim=256, query_pre_attn_scalar=256,
                 sliding_window=512, max_position_embeddings=32768, layer_types=["sliding_attention" if (i + 1) % 6 else "full_attention" for i in range(26)])
    rng = random.Random(42)
    with open(os.path.join(out, "train.txt"), "w", encoding="utf-8") as file:
        for _ in range(ROWS):
            file.write(golden_words(40, rng) + "\n")


def t5(out):
    golden_shape(out, "t5-seq2seq", "AutoModelForSeq2SeqLM", vocab_size=32128, d_model=768, d_kv=64, d_ff=3072, num_layers=12,
                 num_decoder_layers=12, num_heads=12, dropout_rate=0.1)
    rng = random.Random(42)
    with open(os.path.join(out, "train.jsonl"), "w", encoding="utf-8") as file:
        for _ in range(ROWS):
            file.write(json.dumps({"prompt": golden_words(128, rng), "completion": golden_words(32, rng)}) + "\n")


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    torch.manual_seed(0)
    {"bert-base128": bert_base, "gpt2-256": gpt2, "vit-base224": vit_base, "modernbert128": modernbert, "gemma-1b256": gemma,
     "t5-base": t5}[sys.argv[1]](*sys.argv[2:])


main()
