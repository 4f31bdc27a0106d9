#!/bin/bash
# A run goes on in its folder with another length and other settings, by real processes.
. "$(dirname "$0")/lib.sh"
says() { # PATTERN WHAT
    tr '\n' ' ' <"$work/log" | grep -q -- "$1" || fail "$2: no word of '$1'"
}
constant=(--lora.init_adapter=null --train.save_strategy=epoch --train.lr_scheduler_type=constant --train.warmup_steps=0)
train() { # CODE WHAT OUT [option...]
    local code=$1 what=$2 out=$3 got=0
    shift 3
    timeout 100 "$root/bin/lora" train "$case_dir/run.yaml" --ranks=1 --train.output_dir="$out" "${bits[@]}" "$@" \
        >"$work/log" 2>&1 || got=$?
    [ $got = "$code" ] || fail "$what ended with $got instead of $code"
}
content() {
    find "$1" -type f -exec sha256sum {} + | sort | sha256sum
}

# ---- longer, after the end and after an interruption: the run that was begun so
train 0 "the longer run" "$work/want" "${constant[@]}" --train.num_train_epochs=2
want=$(sha "$work/want")
train 0 "a run of one epoch" "$work/run" "${constant[@]}" --train.num_train_epochs=1
[ "$(sha "$work/run")" != "$want" ] || fail "an epoch changes nothing"
train 0 "the same command" "$work/run" "${constant[@]}" --train.num_train_epochs=1
says "the run in this folder is complete" "a complete run"
train 0 "lengthened by epochs" "$work/run" "${constant[@]}" --train.num_train_epochs=2
says "changed: train.num_train_epochs (1.0 before, now 2.0)" "a longer run"
says "the run now ends at step [0-9]*, not [0-9]*: the learning rate does not depend on the length" "a longer run"
same_bits "$work/run" "a complete run made longer by epochs"
steps=$(grep -o '"steps": [0-9]*' "$work/want/summary.json" | head -n 1 | tr -dc 0-9)
train 0 "a run of few steps" "$work/steps" "${constant[@]}" --train.max_steps=5
train 0 "lengthened by max_steps" "$work/steps" "${constant[@]}" --train.max_steps="$steps"
same_bits "$work/steps" "a complete run made longer by max_steps"
for kill in 9 TERM; do
    : >"$work/log"
    steps=100000 start_ps "$work/cut-$kill" "${constant[@]}" --train.logging_steps=1
    start_job 1
    await 30 reached "$work/cut-$kill" 3
    kill -$kill $ps
    wait $ps 2>/dev/null
    kill $job
    wait $job 2>/dev/null
    at=$(grep -c '"loss"' "$work/cut-$kill/metrics.jsonl")
    train 0 "interrupted by $kill, then longer" "$work/cut-$kill" "${constant[@]}" --train.logging_steps=3 --train.max_steps=$((at + 40))
    says "changed: train.max_steps (100000 before, now $((at + 40))); train.logging_steps (1 before, now 3)" "another length"
    train 0 "a run begun so" "$work/calm" --overwrite "${constant[@]}" --train.max_steps=$((at + 40))
    want=$(sha "$work/calm")
    same_bits "$work/cut-$kill" "an interruption by $kill and another length"
done

# ---- a linear decay ends at the new end; logging, evaluations and checkpoints change
train 0 "a linear run" "$work/linear" --train.save_strategy=epoch --train.max_steps=4 --train.warmup_steps=0
train 0 "its longer one" "$work/linear" --train.max_steps=8 --train.warmup_steps=0 --train.logging_steps=1 \
    --train.eval_strategy=steps --train.eval_steps=3 --train.save_strategy=steps --train.save_steps=5 \
    --train.save_total_limit=1 --train.load_best_model_at_end=true
says "the linear decay of the learning rate now ends there; step 5 has 0.01 (it was 0 there), the 4 steps before keep theirs" "a linear run"
says "train.save_total_limit (null before, now 1)" "checkpoints"
grep -q '"step":6.*"eval_loss"' "$work/linear/metrics.jsonl" || fail "no evaluation at step 6"
best=$(grep -o '"best_global_step": [0-9]*' "$work/linear/trainer_state.json" | tr -dc 0-9)
[ -d "$work/linear/checkpoint-$best" ] || fail "the best model's checkpoint, of step $best, is gone"
cmp -s "$work/linear/checkpoint-$best/adapter_model.safetensors" "$work/linear/adapter_model.safetensors" ||
    fail "the adapter is not the best one"
[ "$(ls -d "$work/linear"/checkpoint-* | wc -l)" -le 2 ] || fail "save_total_limit=1 keeps more than the newest and the best"

# ---- what makes another run is refused, all of it with both values, and nothing is touched
before=$(content "$work/run")
for change in "train.seed (7 here, 42 there)" "lora.r (2 here, " "train.learning_rate (0.5 here, 0.02 there)" \
    "train.weight_decay (0.3 here, " "train.batch_size (11 here, " "data.max_length (17 here, " "lora.lora_dropout (0.3 here, 0.1 there)" \
    "train.warmup_steps (3 here, 0 there)" "train.max_grad_norm (0.7 here, "; do
    key=${change%% *} value=${change#*(}
    options+=("--$key=${value%% here*}")
    train 2 "another $key" "$work/run" "${constant[@]}" --train.num_train_epochs=3 \
        $([ $key = train.warmup_steps ] && echo --train.lr_scheduler_type=constant_with_warmup) "--$key=${value%% here*}"
    says "another run is in this folder: .*$change" "another $key"
    says "try: set them as they are there" "another $key"
done
train 2 "all of them" "$work/run" "${constant[@]}" "${options[@]}" --train.lr_scheduler_type=linear
for key in train.seed lora.r train.learning_rate train.weight_decay train.batch_size data.max_length lora.lora_dropout \
    train.warmup_steps train.max_grad_norm train.lr_scheduler_type; do
    says "$key ([^)]* here, [^)]* there)" "all keys at once"
done
[ "$(content "$work/run")" = "$before" ] || fail "a folder that was refused was changed"

# ---- a new run in the folder of the adapter that it begins with would empty it first
train 0 "a run" "$work/first" --train.max_steps=4 --train.save_strategy=steps --train.save_steps=2
before=$(content "$work/first")
ln -s first "$work/link"
for adapter in first first/checkpoint-2 link; do
    train 2 "--overwrite of $adapter" "$work/first" --train.max_steps=4 --lora.init_adapter="$work/$adapter" --overwrite
    says "error: --overwrite would remove the adapter that the run begins with.*--lora.init_adapter.*copy the adapter" "$adapter"
    [ "$(content "$work/first")" = "$before" ] || fail "--overwrite of $adapter was refused, and changed the folder"
done
train 0 "the adapter of a folder beside it" "$work/first2" --train.max_steps=4 --lora.init_adapter="$work/first" --overwrite

# ---- data that changed: which file, and how
cp "$case_dir/train.tsv" "$work/train.tsv"
train 0 "a run on a copy" "$work/data" --train.save_strategy=epoch --data.train="$work/train.tsv" --train.max_steps=4
tail -n 3 "$case_dir/train.tsv" >>"$work/train.tsv"
train 4 "rows were added" "$work/data" --data.train="$work/train.tsv" --train.max_steps=8 --train.save_strategy=epoch
says "other training data: XXH3 [0-9a-f]\{16\} of 203 examples on .*, but XXH3 [0-9a-f]\{16\} of 200 examples on .*; $work/train.tsv has $(tail -n 3 "$case_dir/train.tsv" | wc -c) bytes more at its end than when the run began, $(wc -c <"$case_dir/train.tsv") then; it reads data.train: $work/train.tsv" "added rows"
cp "$case_dir/train.tsv" "$work/train.tsv"
train 0 "they were taken away" "$work/data" --data.train="$work/train.tsv" --train.max_steps=8 --train.save_strategy=epoch

# ---- a worker that waits for the old length
: >"$work/log"
steps=100000 start_ps "$work/waiting" "${constant[@]}"
start_job 1
await 30 reached "$work/waiting" 1
kill -9 $ps
wait $ps 2>/dev/null
steps=200000 start_ps "$work/waiting" --ps.address="$address" "${constant[@]}"
ends_with 4 "a worker of the old length" wait $job
says "error: another configuration: train.max_steps (200000 here, 100000 there)" "a worker of the old length"
at=$(grep -c '"loss"' "$work/waiting/metrics.jsonl")
start_job 1
await 30 reached "$work/waiting" $((at + 2))
kill $ps
wait $ps $job 2>/dev/null
true
