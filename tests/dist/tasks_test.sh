#!/bin/bash
# Several tasks, one adapter: the same bits by any ranks and through kills; each task's folder is an adapter of its own, with the
# outputs of a plain loop (tests/golden/bert-tasks); a run.yaml that was written is read as it was meant; what is wrong with
# tasks is said with their names.
. "$(dirname "$0")/lib.sh"
lora=$root/bin/lora
case_dir=$root/tests/golden/bert-tasks
steps=60
reference "$work/one"
want=$(sha "$work/one")
by_ranks 2 4
through_kills "$work/kills" 15 20
for task in mood words; do
    cmp "$work/one/tasks/$task/adapter_model.safetensors" "$work/kills/tasks/$task/adapter_model.safetensors" >"$work/log" ||
        fail "a kill changes the adapter of $task"
    cmp "$work/kills/checkpoint-60/tasks/$task/adapter_model.safetensors" "$work/kills/tasks/$task/adapter_model.safetensors" >"$work/log" ||
        fail "the last checkpoint has another adapter of $task"
    [ "$(sha "$work/kills/checkpoint-15/tasks/$task")" != "$(sha "$work/kills/tasks/$task")" ] || fail "a checkpoint has the end's adapter of $task"
done

# ---- each task's own folder

"$lora" train "$case_dir/run.yaml" --ranks=1 --train.output_dir="$work/g" --train.tensorboard=true >"$work/log" 2>&1 ||
    fail "lora train ended with $?"
PYTHONPATH=$root/tests python3 - "$case_dir/expected" "$work/g" >"$work/log" 2>&1 <<'END' || fail "a task's adapter is not that of a plain loop"
import json, sys
from compare import distance, with_shapes
expected, out = sys.argv[1:]
for task, labels in ("mood", ["negative", "neutral", "positive"]), ("words", ["few", "many"]):
    want, got = (with_shapes(f"{d}/tasks/{task}/adapter_model.safetensors") for d in (expected, out))
    assert want.keys() == got.keys(), want.keys() ^ got.keys()
    for name in want:
        assert want[name][0] == got[name][0] and distance(want[name][1], got[name][1]) < 1e-4, name
    assert json.load(open(f"{out}/tasks/{task}/labels.json")) == labels
END
"$lora" eval "$work/g" >"$work/eval.json" 2>"$work/log" || fail "lora eval ended with $?"
cp -r "$work/kills/checkpoint-15/tasks/words" "$work/words"
"$lora" predict --adapter="$work/words" --data.text=sentence "$case_dir/words-dev.tsv" >"$work/answers" 2>"$work/log" ||
    fail "a checkpoint's adapter of a task, alone: $?"
[ "$(grep -cE '"label": ?"(few|many)"' "$work/answers")" = 30 ] || fail "a checkpoint's adapter of a task does not know its labels"
for task in mood words; do
    column=text label=label
    [ $task = mood ] || { column=sentence label=answer; }
    "$lora" predict --adapter="$work/g/tasks/$task" --data.text=$column --data.label=$label "$case_dir/$task-dev.tsv" >"$work/answers" 2>"$work/log" ||
        fail "lora predict of $task ended with $?"
    python3 - "$task" "$work/answers" "$case_dir/$task-dev.tsv" "$work/eval.json" >"$work/log" 2>&1 <<'END' || fail "answers of $task"
import csv, json, sys
task, answers, rows, figures = sys.argv[1:]
goal = [row["label" if task == "mood" else "answer"] for row in csv.DictReader(open(rows, encoding="utf-8"), delimiter="\t")]
guess = [json.loads(line)["label"] for line in open(answers, encoding="utf-8")]
right = sum(a == b for a, b in zip(goal, guess)) / len(goal)
assert len(goal) == len(guess) == 30 and abs(right - json.load(open(figures))[f"eval_{task}_accuracy"]) < 1e-12, right
END
done
ends_with 2 "predict by all of them" "$lora" predict --adapter="$work/g" "$case_dir/mood-dev.tsv" >"$work/out" 2>"$work/log"
grep -q "it is of 2 tasks" "$work/log" || fail "predict by all of them"

# ---- what was written is what was meant; it goes on, and no further by other tasks

"$lora" train "$case_dir/run.yaml" --print-config >"$work/a.yaml" && cp -r "$case_dir/init" "$work/init" &&
    "$lora" train "$work/a.yaml" --print-config >"$work/b.yaml" && cmp "$work/a.yaml" "$work/b.yaml" >"$work/log" || fail "--print-config"
"$lora" train "$case_dir/run.yaml" --ranks=1 --train.output_dir="$work/g" >"$work/log" 2>&1 || fail "again ended with $?"
grep -q "is complete" "$work/log" || fail "it was trained again"
sed "s/weight: 2/weight: 3/; s#: \([a-z-]*\.tsv\)#: $case_dir/\1#g; s#model: \.\.#model: $case_dir/..#; s#init_adapter: #&$case_dir/#" "$case_dir/run.yaml" >"$work/other.yaml"
"$lora" train "$work/other.yaml" --ranks=1 --train.output_dir="$work/g" >"$work/log" 2>&1
[ $? = 2 ] && grep -q "tasks" "$work/log" || fail "another weight"

refused() { # WORDS WHERE SED: the run file so changed
    sed "$3" "$work/other.yaml" >"$work/bad.yaml"
    "$lora" train "$work/bad.yaml" --ranks=1 --train.output_dir="$work/bad" >"$work/log" 2>&1
    [ $? = 2 ] && grep -qF -- "$1" "$work/log" && grep -qF -- "$2" "$work/log" || fail "$3: $(cat "$work/log")"
}
refused "'weigth' is not a key of a task" "tasks.words" "s/weight: 3/weigth: 3/"
refused "a task has two labels or more" "tasks.mood" "s/, labels: \[negative, neutral, positive\]//"
refused "other tasks have validation data" "tasks.mood" "s/validation: [^ ]*mood-dev.tsv, //"
refused "is not one of the 2 labels of task 'words'" "words.tsv:" "s/few, many/few, most/"
refused "no column 'nothing'" "words.tsv" "s/text: sentence/text: nothing/"
refused "each task has its own, and it is given for all" "data.train" "s/max_length: 32/max_length: 32\\n  train: a.tsv/"
refused "several tasks share an adapter" "train.mode" "s/^  seed: 42/&\n  mode: full/; /^lora:/,/init_adapter/d"
