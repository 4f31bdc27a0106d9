#!/bin/bash
# What can be known of a run before it begins is said before a server listens: models that are not what they
# say, targets, tokenizers, data. Nothing is left behind.
. "$(dirname "$0")/lib.sh"
golden=$root/tests/golden
m=$work/model

# CODE PATTERN COMMAND...: the pattern may span the lines of the message
expect() {
    local code=$1 pattern=$2 got=0
    shift 2
    timeout 60 "$@" >"$work/log" 2>&1 </dev/null || got=$?
    [ $got = "$code" ] || fail "exit code $got instead of $code: $*"
    tr '\n' ' ' <"$work/log" | grep -q -- "$pattern" || fail "no word of '$pattern': $*"
    ! grep -q "listens at" "$work/log" || fail "the server was up already: $*"
    [ ! -e "$work/out" ] || fail "something was written: $(ls "$work/out")"
}

# CASE PATTERN OPTION...: whoever starts a server looks first
refused() {
    local run=$golden/$1/run.yaml pattern=$2
    shift 2
    expect 2 "$pattern" "$root/bin/lora" train "$run" --ranks=1 --train.output_dir="$work/out" "$@"
    expect 2 "$pattern" "$root/bin/lora_worker" "$run" --train.output_dir="$work/out" "$@"
}

# CASE HOW...: a copy of the case's model in $m with its files changed
change() {
    rm -rf "$m"
    cp -r "$golden/$1/model" "$m"
    python3 - "$m" "${@:2}" <<'END'
import json, os, struct, sys
folder, how, *words = sys.argv[1:]
path, config = os.path.join(folder, "model.safetensors"), os.path.join(folder, "config.json")
if how == "config":
    keys = json.load(open(config))
    keys[words[0]] = json.loads(words[1])
    json.dump(keys, open(config, "w"))
    sys.exit()
index = path + ".index.json"
if os.path.exists(index): # into one of the shards
    weights = json.load(open(index))
    shard = sorted(set(weights["weight_map"].values()))[0]
    if how == "add":
        weights["weight_map"].update((w, shard) for w in words)
    json.dump(weights, open(index, "w"))
    path = os.path.join(folder, shard)
whole = open(path, "rb").read()
size = struct.unpack("<Q", whole[:8])[0]
header, data = json.loads(whole[8:8 + size]), whole[8 + size:]
if how == "add":
    for name in words:
        header[name] = {"dtype": "F32", "shape": [1], "data_offsets": [len(data), len(data) + 4]}
        data += bytes(4)
else: # rename CUT PUT
    header = {words[1] + k[len(words[0]):] if k.startswith(words[0]) else k: v for k, v in header.items()}
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
open(path, "wb").write(struct.pack("<Q", len(text)) + text + data)
END
}

# ---- models that are not what they say: every program that opens a base

change llama-clm add model.layers.0.self_attn.q_norm.weight model.layers.0.self_attn.k_norm.weight
said="nothing reads 'model.layers.0.self_attn.k_norm.weight', 'model.layers.0.self_attn.q_norm.weight' of the model's tensors.*safetensors.*model_type 'llama'"
refused llama-clm "$said" --model="$m"
expect 2 "$said" "$root/bin/lora_ps" "$golden/llama-clm/run.yaml" --train.output_dir="$work/out" --model="$m"
expect 2 "$said" "$root/bin/lora" eval "$golden/llama-clm/run.yaml" --model="$m" --adapter="$golden/llama-clm/expected"
expect 2 "$said" "$root/bin/lora" predict --adapter="$golden/llama-clm/expected" --model="$m"
change vit-imgcls config num_channels 1
refused vit-imgcls "num_channels 1 is not supported.*config.json.*red, green and blue" --model="$m"
change vit-imgcls rename vit. blocks/
refused vit-imgcls "no tensor 'vit.embeddings.cls_token', nor any other.*names that Transformers gives to a ViTForImageClassification" --model="$m"
change bert-seqcls rename bert. module.bert.
refused bert-seqcls "there is 'module.bert.*take off what stands before" --model="$m"
change bert-seqcls config num_hidden_layers 1
refused bert-seqcls "nothing reads 'bert.encoder.layer.1.*model_config: {num_hidden_layers: 1}" --model="$m"
change gpt2-clm config vocab_size 77
refused gpt2-clm "config.json says \[77, .*different models" --model="$m"
rm -rf "$m"
cp -r "$golden/bert-seqcls/model" "$m"
rm "$m/model.safetensors"
refused bert-seqcls "no model.safetensors.*a model folder holds" --model="$m"
cp -f "$golden/bert-seqcls/model/model.safetensors" "$m"
truncate -s 300 "$m/tokenizer.json"
refused bert-seqcls "not valid JSON.*tokenizer.json" --model="$m"

# ---- targets, data

refused bert-seqcls "'querry' matches no module.*did you mean 'query'" --lora.target_modules=querry
refused bert-seqcls "no such file.*no-such.tsv" --data.train="$work/no-such.tsv"
refused bert-seqcls "no such file.*no-such.tsv" --data.validation="$work/no-such.tsv"
refused bert-seqcls "no column 'phrase'.*train.tsv:1" --data.text=phrase
printf 'text\tlabel\ngood\tyes\n' >"$work/other.tsv"
refused bert-seqcls "'yes' is not one of the 3 labels.*other.tsv:2" --data.validation="$work/other.tsv"
printf 'text\tlabel\n' >"$work/header.tsv"
refused bert-seqcls "no examples.*header.tsv" --data.train="$work/header.tsv"
refused gpt2-text "the model has .* positions" --data.block_size=100000
refused vit-imgcls "no-such" --data.train="$work/no-such"

refused bert-seqcls "GB of memory with 1 ranks here, and may take 0.01.*parallel.memory.*several machines" --parallel.memory=10MB
refused bert-seqcls "'64' is no amount of memory.*write it as 16GB" --parallel.memory=64

for command in "lora train $case_dir/run.yaml --ranks=1" "lora_worker $case_dir/run.yaml"; do
    LORA_CACHE=$work/header.tsv/cache expect 1 "encoded data is kept in '$work/header.tsv/cache'; set LORA_CACHE to" \
        "$root"/bin/$command --train.output_dir="$work/out"
done

# ---- what is said of a model that is used all the same: once, and the run goes on

change bert-seqcls config architectures '["RobertaForMaskedLM"]'
timeout 60 "$root/bin/lora" train "$case_dir/run.yaml" --ranks=2 --train.output_dir="$work/run" --train.max_steps=1 \
    --model="$m" >"$work/log" 2>&1 || fail "a run with a doubtful model ended with $?"
[ "$(grep -c "architectures say 'RobertaForMaskedLM', its model_type says 'bert'" "$work/log")" = 1 ] ||
    fail "the contradiction is not said once"

# ---- micro-batches as large as there is room for: the first who has to know says it, and the run keeps it

little=(--parallel.micro_batch_tokens=auto --train.max_steps=4 --train.eval_strategy=no)
size_of() { sed -n 's/^ *micro_batch_tokens: //p' "$1/run.yaml"; }
timeout 60 "$root/bin/lora" train "$case_dir/run.yaml" --ranks=1 --train.output_dir="$work/little" "${little[@]}" \
    --parallel.memory=47MB >"$work/log" 2>&1 || fail "a run with little room ended with $?"
size=$(size_of "$work/little")
[ "$size" -lt 512 ] || fail "pieces of $size tokens"
timeout 60 "$root/bin/lora" train "$case_dir/run.yaml" --ranks=1 --train.output_dir="$work/given" "${little[@]}" \
    --parallel.micro_batch_tokens="$size" >"$work/log" 2>&1 || fail "the same size as a number ended with $?"
[ "$(sha "$work/little")" = "$(sha "$work/given")" ] || fail "the size as a number gives another adapter"
# a server elsewhere does not know the room of its workers
steps=4 bits=("${little[@]}")
start_ps "$work/told"
mpirun -n 1 "$root/bin/lora_worker" --ps.address="$address" --parallel.memory=27MB >>"$work/log" 2>&1 || fail "the worker ended with $?"
wait $ps || fail "the server ended with $?"
[ "$(size_of "$work/told")" = "$size" ] || fail "the server was told $(size_of "$work/told") instead of $size"
[ "$(sha "$work/told")" = "$(sha "$work/given")" ] || fail "the size by a worker gives another adapter"
# who comes later follows, or has no room
start_ps "$work/late" --parallel.micro_batch_tokens=4096
got=0
mpirun -n 1 "$root/bin/lora_worker" --ps.address="$address" --parallel.memory=20MB >>"$work/log" 2>&1 || got=$?
[ $got = 2 ] || fail "a worker without room ended with $got"
grep -q "GB of memory with 1 ranks on this machine, and may take 0.02" "$work/log" || fail "it does not say why"
kill $ps
ends_with 143 "a server that was ended" wait $ps
