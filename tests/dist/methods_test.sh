#!/bin/bash
# Methods whose adapter's file is not the trained values as they lie: ranks, kills of server and worker, checkpoints and
# a longer run change no bit of it, and the base on disk stays as it is.
. "$(dirname "$0")/lib.sh"

# NAME CASE [option...]: the case's run by 1, 2 and 4 ranks is bits, checkpoints every 5 steps
alike() {
    local name=$1 ranks
    case_dir=$root/tests/golden/$2 steps=24
    shift 2
    bits=(--parallel.micro_batches=8 --lora.lora_dropout=0.1 --train.save_strategy=steps --train.save_steps=5
        --train.save_total_limit=2 "--model_config={hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.1}" "$@")
    reference "$work/$name-one"
    want=$(sha "$work/$name-one")
    for ranks in 2 4; do
        start_ps "$work/$name-$ranks"
        start_job $ranks
        wait $ps || fail "$name, $ranks ranks: the server ended with $?"
        wait $job || fail "$name, $ranks ranks: mpirun ended with $?"
        same_bits "$work/$name-$ranks" "$name with $ranks ranks"
    done
}

# the same, and kills: a worker dies, then the server behind a checkpoint and before the next. $longer: options of the long run
method() {
    local name=$1 before=$(sha256sum "$root/tests/golden/$2/model/model.safetensors")
    alike "$@"
    steps=300 bits+=(--train.num_train_epochs=30 "${longer[@]}")
    reference "$work/$name-long"
    want=$(sha "$work/$name-long")
    start_ps "$work/$name-killed"
    start_job 1; a=$job
    await 30 reached "$work/$name-killed" 8
    await 30 pgrep -P $a
    kill -9 "$(pgrep -P $a | head -n 1)" 2>/dev/null || fail "no worker to kill"
    start_job 2; b=$job
    for at in 63 148; do
        await 30 reached "$work/$name-killed" $at
        kill -9 $ps
        wait $ps 2>/dev/null
        start_ps "$work/$name-killed" --ps.address="$address"
    done
    wait $ps || fail "$name was killed: the server ended with $?"
    wait $a $b
    same_bits "$work/$name-killed" "$name: kills"
    [ "$(grep -c '"loss"' "$work/$name-killed/metrics.jsonl")" = $steps ] || fail "$name: not one line a step"
    [ "$(sha256sum "$case_dir/model/model.safetensors")" = "$before" ] || fail "$name changed the model's file"
}

# NAME CASE METRIC MOST [option...]: the best evaluation's values, with what belongs to them, are what is left at the end
best() {
    local out=$work/$1-best golden=$root/tests/golden/$2 step
    "$root/bin/lora" train "$golden/run.yaml" --train.output_dir="$out" --train.eval_strategy=steps --train.eval_steps=6 \
        --train.save_strategy=steps --train.save_steps=6 --train.load_best_model_at_end=true --train.metric_for_best_model="$3" "${@:5}" \
        >"$work/log" 2>&1 || fail "$1: a run that keeps its best ended with $?"
    step=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["best_global_step"])' "$out/trainer_state.json")
    cmp "$out/adapter_model.safetensors" "$out/checkpoint-$step/adapter_model.safetensors" >"$work/log" 2>&1 ||
        fail "$1: the end is not checkpoint-$step, its best"
    cmp "$out/adapter_config.json" "$out/checkpoint-$step/adapter_config.json" >"$work/log" 2>&1 ||
        fail "$1: the end's settings are not those of checkpoint-$step"
    [ "$step" -lt "$4" ] || fail "$1: the best is the last"
}

# classes are balanced over what is not held back, and `lora eval` counts the same
balanced() {
    "$root/bin/lora" train "$root/tests/golden/bert-tokcls-balanced/run.yaml" --train.output_dir="$work/balanced" --train.max_steps=8 \
        --data.validation=null --data.validation_split=0.25 >"$work/log" 2>&1 || fail "balanced classes: ended with $?"
    "$root/bin/lora" eval "$work/balanced" >"$work/eval.json" 2>"$work/log" || fail "lora eval of balanced classes ended with $?"
    python3 - "$work/eval.json" "$work/balanced/metrics.jsonl" >"$work/log" <<'END' || fail "balanced classes are others in lora eval"
import json, sys
here = json.load(open(sys.argv[1]))["eval_loss"]
there = [row["eval_loss"] for row in map(json.loads, open(sys.argv[2])) if "eval_loss" in row][-1]
print(here, there)
sys.exit(abs(here - there) > 1e-6)
END
}

longer=()
balanced
alike weights bert-tokcls-balanced --train.eval_strategy=no
alike dora bert-rslora-dora --train.loraplus_lr_ratio=4 --train.weight_decay=0 --train.loraplus_weight_decay=0.05
method plateau bert-seqcls --train.lr_scheduler_type=reduce_lr_on_plateau "--train.lr_scheduler_kwargs={factor: 0.5, patience: 0}" \
    --train.warmup_steps=0 --train.eval_strategy=steps --train.eval_steps=7
cmp -s <(grep -o '"learning_rate":[^,}]*' "$work/plateau-killed/metrics.jsonl") <(grep -o '"learning_rate":[^,}]*' "$work/plateau-long/metrics.jsonl") ||
    fail "plateau: kills change a learning rate"
[ "$(grep -o '"learning_rate":[^,}]*' "$work/plateau-long/metrics.jsonl" | sort -u | wc -l)" -gt 2 ] || fail "plateau: no rate fell"
method pissa bert-pissa
best pissa bert-pissa eval_loss 39
# the last mask, which holds to the end, lies between the two kills of the server
longer=(--lora.tfinal=200)
method adalora bert-adalora --lora.total_step=null --lora.tfinal=5 --lora.deltaT=2
longer=()
# the best is early, when more ranks were there than at the end
best adalora bert-adalora eval_loss 50 --train.warmup_steps=64 --train.learning_rate=0.5
! cmp -s "$work/adalora-best/adapter_config.json" "$work/adalora-best/checkpoint-60/adapter_config.json" || fail "adalora: the best has the last's ranks"
