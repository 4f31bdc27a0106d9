#!/bin/bash
# A LoraConfig and TrainingArguments copied name by name (configs/pasted-trainer.yaml) are the run that
# the own keys describe, bit for bit; what was made of the names is told; ~ is the home folder.
. "$(dirname "$0")/lib.sh"
pasted=$root/configs/pasted-trainer.yaml

# the golden model with 512 positions, as BERT has, and its rows as a .csv file
python3 "$root/tests/dist/long_model.py" "$case_dir" "$work/model"
python3 - "$case_dir" "$work" <<'EOF'
import csv, sys
case, work = sys.argv[1:]
for name in 'train', 'dev':
    with open(f'{case}/{name}.tsv') as rows, open(f'{work}/{name}.csv', 'w', newline='') as file:
        csv.writer(file).writerows(line.rstrip('\n').split('\t') for line in rows)
EOF

export HOME=$work
given=(--parallel.threads=1 --model='~/model' --data.train='~/train.csv' --data.validation="$work/dev.csv")
"$root/bin/lora" train "$pasted" --ranks=2 "${given[@]}" --train.output_dir='~/pasted' >"$work/log" 2>&1 ||
    fail "the pasted run ended with $?"
grep -q "train.batch_size is 32, whatever the workers: per_device_train_batch_size 32 x gradient_accumulation_steps 1" "$work/log" ||
    fail "the log does not say what the batch is"
grep -q "train.per_device_eval_batch_size changes nothing: evaluations are cut by" "$work/log" ||
    fail "the log does not say what changes nothing"
for line in "batch_size: 32" "lora_alpha: 32.0" "lora_dropout: 0.1" "max_length: 512" "weight_decay: 0.01" \
    "target_modules: \[query, value, key, dense\]" "metric_for_best_model: accuracy" "task_type: SEQ_CLS" "model: $work/model"; do
    grep -q "^ *$line$" "$work/pasted/run.yaml" || fail "run.yaml has no '$line'"
done
[ "$(grep -c '"eval_accuracy"' "$work/pasted/metrics.jsonl")" = 3 ] || fail "not an evaluation an epoch"
[ "$(ls -d "$work"/pasted/checkpoint-* | wc -l)" = 3 ] || fail "not a checkpoint an epoch"

cat >"$work/own.yaml" <<'END'
model: ~/model
task_type: SEQ_CLS
data: {train: ~/train.csv, validation: [~/dev.csv], max_length: 512}
lora: {r: 8, lora_alpha: 32, lora_dropout: 0.1, target_modules: [query, value, key, dense]}
train: {output_dir: ~/own, learning_rate: 0.0001, batch_size: 32, num_train_epochs: 3, weight_decay: 0.01, eval_strategy: epoch,
        save_strategy: epoch, load_best_model_at_end: true, metric_for_best_model: accuracy}
END
"$root/bin/lora" train "$work/own.yaml" --ranks=1 --parallel.threads=1 --parallel.micro_batches="$(sed -n 's/^  micro_batches: //p' "$work/pasted/run.yaml")" \
    >"$work/log" 2>&1 || fail "the run with the own keys ended with $?"
! grep -q "config" "$work/log" || fail "notes on a run file with own keys alone"
[ "$(sha "$work/pasted")" = "$(sha "$work/own")" ] || fail "another adapter than that of the own keys"

# the page on other defaults says what --help=keys says
"$root/bin/lora" train --help=keys | sed '1,/^other defaults/d' | grep '^  ' >"$work/differences"
[ "$(wc -l <"$work/differences")" -ge 6 ] || fail "--help=keys has no table of other defaults"
while read -r name theirs here why; do
    grep -qF "| \`$name\` | $theirs | $here | $why |" "$root/configs/README.md" || fail "configs/README.md does not say: $name $theirs $here $why"
done <"$work/differences"
[ "$(grep -c '^| `\(lora\|train\)\.' "$root/configs/README.md")" = "$(wc -l <"$work/differences")" ] || fail "configs/README.md has rows too many"
