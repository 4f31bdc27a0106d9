#!/bin/bash
# lora export: from a run, an adapter of PEFT, a whole model, and what it refuses, in words. What is in the files:
# tests/common/export, and tests/interop beside the runtimes themselves.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
llama=$root/tests/golden/llama-clm

# CODE WHAT OPTION...: lora export; its words in `log`
exports() {
    local code=$1 what=$2
    shift 2
    "$root/bin/lora" export "$@" >log 2>&1
    local got=$?
    [ $got = "$code" ] || fail "$what ended with $got instead of $code"
}
said() {
    grep -qF -- "$2" log || fail "$1 does not say '$2'"
}

exports 0 gguf "$llama/expected" llama.gguf --format=gguf --model="$llama/model"
said gguf "merged 14 adapted modules"
[ "$(head -c 4 llama.gguf)" = GGUF ] || fail "llama.gguf is no GGUF file"
exports 0 q8_0 "$llama/expected" small.gguf --format=gguf --type=q8_0 --model="$llama/model"
[ "$(stat -c %s small.gguf)" -lt "$(($(stat -c %s llama.gguf) / 2))" ] || fail "q8_0 is as large as f32"
exports 0 gguf-lora "$llama/expected" adapter.gguf --format=gguf-lora --model="$llama/model"
exports 0 "a whole model" "$llama/model" base.gguf --format=gguf
exports 0 "a whole model with biases" "$root/tests/golden/gpt2-clm/model" gpt2.gguf --format=gguf
exports 0 "a whole model with biases, onnx" "$root/tests/golden/vit-imgcls/model" vit --format=onnx
"$root/bin/lora" merge "$llama/expected" merged --model="$llama/model" --dtype=f32 >log 2>&1 || fail "lora merge ended with $?"
exports 0 "a merged model" merged merged.gguf --format=gguf
tail -c 100000 merged.gguf | cmp -s - <(tail -c 100000 llama.gguf) || fail "merged and then exported is not exported"
exports 0 onnx "$llama/expected" graph --format=onnx --model="$llama/model"
[ -s graph/model.onnx ] && [ -s graph/config.json ] && [ -s graph/tokenizer.json ] || fail "onnx: $(ls graph)"
[ ! -e graph/model.onnx_data ] || fail "a small model has its weights in a file of their own"
exports 0 "onnx in two files" "$llama/expected" apart --format=onnx --external --model="$llama/model"
[ "$(stat -c %s apart/model.onnx)" -lt 50000 ] && [ -s apart/model.onnx_data ] || fail "in two files: $(ls -l apart)"
exports 2 "a type of onnx" "$llama/expected" no --format=onnx --type=f16 --model="$llama/model"
said "a type of onnx" "weights of ONNX are f32 here"
exports 2 "a folder that is there" "$llama/expected" graph --format=onnx --model="$llama/model"
exports 2 "a file that is there" "$llama/expected" llama.gguf --format=gguf --model="$llama/model"
said "a file that is there" "'llama.gguf' is there already"
exports 2 "no format" "$llama/expected" no --model="$llama/model"
said "no format" "no --format"
exports 2 "a format" "$llama/expected" no --format=tflite --model="$llama/model"
said "a format" "'tflite' is no format here"
exports 2 "a type" "$llama/expected" no --format=gguf --type=q4_0 --model="$llama/model"
said "a type" "f32, f16, bf16 or q8_0"
exports 2 "a type of an adapter" "$llama/expected" no --format=gguf-lora --type=q8_0 --model="$llama/model"
said "a type of an adapter" "f32 or f16"
exports 2 "a classifier without a cache" "$case_dir/expected" no --format=onnx --no-cache --model="$case_dir/model"
said "a classifier without a cache" "at: --no-cache"
exports 2 "a GGUF file in two" "$llama/expected" no --format=gguf --external --model="$llama/model"
said "a GGUF file in two" "at: --external"
exports 2 "a whole model as an adapter" "$llama/model" no --format=gguf-lora
exports 2 "a head" "$case_dir/expected" no --format=gguf-lora --model="$case_dir/model"
said "a head" "'classifier', which was trained itself, has no place in a GGUF adapter"
[ ! -e no ] && [ -z "$(ls -d ./*.tmp* 2>/dev/null)" ] || fail "something is left of what failed"
