#!/bin/bash
# Files that are not what was hoped for are called by what they are; a tokenizer alone encodes.
. "$(dirname "$0")/lib.sh"
lora=$root/bin/lora

# CODE PATTERN COMMAND...: the pattern may span the lines of what is said
expect() {
    local code=$1 pattern=$2 got=0
    shift 2
    timeout 60 "$@" >"$work/log" 2>&1 </dev/null || got=$?
    [ $got = "$code" ] || fail "exit code $got instead of $code: $*"
    tr '\n' ' ' <"$work/log" | tr -s ' ' | grep -q -- "$pattern" || fail "no word of '$pattern': $*"
}

# ---- Git LFS pointers, wherever one may lie

pointer() {
    printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 440473133\n' 0 >"$1"
}
for file in config.json model.safetensors tokenizer.json tokenizer_config.json; do
    rm -rf "$work/m" && cp -r "$case_dir/model" "$work/m"
    pointer "$work/m/$file"
    expect 2 "a Git LFS pointer.*at: .*m/$file.*git lfs pull" "$lora" eval "$case_dir/run.yaml" --model="$work/m"
done
for file in adapter_config.json adapter_model.safetensors; do
    rm -rf "$work/a" && cp -r "$case_dir/expected" "$work/a"
    pointer "$work/a/$file"
    expect 2 "a Git LFS pointer.*at: .*a/$file" "$lora" predict --adapter="$work/a" --model="$case_dir/model"
done
pointer "$work/rows.tsv"
expect 2 "a Git LFS pointer.*at: .*rows.tsv" "$lora" eval "$case_dir/run.yaml" --data.validation="$work/rows.tsv"
expect 2 "a Git LFS pointer" "$lora" inspect "$work/rows.tsv"

# ---- inspect of any file

printf 'text,label\r\n"a, b",1\r\nc,2' >"$work/x.csv"
expect 0 "^kind table of comma-separated values bytes 25 lines 3 first line text,label $" "$lora" inspect "$work/x.csv"
printf '{"text": "x", "n": 1}' >"$work/x.json"
expect 0 "kind JSON bytes 21 lines 1 keys \[\"text\", \"n\"\]" "$lora" inspect "$work/x.json"
printf 'GGUF\3\0\0\0' >"$work/x.bin"
expect 0 "kind GGUF model" "$lora" inspect "$work/x.bin"
printf 'PK\3\4\0\0' >"$work/pytorch_model.bin"
expect 0 "kind zip archive; PyTorch" "$lora" inspect "$work/pytorch_model.bin"
: >"$work/empty.txt"
expect 0 "kind empty file bytes 0" "$lora" inspect "$work/empty.txt"
cp "$case_dir/model/model.safetensors" "$work/renamed"
expect 0 "kind safetensors file.*parameters" "$lora" inspect "$work/renamed"
printf 'not tensors' >"$work/x.safetensors"
expect 2 "x.safetensors" "$lora" inspect "$work/x.safetensors"
expect 2 "there is no such file.*no-such" "$lora" inspect "$work/no-such"

# ---- a folder with the tokenizer alone

mkdir "$work/t"
expect 2 "neither tokenizer.json nor" "$lora" encode --model="$work/t" "$case_dir/dev.tsv"
cp "$case_dir/model/tokenizer.json" "$case_dir/model/tokenizer_config.json" "$work/t"
"$lora" encode --model="$work/t" "$case_dir/dev.tsv" >"$work/alone"
"$lora" encode --model="$case_dir/model" "$case_dir/dev.tsv" | cmp - "$work/alone" || fail "other ids without config.json"

# ---- a text without a token: named by its line, not in the numbers

printf 'a good film\n\nso so\n' >"$work/lines.txt"
expect 2 "the text has no token.*at: .*lines.txt:2" "$lora" predict --adapter="$root/tests/golden/gpt2-seqcls/expected" \
    --model="$root/tests/golden/gpt2-seqcls/model" "$work/lines.txt"
expect 0 '{"label"' "$lora" predict --adapter="$case_dir/expected" --model="$case_dir/model" "$work/lines.txt"
