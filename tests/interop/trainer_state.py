#!/usr/bin/env python3
"""trainer_state.json of a run beside Transformers: python trainer_state.py OUTPUT_DIR STEPS

TrainerState.load_from_json has to take the run's own and each checkpoint's, and save_to_json to write back the
same values; the best model's checkpoint has to be there."""
import glob
import json
import os
import sys

sys.path.pop(0)  # the folder of this file, whose tokenizers.py is not the library
from transformers import TrainerState  # noqa: E402


def check(path, steps):
    state = TrainerState.load_from_json(path)
    with open(path) as file:
        ours = json.load(file)
    again = path + ".again"
    state.save_to_json(again)
    with open(again) as file:
        theirs = json.load(file)
    os.remove(again)
    for key in ours.keys() - theirs.keys():
        sys.exit(f"{path}: {key} is none of Trainer's keys")
    for key in ours:
        assert ours[key] == theirs[key], (path, key, ours[key], theirs[key])
    assert state.global_step == steps, (path, state.global_step, steps)
    assert state.log_history and state.log_history[-1]["step"] <= steps, path
    if state.best_model_checkpoint:
        assert os.path.isdir(state.best_model_checkpoint), state.best_model_checkpoint


folder, steps = sys.argv[1], int(sys.argv[2])
check(os.path.join(folder, "trainer_state.json"), steps)
checkpoints = glob.glob(os.path.join(folder, "checkpoint-*"))
assert checkpoints
for checkpoint in checkpoints:
    check(os.path.join(checkpoint, "trainer_state.json"), int(checkpoint.rsplit("-", 1)[1]))
print(f"{1 + len(checkpoints)} files read by TrainerState.load_from_json")
