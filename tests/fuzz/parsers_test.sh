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
