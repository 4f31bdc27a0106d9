#!/bin/bash
# lora combine: an adapter that every other command takes; and what it refuses, in words.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
two=$root/tests/golden/combine

# CODE WHAT OPTION...: lora combine of the two adapters; its words in `log`
combines() {
    local code=$1 what=$2
    shift 2
    "$root/bin/lora" combine "$@" --model="$two/model" >log 2>&1
    local got=$?
    [ $got = "$code" ] || fail "$what ended with $got instead of $code"
}
said() {
    grep -qF -- "$2" log || fail "$1 does not say '$2'"
}

combines 0 "two adapters" "$two/a" "$two/b" both --weights=0.7,0.5
said "two adapters" "both: 2 adapters as one of rank 4"
"$root/bin/lora" inspect both | grep -q "h.1.mlp.c_proj" || fail "lora inspect does not know it"
combines 0 "one adapter" "$two/a" one
cmp -s "$two/a/adapter_config.json" one/adapter_config.json && fail "the scale is in the config, not in the values"
combines 2 "a folder that is there" "$two/a" "$two/b" both
said "a folder that is there" "'both' is there already"
combines 2 "too many weights" "$two/a" "$two/b" no --weights=1,1,1
said "too many weights" "3 weights for 2 adapters"
combines 2 "no density" "$two/a" "$two/b" no --type=ties
said "no density" "--density=0.5 keeps half of the numbers"
combines 2 "a density" "$two/a" "$two/b" no --type=ties --density=1.5
said "a density" "1.5 is out of range"
combines 2 "a density for nothing" "$two/a" "$two/b" no --density=0.5
said "a density for nothing" "it has no sense with --type=svd"
combines 2 "a rank for nothing" "$two/a" "$two/b" no --type=cat --svd_rank=3
said "a rank for nothing" "at: --svd_rank"
combines 2 "a sign for nothing" "$two/a" "$two/b" no --type=linear --majority_sign_method=total
combines 2 "a type" "$two/a" "$two/b" no --type=average
said "a type" "'average' is no way to combine adapters"
combines 2 "another task" "$two/a" "$case_dir/expected" no
said "another task" "it is for SEQ_CLS"
"$root/bin/lora" combine "$two/a" "$root/tests/golden/gpt2-text/expected" no >log 2>&1 && fail "other bases became one"
[ ! -e no ] || fail "something is left of what failed"
