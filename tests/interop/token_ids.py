#!/usr/bin/env python3
"""Ids of whole data sets, by real tokenizers as their folders are, beside AutoTokenizer.

    token_ids.py TOKENIZERS TEXTS [--only=WORD] [--bytes=N] [--lora=bin/lora]

TOKENIZERS holds the published files of tokenizers (bert_cased/, gpt2/, qwen2/ ..: see FOLDERS), TEXTS data sets
(sst2/, imdb/, e2e/ ..), of which every line of every file counts, as it is; columns behind a TAB are texts of their
own. --bytes: only so much of each file. The last of the texts are encoded as pairs too, cut to 48 tokens.
Exit code 1 and the first lines that differ, if any do.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.pop(0)  # tokenizers.py of this folder has the module's name
import transformers  # noqa: E402

UNCASED = {"vocab.txt": "bert_uncased/vocab.txt", "tokenizer_config.json": "bert_uncased/tokenizer_config.json"}
LLAMA = {"tokenizer.json": "llama2/tokenizer_phi3_llama.json", "tokenizer_config.json": "llama2/tokenizer_config_phi3.json"}
T5 = "t5_unigram/tokenizer_t5_farhan.json"
# A name, the files of the folder by where they lie, and config.json's model_type where the folder has none.
FOLDERS = [
    ("bert-base-cased", {n: "bert_cased/" + n for n in ("vocab.txt", "tokenizer_config.json", "special_tokens_map.json")}, "bert"),
    ("bert-base-chinese", {"vocab.txt": "bert_chinese/vocab.txt"}, "bert"),
    ("distilbert-base-uncased", UNCASED, "distilbert"),
    ("bert-base-uncased", {"tokenizer.json": "bert_uncased/tokenizer_bert-base-uncased.json"}, "bert"),
    ("all-minilm-l6-v2", {"tokenizer.json": "bert_uncased/tokenizer_all-minilm-l6-v2.json"}, "bert"),
    ("minilm-compact", {"tokenizer.json": "bert_uncased/tokenizer_minilm_compact.json"}, "bert"),
    ("gpt2", {"tokenizer.json": "gpt2/tokenizer.json"}, "gpt2"),
    ("gpt2-older", {"vocab.json": "gpt2/encoder.json", "merges.txt": "gpt2/vocab.bpe"}, "gpt2"),
    ("roberta-base", {n: "roberta/" + n for n in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json",
                                                  "config.json")}, None),
    ("qwen2", {n: "qwen2/" + n for n in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json",
                                         "added_tokens.json", "config.json")}, None),
    ("llama2", LLAMA, "mistral"),
    ("t5", {"tokenizer.json": T5, "tokenizer_config.json": "t5_unigram/tokenizer_config_farhan.json"}, "t5"),
    ("xlm-roberta-of-t5", {"tokenizer.json": T5}, "xlm-roberta"),  # its class over another Unigram vocabulary
]


def make_folder(root, files, model_type, folder):
    for name, source in files.items():
        shutil.copy(os.path.join(root, source), os.path.join(folder, name))
    if model_type:
        with open(os.path.join(folder, "config.json"), "w") as file:
            json.dump({"model_type": model_type}, file)


def texts_of(root, most):
    for where, _, names in sorted(os.walk(root)):
        for name in sorted(names):
            if not name.endswith((".tsv", ".csv", ".txt")) or name in ("SOURCE.txt", "LICENSE.txt", "README.txt"):
                continue
            with open(os.path.join(where, name), "rb") as file:
                data = file.read(most or -1)
            for line in data.decode("utf-8", "ignore").split("\n"):
                yield from line.rstrip("\r").split("\t")


def ours(lora, folder, texts, length):
    """An answer a text, as they come."""
    with tempfile.TemporaryFile("w+") as file:
        file.writelines(json.dumps(text) + "\n" for text in texts)
        file.seek(0)
        run = subprocess.Popen([lora, "encode", "--model=" + folder, "--json"] + ([f"--max_length={length}"] if length else []),
                               stdin=file, stdout=subprocess.PIPE)
        for line in run.stdout:
            yield json.loads(line)
        if run.wait() != 0:
            raise SystemExit(f"lora encode ended with {run.returncode}")


def compare(lora, folder, real, texts, length):
    different, answers = 0, ours(lora, folder, texts, length)
    for at in range(0, len(texts), 4000):
        part = texts[at:at + 4000]
        given = [list(column) for column in zip(*part)] if isinstance(part[0], list) else [part]
        want = real(*given, **(dict(truncation=True, max_length=length) if length else {}))
        for i, text in enumerate(part):
            have = next(answers, {})
            types = want["token_type_ids"][i] if "token_type_ids" in want else None
            if have.get("input_ids") != want["input_ids"][i] or have.get("token_type_ids") != types:
                different += 1
                if different <= 3:
                    print(f"  {text!r:.200}\n    wanted {want['input_ids'][i][:40]}\n    got    {have.get('input_ids', [])[:40]}")
    return different + sum(1 for _ in answers)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizers")
    parser.add_argument("texts")
    parser.add_argument("--only", default="")
    parser.add_argument("--bytes", type=int, default=0)
    parser.add_argument("--lora", default="bin/lora")
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    texts = list(dict.fromkeys(texts_of(options.texts, options.bytes)))
    size = sum(len(text.encode()) for text in texts)
    pairs = [list(pair) for pair in zip(texts[-20000::2], texts[-19999::2])]
    failed = 0
    for name, files, model_type in FOLDERS:
        if options.only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            make_folder(options.tokenizers, files, model_type, folder)
            real = transformers.AutoTokenizer.from_pretrained(folder)
            whole = compare(options.lora, folder, real, texts, 0)
            cut = compare(options.lora, folder, real, pairs, 48)
            print(f"{name} ({type(real).__name__}): {len(texts)} texts of {size / 1e6:.1f} MB, {whole} differ; "
                  f"{len(pairs)} pairs, {cut} differ", flush=True)
            failed += whole + cut
    return 1 if failed else 0


sys.exit(main())
