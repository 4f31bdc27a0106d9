#!/bin/bash
# Mutated bytes into every parser of what comes from outside, under the sanitizers. SECONDS_EACH: of
# each.
. "$(dirname "$0")/../dist/lib.sh"
each=${SECONDS_EACH:-5}
seed=${SEED:-$RANDOM}
golden=$root/tests/golden

run() {
    "$build/tests/fuzz/parse_fuzz" "$1" "$each" "$seed" "${@:2}" >"$work/log" 2>&1 || fail "$1, seed $seed"
    cat "$work/log"
}
run header
run core
run safetensors "$golden"/*/model/*.safetensors
run tokenizer "$golden"/*/model/tokenizer.json "$golden"/tokenizers/*/tokenizer.json
run model "$golden"/*/model/config.json
run config "$golden"/*/run.yaml "$root"/configs/*.yaml
# small seeds, so that a change meets a quote or a bracket
printf 'text,label\n"a, ""b""\nc",x\n d ,y\n' >"$work/a.csv"
printf 'text\tlabel\n"a\tb"\tx\nc "d"\ty\n' >"$work/a.tsv"
printf '[{"text": "a\\u0000b", "label": [1, 12345678901234567890123], "tokens": ["a", "b"], "tags": ["O", 1]},\n {"prompt": "p", "completion": "c"}]' >"$work/a.json"
printf '{"text": "a", "label": true, "prompt": "p", "completion": "c"}\n{"tokens": ["a"], "tags": ["O"]}\n' >"$work/a.jsonl"
printf -- '-DOCSTART- O\n\na B-X\nb O\n\nc O\n' >"$work/a.conll"
gzip -kn "$work/a.csv"
run rows "$work"/a.*
