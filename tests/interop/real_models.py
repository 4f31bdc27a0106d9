#!/usr/bin/env python3
"""Trained language models from elsewhere, beside Transformers and PEFT.

    real_models.py MODELS_FOLDER WORK_FOLDER DRIVER [WORD]

MODELS_FOLDER has a folder a model (MODELS below names them); those whose name has WORD in it are written to
WORK_FOLDER as Hugging Face folders. Then, for each: a run of 50 steps whose loss has to fall; before and behind
it DRIVER's logits (logits_driver) of every position, and greedy texts of `lora predict`, token for token. Before
it the adapter is one fresh from PEFT, so that the base speaks.
"""
import collections
import json
import os
import sys

# Not this file's folder: tokenizers.py in it would hide the package.
sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")

import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

import logits  # noqa: E402
import real_folders  # noqa: E402
import rows  # noqa: E402
import training  # noqa: E402
import writing  # noqa: E402
from training import read  # noqa: E402

TEXT, DEV = (os.path.abspath(f"tests/golden/gpt2-text/{n}.txt") for n in ("train", "dev"))
STEPS, NEW_TOKENS = 50, 60
LORA = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}


def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")


# ---- logits --------------------------------------------------------------------

def sequences(tokenizer, config, text):
    """Of the text and of random ids in turns, from one token to as many as the model has positions."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    generator = torch.Generator().manual_seed(5)
    for i, n in enumerate((1, 2, 7, 16, 33, 64, 101, 129, 200, config.max_position_embeddings)):
        start = 17 * i % max(1, len(ids) - n)
        piece = ids[start:start + n] if i % 2 == 1 else []
        more = torch.randint(config.vocab_size, (n - len(piece),), generator=generator).tolist()
        yield piece + more


def check_logits(name, folder, driver, adapter, model, real):
    batch = list(sequences(real.tokenizer, model.config, real.text))
    model.eval()
    with torch.no_grad():
        want = [model(torch.tensor([ids])).logits[0] for ids in batch]
    logits.compare(name, logits.positions(driver, folder, adapter, batch), want)


# ---- training ------------------------------------------------------------------

def without_dropout(folder):
    """Overrides of config.json: what PyTorch drops is not ours to follow."""
    config = json.loads(read(os.path.join(folder, "config.json")))
    return {key: 0.0 for key in config if key.endswith("_pdrop")}


def train(name, folder, fresh, out, data, rate):
    run = {"model": folder, "task_type": "CAUSAL_LM", "model_config": without_dropout(folder), "data": data,
           "lora": {**LORA, "init_adapter": fresh},
           "train": {"max_steps": STEPS, "batch_size": 8, "learning_rate": rate, "eval_strategy": "steps",
                     "eval_steps": STEPS}}
    losses = training.train(name, run, out)
    first, last = sum(losses[:10]) / 10, sum(losses[-10:]) / 10
    if not last < first:
        raise SystemExit(f"{name}: the loss goes from {first:.3f} to {last:.3f}")
    print(f"{name}: {STEPS} steps, loss {first:.3f} (mean of the first 10) to {last:.3f} (of the last 10)", flush=True)
    training.compare(name, out)


def sampled(folder, out, tokenizer):
    """Prompts and completions that the model itself writes, a little less at random than it would."""
    model, rows_of, middle = load(folder), [], tokenizer.convert_tokens_to_ids("<EOC>")
    torch.manual_seed(11)
    start = torch.full((400, 1), tokenizer.bos_token_id)
    ids = model.generate(start, attention_mask=torch.ones_like(start), do_sample=True, temperature=0.7, top_k=0,
                         max_new_tokens=40, pad_token_id=tokenizer.pad_token_id)
    for row in ids.tolist():
        if middle in row and tokenizer.eos_token_id in row:
            cut, end = row.index(middle) + 1, row.index(tokenizer.eos_token_id)
            if cut < end:
                prompt, rest = (" ".join(tokenizer.convert_ids_to_tokens(p)) for p in (row[:cut], row[cut:end]))
                rows_of.append({"prompt": prompt, "completion": " " + rest + " "})
    if len(rows_of) < 100:
        raise SystemExit(f"the model wrote only {len(rows_of)} whole plans")
    with open(out, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows_of)
    return rows_of


# ---- texts ---------------------------------------------------------------------

def fresh_adapter(folder, out):
    """As PEFT makes it: B is zero, so that the base speaks."""
    torch.manual_seed(21)
    model = load(folder)
    config = peft.LoraConfig(task_type="CAUSAL_LM", **LORA,
                             fan_in_fan_out=model.config.model_type == "gpt2")
    peft.get_peft_model(model, config).save_pretrained(out)


def check_texts(name, folder, adapter, tokenizer, prompts, count=NEW_TOKENS):
    got = writing.predict(folder, adapter, prompts, count)
    model = peft.PeftModel.from_pretrained(load(folder), adapter).eval()
    want = [writing.greedy(model, tokenizer, p, count) for p in prompts]
    for prompt, a, b in zip(prompts, got, want, strict=True):
        if a != b:
            raise SystemExit(f"{name}: after {prompt!r} comes {a}, with PEFT {b}")
    print(f"{name}: greedy texts of {len(prompts)} prompts, {sum(t['tokens'] for t in want)} tokens, are those of "
          "Transformers", flush=True)
    return [t["text"] for t in got]


# ---- the models ----------------------------------------------------------------

# text: the source of ids for logits; told: where not None, what the base writes behind its first token.
Real = collections.namedtuple("Real", "tokenizer text prompts data rate told", defaults=[None])


def cappgpt(source, folder, work):
    """GPT-2 over 53 words: plans of how parts are made."""
    real_folders.from_mappings(source, folder)
    tokenizer, path = rows.load_tokenizer(folder), os.path.join(work, "plans.jsonl")
    plans = sampled(folder, path, tokenizer)
    data = {"train": path, "validation": path, "prompt": "prompt", "completion": "completion", "max_length": 64}
    return Real(tokenizer, " ".join(p["prompt"] + p["completion"] for p in plans), [p["prompt"] for p in plans[:8]],
                data, 0.005)


def mlegk(source, folder, work):
    """A GPT-2 of one narrow layer with GPT-2's whole vocabulary; it has hardly learnt anything."""
    real_folders.as_it_is(source, folder)
    prompts = [line[:len(line) // 2] for line in read(os.path.join(source, "training_data.txt")).splitlines()]
    return Real(rows.load_tokenizer(folder), read(TEXT), prompts, {"train": TEXT, "validation": DEV, "block_size": 32}, 0.003)


def stories(source, folder, work):
    """llama2.c's small Llama with its SentencePiece tokenizer."""
    pieces = real_folders.from_llama2c(source, folder)
    tokenizer = rows.load_tokenizer(folder)
    page = read(os.path.join(source, "stories260K.md"))
    texts = page.splitlines() + read(TEXT).splitlines() + ["ünïcode ↯ 東京", "  two  spaces  ", "tab\tnew"]
    for text in filter(None, texts):
        if tokenizer(text)["input_ids"] != real_folders.joined_by_score(pieces, text):
            raise SystemExit(f"merges and scores disagree on {text!r}")
    print(f"stories: ids of {len(texts)} texts are those that the scores give")
    prompts = ["Once upon a time", "Lily and Tom went to the", "One day, a big", "The cat", "ünïcode ↯"]
    return Real(tokenizer, page, prompts, {"train": TEXT, "validation": DEV, "block_size": 64}, 0.002,
                page.split("-t 0.0\n")[1].split("\n```")[0])


MODELS = {"cappgpt_gpt2": cappgpt, "tinygpt2_mlegk": mlegk, "stories260K": stories}


def check_told(name, told, text):
    if min(len(told), len(text)) < 500 or not (told.startswith(text) or text.startswith(told)):
        raise SystemExit(f"{name}: it writes\n{text}\n-- instead of\n{told}")
    print(f"{name}: {min(len(told), len(text))} letters of the text from the first token are the published ones")


def check_model(name, source, work, driver):
    os.makedirs(work, exist_ok=True)
    folder, fresh, out = (os.path.join(work, n) for n in ("model", "fresh", "run"))
    real = MODELS[name](source, folder, work)
    check_logits(name, folder, driver, None, load(folder), real)
    fresh_adapter(folder, fresh)
    check_texts(name, folder, fresh, real.tokenizer, real.prompts)
    if real.told:
        check_told(name, real.told, check_texts(name, folder, fresh, real.tokenizer, [""], 256)[0])
    train(name, folder, fresh, out, real.data, real.rate)
    check_logits(f"{name} and its adapter", folder, driver, out, peft.PeftModel.from_pretrained(load(folder), out), real)
    check_texts(f"{name} and its adapter", folder, out, real.tokenizer, real.prompts)


def main():
    if len(sys.argv) not in (4, 5):
        raise SystemExit(__doc__)
    source, work, driver, word = (sys.argv + [""])[1:5]
    work = os.path.abspath(work)  # a run file's paths begin at its folder
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    names = [n for n in MODELS if word in n and os.path.isdir(os.path.join(source, n))]
    if not names:
        raise SystemExit(f"{source} has none of {', '.join(MODELS)}")
    for name in names:
        check_model(name, os.path.join(source, name), os.path.join(work, name), driver)


main()
