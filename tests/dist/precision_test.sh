#!/bin/bash
# A base of less than fp32: the bits do not depend on ranks and kills, eval computes as the run did, and what needs fp32 is
# refused before anything starts.
. "$(dirname "$0")/lib.sh"
lora=$root/bin/lora

# CASE PRECISION FOLDER RANKS OPTION...
train() {
    local name=$1 precision=$2 out=$3 ranks=$4
    shift 4
    "$lora" train "$root/tests/golden/$name/run.yaml" --ranks=$ranks --train.output_dir="$work/$out" \
        --train.precision=$precision --parallel.micro_batches=8 --lora.lora_dropout=0.1 --train.max_steps=12 "$@" \
        >"$work/log" 2>&1 || fail "$name, $precision, $ranks ranks ended with $?"
}

for of in "bert-seqcls bf16" "gpt2-clm nf4" "vit-imgcls int8"; do
    set -- $of
    train $1 fp32 $1-plain 2
    train $1 $2 $1-1 1
    train $1 $2 $1-3 3
    [ "$(sha "$work/$1-1")" = "$(sha "$work/$1-3")" ] || fail "$1, $2: 3 ranks give another adapter"
    [ "$(sha "$work/$1-1")" != "$(sha "$work/$1-plain")" ] || fail "$1: $2 is fp32"
done

# a run that goes on, in the middle
constant="--train.lr_scheduler_type=constant --train.warmup_steps=0 --train.save_strategy=steps --train.save_steps=6"
train bert-seqcls bf16 half 1 $constant --train.max_steps=6
train bert-seqcls bf16 half 2 $constant
train bert-seqcls bf16 whole 1 $constant
[ "$(sha "$work/half")" = "$(sha "$work/whole")" ] || fail "a run that went on gives another adapter"

# whoever is killed
steps=150
usual=("${bits[@]}")
for precision in bf16 int8 nf4; do
    bits=("${usual[@]}" --train.precision=$precision)
    reference "$work/$precision-whole"
    want=$(sha "$work/$precision-whole")
    through_kills "$work/$precision-killed" 40 60
done

# eval takes the run's own precision, another when it is told
dev=$root/tests/golden/bert-seqcls/dev.tsv
last() { grep -o '"eval_loss": *[^,}]*' "$1" | tail -n 1 | grep -o '[0-9.]*$'; }
"$lora" eval "$work/bert-seqcls-1" --data.test="$dev" >"$work/own" 2>"$work/log" || fail "eval ended with $?"
"$lora" eval "$work/bert-seqcls-1" --data.test="$dev" --train.precision=nf4 >"$work/other" 2>"$work/log" || fail "eval ended with $?"
[ "$(last "$work/own")" = "$(last "$work/bert-seqcls-1/metrics.jsonl")" ] || fail "eval computes with another precision than the run"
[ "$(last "$work/other")" != "$(last "$work/own")" ] || fail "eval does not heed --train.precision"

# WORDS OPTION...
refused() {
    local words=$1 code=0
    shift
    "$lora" train "$root/tests/golden/bert-seqcls/run.yaml" --train.output_dir="$work/refused" "$@" >"$work/log" 2>&1 || code=$?
    [ $code = 2 ] || fail "$*: ended with $code"
    grep -q -- "$words" "$work/log" || fail "$*: it is not said that $words"
}
refused "before they are rounded" --train.precision=bf16 --lora.use_dora=true
refused "a part of the base" --train.precision=nf4 --lora.init_lora_weights=pissa --lora.init_adapter=null
