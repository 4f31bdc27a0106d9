"""Event files of a run (train.report_to: tensorboard) as TensorBoard's own reader reads them, beside metrics.jsonl.

event_files.py RUN_DIR
"""
import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder = sys.argv[1]
read = EventAccumulator(folder + "/tensorboard", size_guidance={"scalars": 0})
read.Reload()
want = {}
for line in map(json.loads, open(folder + "/metrics.jsonl")):
    for key, value in line.items():
        if key != "step" and isinstance(value, (int, float)):
            tag = "eval/" + key[5:] if key.startswith("eval_") else "train/" + key
            want.setdefault(tag, {})[line["step"]] = value
got = {tag: {e.step: e.value for e in read.Scalars(tag)} for tag in read.Tags()["scalars"]}
bad = 0
for tag in sorted(set(want) | set(got)):
    a, b = want.get(tag, {}), got.get(tag, {})
    if set(a) != set(b) or any(abs(a[s] - b[s]) > 1e-6 * max(abs(a[s]), 1) for s in a):
        print(f"{tag}: metrics.jsonl has {len(a)} values, TensorBoard {len(b)}, or other ones")
        bad = 1
print(f"{len(want)} tags, {sum(map(len, want.values()))} values: " + ("differ" if bad else "all as metrics.jsonl has them"))
sys.exit(bad)
