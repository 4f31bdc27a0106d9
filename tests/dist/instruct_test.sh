#!/bin/bash
# Instructions: a template makes the prompts that a column would hold; packs of short rows are learnt as the rows alone
# are, whoever computes; rows whose prompt and completion share a token are learnt and counted.
. "$(dirname "$0")/lib.sh"
case_dir=$root/tests/golden/gpt2-clm

# the rows of the golden case as instructions, and as prompts
python3 - "$case_dir/train.jsonl" "$work" <<'END_OF_PYTHON'
import csv, json, os, sys
rows = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")][:24]
os.chdir(sys.argv[2])
made = [{"ask": row["prompt"], "with": "" if i % 3 else "red", "out": row["completion"]} for i, row in enumerate(rows)]
json.dump(made, open("made.json", "w"))
with open("made.csv", "w", newline="") as file:
    csv.DictWriter(file, list(made[0])).writeheader()
    csv.DictWriter(file, list(made[0])).writerows(made)
with open("plain.jsonl", "w") as file:
    for row in made:
        prompt = "Q: " + row["ask"] + ("\nin: " + row["with"] if row["with"] else "") + "\nA:"
        file.write(json.dumps({"prompt": prompt, "completion": row["out"]}) + "\n")
END_OF_PYTHON
form=$'Q: {ask}{?with}\nin: {with}{/}\nA:'

# OUT RANKS [option...]: four steps
learn() {
    "$root/bin/lora" train "$case_dir/run.yaml" --ranks="$2" --data.validation=null --train.eval_strategy=no --train.save_strategy=no \
        --train.max_steps=4 --train.logging_steps=1 --train.output_dir="$work/$1" --overwrite "${@:3}" >"$work/log" 2>&1
}
formed=("--data.template=$form" --data.prompt=null --data.completion=out)
learn plain 1 --data.train="$work/plain.jsonl" || fail "prompts of a column ended with $?"
want=$(sha "$work/plain")
for file in made.json made.csv; do
    learn formed 1 --data.train="$work/$file" "${formed[@]}" || fail "a template on $file ended with $?"
    same_bits "$work/formed" "a template on $file"
done
"$root/bin/lora" predict --adapter="$work/plain" --data.max_new_tokens=8 "$work/plain.jsonl" >"$work/want" 2>>"$work/log"
"$root/bin/lora" predict --adapter="$work/formed" --data.max_new_tokens=8 "$work/made.csv" 2>>"$work/log" | cmp -s - "$work/want" ||
    fail "predict fills the template in another way"
ends_with 2 "a template with a wrong brace" learn wrong 1 --data.train="$work/made.csv" "${formed[@]}" "--data.template={ask"
grep -q "data.template: letter 1" "$work/log" || fail "no place of the wrong brace"

# All rows in one step: packs give the losses of the rows alone, so no row sees another. The same packs have the same
# bits by one rank and by two.
packs=(--data.packing=true --data.block_size=90 --data.max_length=64 --train.batch_size=24 --parallel.micro_batches=4 --parallel.threads=1)
learn alone 1 --data.train="$work/plain.jsonl" --data.max_length=64 --train.batch_size=24 || fail "all rows in a step ended with $?"
learn packed 1 --data.train="$work/plain.jsonl" "${packs[@]}" || fail "packs ended with $?"
python3 - "$work/alone" "$work/packed" <<'END_OF_PYTHON' || fail "packs give other losses than their rows"
import json, sys
alone, packed = ([json.loads(line) for line in open(folder + "/metrics.jsonl")] for folder in sys.argv[1:])
assert len(alone) == len(packed) == 4, (alone, packed)
for a, b in zip(alone, packed):
    assert abs(a["loss"] - b["loss"]) < 2e-6 and abs(a["grad_norm"] - b["grad_norm"]) < 1e-4 * a["grad_norm"], (a, b)
    assert b["epoch"] == a["epoch"]
END_OF_PYTHON
want=$(sha "$work/packed")
learn two 2 --data.train="$work/plain.jsonl" "${packs[@]}" || fail "packs by two ranks ended with $?"
same_bits "$work/two" "packs by two ranks"
# fewer examples than rows: an epoch of packs is short; rows held back stay rows
learn short 1 --data.train="$work/plain.jsonl" "${packs[@]}" --train.batch_size=2 --parallel.micro_batches=2 --train.max_steps=-1 \
    --train.num_train_epochs=1 --data.validation_split=0.25 --train.eval_strategy=epoch || fail "packs with a split ended with $?"
steps=$(grep -c '"loss"' "$work/short/metrics.jsonl")
[ "$steps" -ge 2 ] && [ "$steps" -le 6 ] || fail "$steps steps of two packs each"

# a token across the border
printf '{"prompt": "the gar", "completion": "den is red"}\n{"prompt": "the", "completion": " map"}\n' >"$work/shared.jsonl"
learn shared 1 --data.train="$work/shared.jsonl" || fail "a shared token ended with $?"
grep -q "rows=1 prompt and completion share a token" "$work/log" || fail "no word about a shared token"
