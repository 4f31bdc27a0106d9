#!/bin/bash
# Bad input: the right exit code, a sentence that says what to do, and nothing half-written.
. "$(dirname "$0")/lib.sh"
run=$case_dir/run.yaml

# CODE PATTERN COMMAND...: the pattern may span the lines of the message
expect() {
    local code=$1 pattern=$2 got=0
    shift 2
    timeout 60 "$@" >"$work/log" 2>&1 || got=$?
    [ $got = "$code" ] || fail "exit code $got instead of $code: $*"
    tr '\n' ' ' <"$work/log" | grep -qi -- "$pattern" || fail "no word of '$pattern': $*"
}

# the whole run in one process, with a server of its own
train() {
    local code=$1 pattern=$2
    shift 2
    expect "$code" "$pattern" "$root/bin/lora_worker" "$run" --train.output_dir="$work/out" "$@"
    [ ! -e "$work/out" ] || fail "something was written: $(ls "$work/out")"
}

# ---- the run file and the command line

train 2 "no model folder .*no-such-model" --model=./no-such-model
train 2 "no model folder .*modle'.*did you mean '$case_dir/model'" --model="$case_dir/modle"
train 2 "golden/bert-seqcls/expected' is an adapter of .*not a model.*name it in lora.init_adapter" --model="$case_dir/expected"
train 2 "0 is out of range.*at: --lora.r .*from 1 to" --lora.r=0
train 2 "'querry' matches no module.*at: lora.target_modules.*did you mean 'query'" --lora.target_modules=querry
expect 2 "unknown option '--lora.rank'.*did you mean '--lora.r'" "$root/bin/lora_worker" "$run" --lora.rank=4
printf 'model: m\nlora:\n  rank: 4\n' >"$work/unknown.yaml"
expect 2 "unknown key 'lora.rank'.*unknown.yaml:3.*did you mean 'lora.r" "$root/bin/lora" train "$work/unknown.yaml"
printf 'model: [m\n' >"$work/broken.yaml"
expect 2 "not YAML.*broken.yaml:2" "$root/bin/lora_ps" "$work/broken.yaml"
: >"$work/nothing.yaml"
expect 2 "no model is named.*--model=FOLDER" "$root/bin/lora_ps" "$work/nothing.yaml"
expect 2 "there is no such file.*no-such.yaml.*try: a run file is YAML" "$root/bin/lora" train "$work/no-such.yaml"
cp "$run" "$work/run.yaml"
expect 2 "is a folder, not a run file *at: $work *try: did you mean '$work/run.yaml'" "$root/bin/lora" train "$work"
expect 2 "did you mean '$work/run.yaml'" "$root/bin/lora_ps" "$work/rnu.yaml"
rm "$work/run.yaml"
expect 2 "neither a run file" "$root/bin/lora_worker"
expect 2 "not a command" "$root/bin/lora" trian
expect 2 "run.yaml" "$root/bin/lora" train

# ---- data

train 2 "no column 'phrase'.*train.tsv:1.*the columns are: text, label" --data.text=phrase
train 2 "no column 'class'.*train.tsv:1.*the columns are: text, label" --data.label=class
train 2 "'neutral' is not one of the 3 labels.*train.tsv:2.*yes, no, maybe" "--labels=[yes, no, maybe]"
printf 'text\tlabel\ngood\t2\nbad\t3\n' >"$work/range.tsv"
train 2 "'3' is not one of the 3 labels.*range.tsv:3.*numbers from 0" --data.train="$work/range.tsv"
: >"$work/empty.tsv"
train 2 "no examples.*empty.tsv" --data.train="$work/empty.tsv"
printf 'text\tlabel\n' >"$work/header.tsv"
train 2 "no examples.*header.tsv" --data.train="$work/header.tsv"
printf 'text\tlabel\ngood\tpositive\nbad \xff\tnegative\n' >"$work/latin.tsv"
train 2 "byte 5 of the text is not valid UTF-8.*latin.tsv:3.*iconv" --data.train="$work/latin.tsv"
train 2 "no such file.*no-such.tsv" --data.train="$work/no-such.tsv"

mkdir "$work/folder"
for name in vit-imgcls bert-seqcls; do
    expect 2 "there is no .* in .*this folder.*at: $work/folder" "$root/bin/lora" predict \
        --adapter="$root/tests/golden/$name/expected" --model="$root/tests/golden/$name/model" "$work/folder"
done
expect 2 "no such file or folder.*did you mean '$work/header.tsv'" "$root/bin/lora" predict --adapter="$case_dir/expected" \
    --model="$case_dir/model" "$work/haeder.tsv"

# ---- the model

# PATTERN COMMAND...: with a copy of the model that the command damages in the folder $m
m=$work/model
damaged() {
    local pattern=$1
    shift
    rm -rf "$m"
    cp -r "$case_dir/model" "$m"
    "$@"
    train 2 "$pattern" --model="$m"
}

# HOW: writes model.safetensors anew with one thing wrong in its header
rewrite() {
    python3 - "$case_dir/model/model.safetensors" "$m/model.safetensors" "$1" <<'EOF'
import json, struct, sys
source, target, how = sys.argv[1:]
whole = open(source, 'rb').read()
size = struct.unpack('<Q', whole[:8])[0]
header, data = json.loads(whole[8:8 + size]), whole[8 + size:]
entry = header['bert.embeddings.word_embeddings.weight']
begin, end = entry['data_offsets']
if how == 'overlap':
    entry['data_offsets'] = [begin - 64, end - 64]
elif how == 'past':
    entry['data_offsets'] = [begin, len(data) + 4096]
elif how == 'shape':
    entry['shape'][0] += 1
elif how == 'i32':
    entry['dtype'] = 'I32'
elif how == 'unknown':
    entry['dtype'] = 'F128'
text = json.dumps(header).encode()
text += b' ' * (-len(text) % 8)
open(target, 'wb').write(struct.pack('<Q', 1 << 60 if how == 'long' else len(text)) + text + data)
EOF
}
for how in overlap past shape i32 unknown; do
    damaged "model.safetensors: bert.embeddings.word_embeddings.weight.*try:" rewrite $how
done
grep -q "is not a dtype" "$work/log" || fail "an unknown dtype is not called so"
damaged "its dtype is I32.*weights may be F32" rewrite i32
damaged "overlaps another.*download it again" rewrite overlap
damaged "not a safetensors file: a header of 1152921504606846976 bytes.*at most" rewrite long
damaged "not a safetensors file.*0 bytes.*model.safetensors" truncate -s 0 "$m/model.safetensors"
damaged "not a safetensors file.*4 bytes.*model.safetensors" truncate -s 4 "$m/model.safetensors"
damaged "its data ends at byte .*download it again" truncate -s 170000 "$m/model.safetensors"
damaged "not a whole safetensors file.*model.safetensors.*download it again" truncate -s 2000 "$m/model.safetensors"
damaged "no model.safetensors.*a model folder holds" rm "$m/model.safetensors"
damaged "no config.json.*a model folder holds" rm "$m/config.json"
damaged "model_type 'mamba' is not supported.*config.json.*supported are" \
    sed -i 's/"model_type": "bert"/"model_type": "mamba"/' "$m/config.json"
damaged "not valid JSON.*config.json:" truncate -s 300 "$m/config.json"
damaged "'WordSalad'.*tokenizer.json" sed -i 's/"type": "WordPiece"/"type": "WordSalad"/' "$m/tokenizer.json"
damaged "not valid JSON.*tokenizer.json:" truncate -s 300 "$m/tokenizer.json"

# ---- a machine without Open MPI: nothing waits for workers that never come

mkdir "$work/empty"
expect 1 "cannot start 'mpirun'.*launch/setup installs Open MPI" \
    env PATH="$work/empty" "$root/bin/lora" train "$run" --ranks=1 --train.output_dir="$work/out"
[ ! -e "$work/out" ] || fail "a run without workers leaves $(ls "$work/out")"

# ---- the same through mpirun: the code of the rank that knows, whoever leaves first

expect 2 "no column 'phrase'" "$root/bin/lora" train "$run" --ranks=3 --train.output_dir="$work/out" --data.text=phrase
[ ! -e "$work/out" ] || fail "something was written: $(ls "$work/out")"
for i in 1 2 3; do
    expect 2 "no column 'phrase'" mpirun -n 3 "$root/bin/lora_worker" "$run" --train.output_dir="$work/out" \
        --data.text=phrase
done
[ ! -e "$work/out" ] || fail "something was written: $(ls "$work/out")"

# ---- the server

expect 3 "silent for.*is lora_ps still running" \
    mpirun -n 1 "$root/bin/lora_worker" "$run" --ps.address=tcp://127.0.0.1:9 --ps.patience=2
expect 2 "'tcp://0.0.0.0:7700'.*ps.insecure" "$root/bin/lora_ps" "$run" --ps.address=tcp://0.0.0.0:7700

# another configuration in the same output_dir, and a worker with another configuration
"$root/bin/lora" train "$run" --ranks=1 --train.max_steps=3 --train.eval_strategy=no --train.output_dir="$work/run" >"$work/log" 2>&1 ||
    fail "a short run ended with $?"
before=$(cat "$work"/run/* | sha256sum)
expect 2 "another run is in this folder: lora.r (2 here, 4 there).*--overwrite" "$root/bin/lora" train "$run" --ranks=1 \
    --train.max_steps=3 --train.eval_strategy=no --train.output_dir="$work/run" --lora.r=2 --lora.init_adapter=null
[ "$(cat "$work"/run/* | sha256sum)" = "$before" ] || fail "a refused configuration changed the folder"
steps=100000
start_ps "$work/refuse"
expect 4 "error: another configuration: .*learning_rate (0.02 here, 0.5 there)" \
    mpirun -n 1 "$root/bin/lora_worker" "$run" --ps.address="$address" --train.learning_rate=0.5
cp -r "$case_dir/model" "$work/other-model"
printf '\x01' | dd of="$work/other-model/model.safetensors" bs=1 seek=160000 conv=notrunc 2>/dev/null
start_job 1
await 20 reached "$work/refuse" 1
expect 4 "error: another base model: XXH3 [0-9a-f]* on [^ ]*, but XXH3 [0-9a-f]* on [^ ]*, which began the run" \
    mpirun -n 1 "$root/bin/lora_worker" --ps.address="$address" --model="$work/other-model"
expect 2 "another parameter server writes into this folder.*wait for it" \
    "$root/bin/lora_ps" "$run" --train.output_dir="$work/refuse"
expect 1 "address already in use.*another program has port [0-9]*" \
    "$root/bin/lora_ps" "$run" --train.output_dir="$work/other" --ps.address="$address"
[ ! -e "$work/other" ] || fail "a server that could not listen has written something"
kill -TERM $ps
got=0
wait $ps || got=$?
[ $got = 143 ] || fail "SIGTERM: the server ended with $got"
got=0
wait $job || got=$?
[ $got = 143 ] || fail "SIGTERM to the server: the workers ended with $got"

# ---- a limit of the address space (ulimit -v) is told, and nothing hangs
for limit in 200000 600000; do
    (
        ulimit -v $limit
        exec timeout -k 1 60 "$root/bin/lora" train "$case_dir/run.yaml" --ranks=1 --train.max_steps=2 \
            --train.eval_strategy=no --train.output_dir="$work/limited"
    ) >"$work/log" 2>&1
    code=$?
    [ $code != 124 ] && [ $code != 137 ] || fail "lora train hangs with ulimit -v $limit"
    [ $limit != 200000 ] || { [ $code = 4 ] && grep -q "^error: .*the address space of a process is limited to 195 MB" "$work/log" &&
        grep -q "try: ulimit -v unlimited" "$work/log"; } || fail "ulimit -v $limit ended with $code"
done
