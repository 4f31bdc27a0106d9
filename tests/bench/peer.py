#!/usr/bin/env python3
"""Training throughput of PyTorch + PEFT on this machine, beside which ours is put.

    peer.py --case=sst2|imdb --model=DIR --data=train.tsv [options]
    peer.py --case=bert-base128 [options]
      --setting=default|best  --steps=20  --warmup=3  --threads=N  --batch=32  --tcmalloc=PATH

sst2 and imdb train on real texts (at most 128 and 512 tokens), bert-base128 a BERT-base of random weights on rows
of exactly 128 tokens; each with LoRA r 8, alpha 16, dropout 0.1 on query and value, AdamW and clipping.
  default  what Trainer does unless told otherwise: rows in random order, padded to the longest of their batch,
           all dropouts 0.1, attention by PyTorch's scaled_dot_product_attention, fused AdamW
  best     what a careful user gets from it without other code: batches of rows of like length, no dropout in the
           attention (with which PyTorch takes its fused kernel), tcmalloc as the allocator when it is installed
Both settings train on the same rows, and only real tokens count, so padding is work without reward.

Prints {"case", "setting", "tokens_per_second", "seconds_per_step", "peak_rss_mb", "loss"} as one line: means over the
steps after the warm-up. What else was in force goes to stderr. Needs tests/interop/venv.
"""
import argparse
import ctypes.util
import glob
import json
import os
import random
import resource
import sys
import time

sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop", "lib")

MAX_LENGTH = {"sst2": 128, "imdb": 512, "bert-base128": 128}
TEXT = {"sst2": "sentence", "imdb": "text"}


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=MAX_LENGTH, required=True)
    parser.add_argument("--setting", choices=("default", "best"), default="default")
    parser.add_argument("--model", help="folder of a BERT model (sst2, imdb)")
    parser.add_argument("--data", help="training file (sst2, imdb)")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--tcmalloc", help="the library, when it lies where the linker does not look")
    a = parser.parse_args()
    if a.case in TEXT and not (a.model and a.data):
        parser.error(f"{a.case} needs --model and --data")
    if a.steps < 1 or a.warmup < 1:
        parser.error("--steps and --warmup are at least 1")
    return a


def find_tcmalloc(a):
    if a.tcmalloc:
        return a.tcmalloc
    for name in ("tcmalloc_minimal", "tcmalloc"):
        found = ctypes.util.find_library(name)
        if found:
            return found
    return next(iter(sorted(glob.glob("/usr/lib/*/libtcmalloc*.so*"))), None)


def with_tcmalloc(a):
    """Starts this program again with tcmalloc, if there is one; says which allocator is in force."""
    if a.setting != "best":
        return "malloc"
    if "PEER_ALLOCATOR" in os.environ:
        return os.environ["PEER_ALLOCATOR"]
    library = find_tcmalloc(a)
    if not library:
        return "malloc (tcmalloc is not installed)"
    os.environ.update(LD_PRELOAD=library, PEER_ALLOCATOR=library)
    os.execv(sys.executable, [sys.executable, *sys.argv])


def case_run(a):
    """The case as a run file says it."""
    attention = 0.0 if a.setting == "best" else 0.1
    return {"model": a.model, "task_type": "SEQ_CLS", "labels": 2, "problem_type": None,
            "model_config": {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": attention},
            "data": {"text": TEXT.get(a.case), "text_pair": None, "label": "label", "max_length": MAX_LENGTH[a.case],
                     "limit": None, "shuffle": True},
            "lora": {"r": 8, "lora_alpha": 16, "lora_dropout": 0.1, "target_modules": ["query", "value"],
                     "init_adapter": None},
            "train": {"seed": 42, "learning_rate": 5e-4}}


def make_features(a, run):
    """As many rows as are needed, drawn as the first epoch draws them, with their ids."""
    from rows import encode_rows, epoch_order, load_tokenizer, read_rows
    count = (a.steps + a.warmup) * a.batch
    if a.case == "bert-base128":
        rng = random.Random(42)
        return [{"input_ids": [rng.randrange(1000, 30000) for _ in range(128)], "token_type_ids": [0] * 128,
                 "labels": rng.randrange(2)} for _ in range(count)], 0
    rows = read_rows(a.data, None)
    if count > len(rows):
        sys.exit(f"error: {a.data} has {len(rows)} rows, {count} are needed")
    drawn = [rows[i] for i in epoch_order(run, 0, len(rows))[:count]]
    return encode_rows(run, drawn), load_tokenizer(a.model).pad_token_id


def make_batches(a, features, pad):
    """[(batch, real tokens)], the warm-up's first. For `best` the rows of each part are sorted by length before they
    are cut into batches, as Trainer's length-grouped sampler does with 50 batches at a time."""
    from rows import collate
    cut, batches = a.warmup * a.batch, []
    for part in (features[:cut], features[cut:]):
        if a.setting == "best":
            part = sorted(part, key=lambda f: len(f["input_ids"]))
        groups = [part[i:i + a.batch] for i in range(0, len(part), a.batch)]
        random.Random(42).shuffle(groups)
        batches += [(collate(g, pad), sum(len(f["input_ids"]) for f in g)) for g in groups]
    return batches


def make_model(a, run):
    import peft
    import torch
    import transformers
    from reference import load_base, lora_config
    torch.manual_seed(run["train"]["seed"])
    if a.case == "bert-base128":
        config = transformers.BertConfig(num_labels=2, **run["model_config"])  # its defaults are BERT-base
        base = transformers.BertForSequenceClassification._from_config(config, attn_implementation="sdpa")
    else:
        base = load_base(run, attn_implementation="sdpa")
    return peft.get_peft_model(base, lora_config(run, base))


def measure(a, model, batches, rate):
    """(real tokens a second, seconds a step, mean loss) of the steps after the warm-up."""
    import torch
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=rate, fused=True)
    model.train()
    losses, tokens, start = [], 0, 0.0
    for step, (batch, real) in enumerate(batches):
        if step == a.warmup:
            start = time.perf_counter()
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step >= a.warmup:
            losses.append(loss.item())
            tokens += real
    seconds = time.perf_counter() - start
    return tokens / seconds, seconds / a.steps, sum(losses) / len(losses)


def main():
    a = read_arguments()
    allocator = with_tcmalloc(a)
    import torch
    import transformers
    torch.set_num_threads(a.threads)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    run = case_run(a)
    features, pad = make_features(a, run)
    batches = make_batches(a, features, pad)
    real, all_of = sum(n for _, n in batches), sum(b["input_ids"].numel() for b, _ in batches)
    print(f"peer: torch {torch.__version__}, {a.threads} threads, {allocator}; "
          f"{1 - real / all_of:.0%} of the positions are padding", file=sys.stderr)
    speed, seconds, loss = measure(a, make_model(a, run), batches, run["train"]["learning_rate"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"case": a.case, "setting": a.setting, "tokens_per_second": round(speed, 1),
                      "seconds_per_step": round(seconds, 4), "peak_rss_mb": round(peak, 1), "loss": round(loss, 4)}))


main()
