#!/usr/bin/env python3
"""A GPT-2 learns to say what tables mean: BLEU of texts that ranks write, beside sacrebleu and PEFT.

    e2e.py E2E_FOLDER WORK_FOLDER

E2E_FOLDER has train.txt, valid.txt and test.txt of the E2E challenge, "slot : value | ...||text" a line. The base is
a small GPT-2 (lib/e2e_base.py) that has read every other row of train.txt with its slots in another form and order;
the adapter learns E2E's own form from the rest, as configs/gpt2-e2e.yaml says but for fewer steps. So it is the
form that LoRA teaches here, not English.

1, 2 and 4 ranks have to give the same adapter file and the same figures of every evaluation, to the last bit; BLEU has
to grow; that of all of test.txt has to be sacrebleu's of the texts of `lora predict`, and those PEFT's texts. Then
some steps without dropout beside PEFT.
"""
import hashlib
import json
import os
import subprocess
import sys
import time

# Not this file's folder: tokenizers.py in it would hide the package.
sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")

import peft  # noqa: E402
import sacrebleu  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
import yaml  # noqa: E402
from rouge_score import rouge_scorer  # noqa: E402

import e2e_base  # noqa: E402
import rows  # noqa: E402
import training  # noqa: E402
import writing  # noqa: E402
from training import read  # noqa: E402

BASE_STEPS, STEPS, EVAL_STEPS, RATE, WARMUP = 1000, 400, 100, 3e-3, 40
NEW_TOKENS = 60
FIGURES = ("eval_loss", "eval_perplexity", "eval_bleu", "eval_rougeL")
MOST_BEFORE, LEAST_AFTER = 25.0, 50.0  # BLEU


# ---- data and runs ---------------------------------------------------------------

def by_meaning(data):
    """{meaning: [text]} in the order of the rows."""
    groups = {}
    for row in data:
        groups.setdefault(row["mr"], []).append(row["ref"])
    return groups


def write_rows(path, data):
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in data)


def write_data(source, work):
    """Files of rows for the run; the rows that the base reads."""
    train, valid, test = (e2e_base.read_rows(os.path.join(source, f"{n}.txt")) for n in ("train", "valid", "test"))
    some = set(list(by_meaning(valid))[::4])
    write_rows(os.path.join(work, "train.jsonl"), train[::2])
    write_rows(os.path.join(work, "dev.jsonl"), [row for row in valid if row["mr"] in some])
    write_rows(os.path.join(work, "test.jsonl"), test)
    return train[1::2], by_meaning(test)


def make_run(work, out):
    """configs/gpt2-e2e.yaml, shorter."""
    run = yaml.safe_load(read("configs/gpt2-e2e.yaml"))
    run["model"] = os.path.join(work, "model")
    run["data"] |= {"train": os.path.join(work, "train.jsonl"), "validation": os.path.join(work, "dev.jsonl"),
                    "test": os.path.join(work, "test.jsonl"), "generate": True, "max_new_tokens": NEW_TOKENS}
    run["train"] |= {"output_dir": out, "max_steps": STEPS, "learning_rate": RATE, "warmup_steps": WARMUP,
                     "eval_strategy": "steps", "eval_steps": EVAL_STEPS, "save_strategy": "steps",
                     "save_steps": EVAL_STEPS, "metric_for_best_model": "bleu"}
    run["parallel"] = {"micro_batches": 8, "threads": 1}  # what the bits depend on, beside the run
    return run


# ---- ranks -----------------------------------------------------------------------

def evaluations(out):
    """The figures of each, as the letters that stand in the file."""
    lines = [json.loads(line, parse_float=str) for line in read(os.path.join(out, "metrics.jsonl")).splitlines()]
    return [{"step": line["step"], **{k: line[k] for k in FIGURES}} for line in lines if "eval_bleu" in line]


def train_by(work, ranks):
    """Digest of the adapter, and its evaluations."""
    out, start = os.path.join(work, f"ranks-{ranks}"), time.monotonic()
    training.train("e2e", make_run(work, out), out, ranks)
    with open(os.path.join(out, "adapter_model.safetensors"), "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    found = evaluations(out)
    if [e["step"] for e in found] != list(range(EVAL_STEPS, STEPS + 1, EVAL_STEPS)):
        raise SystemExit(f"{ranks} ranks: evaluations at {[e['step'] for e in found]}")
    print(f"{ranks} ranks: adapter {digest[:16]}, BLEU {', '.join(e['eval_bleu'] for e in found)} "
          f"({time.monotonic() - start:.0f} s)", flush=True)
    return digest, found


def evaluate(work, adapter, *options):
    run = os.path.join(work, "ranks-1.yaml")
    out = subprocess.run(["bin/lora", "eval", run, f"--adapter={adapter}", *options], stdout=subprocess.PIPE, check=True)
    return json.loads(out.stdout)


def check_ranks(work):
    """BLEU of the best adapter on the validation rows."""
    one = train_by(work, 1)
    for ranks in (2, 4):
        if train_by(work, ranks) != one:
            raise SystemExit(f"{ranks} ranks give another adapter, or other figures, than one")
    bleu = max(float(e["eval_bleu"]) for e in one[1])
    alone = evaluate(work, os.path.join(work, "ranks-4"), f"--data.test={work}/dev.jsonl")["eval_bleu"]
    if alone != bleu:
        raise SystemExit(f"lora eval finds BLEU {alone}, the ranks {bleu}")
    print("1, 2 and 4 ranks: the same adapter file, the same figures of every evaluation; lora eval's BLEU too")
    return bleu


def fresh_adapter(work, out):
    """As PEFT makes it: B is zero, so that the base speaks."""
    lora = make_run(work, out)["lora"]
    base = transformers.AutoModelForCausalLM.from_pretrained(os.path.join(work, "model"))
    torch.manual_seed(21)
    peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", fan_in_fan_out=True, **lora)).save_pretrained(out)


# ---- texts -----------------------------------------------------------------------

def scores(made, meanings):
    """BLEU of sacrebleu and ROUGE-L of rouge_score, several references each."""
    wanted = list(meanings.values())
    # The first references of all texts, the second ones, ...; None: this text has no such.
    streams = [[w[i] if i < len(w) else None for w in wanted] for i in range(max(map(len, wanted)))]
    bleu = sacrebleu.BLEU(force=True)  # the texts are in words already: it need not say so
    score = bleu.corpus_score(made, streams).score
    rouge = rouge_scorer.RougeScorer(["rougeL"])
    best = [rouge.score_multi(w, text)["rougeL"].fmeasure for text, w in zip(made, wanted, strict=True)]
    return {"eval_bleu": score, "eval_rougeL": sum(best) / len(best)}, bleu.get_signature().format(short=True)


def check_scores(work, adapter, meanings):
    """Those of lora eval on test.txt beside the libraries' on the texts of lora predict; the texts."""
    got = evaluate(work, adapter)
    made = [t["text"] for t in writing.predict(os.path.join(work, "model"), adapter, list(meanings), NEW_TOKENS)]
    want, signature = scores(made, meanings)
    for key, value in want.items():
        if not abs(got[key] - value) <= 1e-6:
            raise SystemExit(f"test: {key} is {got[key]}, the library's {value}")
    count = sum(map(len, meanings.values()))
    print(f"test: {len(made)} texts beside {count} references, BLEU {got['eval_bleu']!r} (sacrebleu {signature}: "
          f"{abs(got['eval_bleu'] - want['eval_bleu']):.1e} away), ROUGE-L {got['eval_rougeL']:.6f} "
          f"({abs(got['eval_rougeL'] - want['eval_rougeL']):.1e} away), perplexity {got['eval_perplexity']:.3f}", flush=True)
    return made


def gap(model, tokenizer, prompt, a, b):
    """Where two texts part: how far apart the logits of the two tokens are."""
    start, a, b = (tokenizer(t)["input_ids"] for t in (prompt, prompt + a, prompt + b))
    n = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    both = [ids[n] if n < len(ids) else tokenizer.eos_token_id for ids in (a, b)]
    with torch.no_grad():
        logits = model(torch.tensor([a[:max(n, len(start))]])).logits[0, -1]
    return abs(logits[both[0]] - logits[both[1]]).item()


def check_texts(work, adapter, meanings, made):
    """Token for token PEFT's greedy ones, but where two tokens are as good as equal."""
    folder = os.path.join(work, "model")
    tokenizer = rows.load_tokenizer(folder)
    base = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    model = peft.PeftModel.from_pretrained(base, adapter).eval()
    want = [writing.greedy(model, tokenizer, prompt, NEW_TOKENS)["text"] for prompt in meanings]
    other = [(p, a, b) for p, a, b in zip(meanings, made, want, strict=True) if a != b]
    for prompt, a, b in other:
        distance = gap(model, tokenizer, prompt, a, b)
        print(f"after {prompt!r} comes {a!r}, with PEFT {b!r}: logits {distance:.1e} apart")
        if not distance <= 1e-4:
            raise SystemExit("the texts part where they should not")
    print(f"test: {len(want) - len(other)} of {len(want)} texts are PEFT's greedy ones", flush=True)


# ---- PEFT's steps ----------------------------------------------------------------

def check_steps(work):
    """Without dropout and without texts, which the reference side does not write."""
    fresh, out = os.path.join(work, "fresh"), os.path.join(work, "plain")
    run = make_run(work, out)
    for key in ("generate", "max_new_tokens", "test"):
        del run["data"][key]
    run["lora"] |= {"lora_dropout": 0.0, "init_adapter": fresh}
    run["train"] = {"output_dir": out, "max_steps": 50, "batch_size": 8, "learning_rate": RATE, "weight_decay": 0.01,
                    "warmup_steps": 5, "eval_strategy": "steps", "eval_steps": 50}
    training.train("e2e", run, out)
    training.compare("e2e", out)


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    source, work = sys.argv[1], os.path.abspath(sys.argv[2])  # a run file's paths begin at its folder
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    os.makedirs(work, exist_ok=True)
    for_base, test = write_data(source, work)
    print(f"base: loss {e2e_base.make(for_base, os.path.join(work, 'model'), BASE_STEPS):.3f} a token", flush=True)
    fresh = os.path.join(work, "fresh")
    after = check_ranks(work)
    fresh_adapter(work, fresh)
    before = evaluate(work, fresh, f"--data.test={work}/dev.jsonl")["eval_bleu"]
    print(f"validation: BLEU {before:.2f} before, {after:.2f} after {STEPS} steps", flush=True)
    if not before < MOST_BEFORE < LEAST_AFTER < after:
        raise SystemExit("the adapter has not learnt what it should")
    best = os.path.join(work, "ranks-4")
    check_texts(work, best, test, check_scores(work, best, test))
    check_steps(work)


main()
