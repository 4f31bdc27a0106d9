#!/bin/bash
# Bad input: the right exit code and a sentence that says what to do.
. "$(dirname "$0")/lib.sh"
run=$case_dir/run.yaml

# CODE PATTERN COMMAND...
expect() {
    local code=$1 pattern=$2 got=0
    shift 2
    timeout 60 "$@" >"$work/log" 2>&1 || got=$?
    [ $got = "$code" ] || fail "exit code $got instead of $code: $*"
    grep -qi -- "$pattern" "$work/log" || fail "no word of '$pattern': $*"
}
train() {
    local code=$1 pattern=$2
    shift 2
    expect "$code" "$pattern" "$root/bin/lora" train "$run" --ranks=1 --train.output_dir="$work/out" "$@"
    [ ! -e "$work/out/adapter_model.safetensors" ] || fail "half a run was written"
}

train 2 "no-such-model" --model=./no-such-model
train 2 "lora.r" --lora.r=0
train 2 "lora.rnak\|did you mean\|nearest\|lora.r" --lora.rank=4
train 2 "querry" --lora.target_modules=querry
train 2 "no column 'phrase'" --data.text=phrase
train 2 "is not one of" "--labels=[yes, no, maybe]"
: >"$work/empty.tsv"
printf 'text\tlabel\n' >"$work/header.tsv"
printf 'text\tlabel\ngood\tpositive\nbad \xff\tnegative\n' >"$work/latin.tsv"
train 2 "empty.tsv" --data.train="$work/empty.tsv"
train 2 "no examples" --data.train="$work/header.tsv"
train 2 "latin.tsv:3" --data.train="$work/latin.tsv"

damaged() {
    rm -rf "$work/model"
    cp -r "$case_dir/model" "$work/model"
}
damaged; truncate -s 5000 "$work/model/model.safetensors"
train 2 "model.safetensors" --model="$work/model"
damaged; sed -i 's/"model_type": "bert"/"model_type": "mamba"/' "$work/model/config.json"
train 2 "mamba" --model="$work/model"
damaged; sed -i 's/"type": "WordPiece"/"type": "WordSalad"/' "$work/model/tokenizer.json"
train 2 "WordSalad" --model="$work/model"

expect 3 "no parameter server\|server" mpirun -n 1 "$root/bin/lora_worker" "$run" --ps.address=tcp://127.0.0.1:9 --ps.patience=2
expect 2 "neither a run file" "$root/bin/lora_worker"
expect 2 "not a command" "$root/bin/lora" trian
expect 2 "run.yaml" "$root/bin/lora" train

# another configuration in the same output_dir, and a worker with another configuration
"$root/bin/lora" train "$run" --ranks=1 --train.max_steps=3 --train.eval_strategy=no --train.output_dir="$work/run" >"$work/log" 2>&1 ||
    fail "a short run ended with $?"
expect 2 "lora.r" "$root/bin/lora" train "$run" --ranks=1 --train.max_steps=3 --train.eval_strategy=no --train.output_dir="$work/run" \
    --lora.r=2 --lora.init_adapter=null
start_ps "$work/refuse"
expect 4 "learning_rate" mpirun -n 1 "$root/bin/lora_worker" "$run" --ps.address="$address" --train.learning_rate=0.5
expect 1 "address already in use\|in use" "$root/bin/lora_ps" "$run" --train.output_dir="$work/other" --ps.address="$address"
kill -TERM $ps
got=0
wait $ps || got=$?
[ $got = 143 ] || fail "SIGTERM: the server ended with $got"
