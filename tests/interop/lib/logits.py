"""Logits of logits_driver beside those of a model of Transformers or PEFT."""
import subprocess

import numpy as np
import torch

TOLERANCE = 1e-4


def positions(driver, folder, adapter, batch):
    """A tensor [tokens, words] a sequence of the batch."""
    lines = "".join(" ".join(map(str, ids)) + "\n" for ids in batch)
    command = [driver, folder] + ([adapter] if adapter else [])
    out = subprocess.run(command, input=lines.encode(), stdout=subprocess.PIPE, check=True).stdout
    flat = torch.from_numpy(np.frombuffer(out, dtype="<f4").copy())
    return flat.view(sum(map(len, batch)), -1).split([len(ids) for ids in batch])


def compare(name, got, want):
    """Prints the largest difference of two lists of tensors; ends the program where it is above TOLERANCE."""
    if [g.shape for g in got] != [w.shape for w in want]:
        raise SystemExit(f"{name}: logits of other shapes: {[list(g.shape) for g in got]}, "
                         f"{[list(w.shape) for w in want]}")
    off = [(g - w).abs().max().item() for g, w in zip(got, want)]
    for i, distance in enumerate(off):
        if not distance <= TOLERANCE:  # a nan fails this too
            raise SystemExit(f"{name}: logits of sequence {i + 1} are off by {distance:.1e}")
    rows = sum(g.shape[0] if g.ndim > 1 else 1 for g in got)
    print(f"{name}: logits of {len(got)} sequences, {rows} rows of {got[0].shape[-1]}, differ by at most {max(off):.1e} "
          f"(the largest is {max(w.abs().max().item() for w in want):.1f})", flush=True)
