#!/usr/bin/env python3
"""Training throughput of PyTorch + PEFT on this machine, beside which ours is put.

    peer.py --case=NAME --model=DIR --data=FILE [options]
      --mode=lora|full  --setting=default|best  --precision=fp32|bf16  --steps=20  --warmup=3  --threads=N  --batch=32  --tcmalloc=PATH

sst2 and imdb train on real texts (at most 128 and 512 tokens), bert-base128 on rows of exactly 128 tokens, gpt2-256 on
blocks of 256, e2e on prompts with completions, vit-base224 on images (make_case.py makes what is not real); each with
LoRA r 8, alpha 16, dropout 0.1 on query and value (full: every weight instead, of sst2, imdb and bert-base128), AdamW and
clipping.
  default  what Trainer does unless told otherwise: rows in random order, padded to the longest of their batch,
           all dropouts 0.1, attention by PyTorch's scaled_dot_product_attention, fused AdamW
  best     what a careful user gets from it without other code: batches of rows of like length, no dropout in the
           attention (with which PyTorch takes its fused kernel), tcmalloc as the allocator when it is installed
With --precision=bf16 the base is loaded in bf16, the adapter stays fp32, and all runs under autocast in bf16.
Both settings train on the same rows, and only real tokens count, so padding is work without reward.

Prints {"case", "setting", "tokens_per_second", "seconds_per_step", "peak_rss_mb", "loss"} as one line: means over the
steps after the warm-up. What else was in force goes to stderr. Needs tests/interop/venv.
"""
import argparse
import ctypes.util
import glob
import json
import os
import resource
import sys
import time

here = os.path.dirname(os.path.abspath(__file__))
sys.path[0:1] = [os.path.join(here, "..", "interop", "lib"), os.path.join(here, "lib")]

def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", required=True)
    parser.add_argument("--setting", choices=("default", "best"), default="default")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--mode", choices=("lora", "full"), default="lora")
    parser.add_argument("--model", required=True, help="folder of the model")
    parser.add_argument("--data", required=True, help="training file, or the folder of images")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--tcmalloc", help="the library, when it lies where the linker does not look; empty: "
                                           "the best setting without it")
    a = parser.parse_args()
    if a.steps < 1 or a.warmup < 1:
        parser.error("--steps and --warmup are at least 1")
    if a.mode == "full" and a.precision != "fp32":
        parser.error("--mode=full is for fp32")
    if a.mode == "full" and a.case not in ("sst2", "imdb", "bert-base128"):
        parser.error("--mode=full is for sst2, imdb and bert-base128")
    return a


def find_tcmalloc(a):
    if a.tcmalloc is not None:
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
        return "malloc (no tcmalloc)"
    os.environ.update(LD_PRELOAD=library, PEER_ALLOCATOR=library)
    os.execv(sys.executable, [sys.executable, *sys.argv])


def measure(a, model, batches):
    """(real tokens a second, seconds a step, mean loss) of the steps after the warm-up."""
    import torch
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=5e-5 if a.mode == "full" else 5e-4, fused=True)
    model.train()
    if a.precision == "bf16":
        for p in model.parameters():
            if not p.requires_grad:
                p.data = p.data.bfloat16()
    losses, tokens, start = [], 0, 0.0
    for step, (batch, real) in enumerate(batches):
        if step == a.warmup:
            start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=a.precision == "bf16"):
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
    from cases import open_case
    model, batches = open_case(a)
    real, all_of = sum(n for _, n in batches), sum(b["input_ids"].numel() if "input_ids" in b else n for b, n in batches)
    print(f"peer: torch {torch.__version__}, {a.threads} threads, {allocator}; "
          f"{1 - real / all_of:.0%} of the positions are padding", file=sys.stderr)
    speed, seconds, loss = measure(a, model, batches)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"case": a.case, "mode": a.mode, "setting": a.setting, "precision": a.precision, "tokens_per_second": round(speed, 1),
                      "seconds_per_step": round(seconds, 4), "peak_rss_mb": round(peak, 1), "loss": round(loss, 4)}))


main()
