#!/usr/bin/env python3
"""Tokens a second of one text written greedily by Transformers, beside decode_bench.

    peer_generate.py MODEL_FOLDER [--threads=N] [--tokens=64]

The model's kept keys and values are used, as they are by default; the prompt is one token. Prints a number: the best
of three texts, after one that warms up.
"""
import argparse
import os
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model")
parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
parser.add_argument("--tokens", type=int, default=64)
a = parser.parse_args()

import torch  # noqa: E402
import transformers  # noqa: E402

transformers.utils.logging.disable_progress_bar()
transformers.logging.set_verbosity_error()
torch.set_num_threads(a.threads)
model = transformers.AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32).eval()
prompt = torch.tensor([[1]])
settings = transformers.GenerationConfig(do_sample=False, min_new_tokens=a.tokens, max_new_tokens=a.tokens,
                                         pad_token_id=0)
best = 0.0
with torch.inference_mode():
    for turn in range(4):
        start = time.perf_counter()
        written = model.generate(prompt, generation_config=settings)
        speed = (written.shape[1] - 1) / (time.perf_counter() - start)
        if turn > 0:
            best = max(best, speed)
print(f"{best:.1f}")
