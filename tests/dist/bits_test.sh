#!/bin/bash
# The adapter's bits do not depend on how many ranks there are, or in how many jobs they come.
. "$(dirname "$0")/lib.sh"
reference "$work/one"
want=$(sha "$work/one")
for ranks in 2 3 4 7; do
    start_ps "$work/r$ranks"
    start_job $ranks
    wait $ps || fail "$ranks ranks: the server ended with $?"
    wait $job || fail "$ranks ranks: mpirun ended with $?"
    [ "$(sha "$work/r$ranks")" = "$want" ] || fail "$ranks ranks give another adapter"
done
start_ps "$work/jobs"
start_job 1; a=$job
start_job 2; b=$job
start_job 1; c=$job
wait $ps || fail "three jobs: the server ended with $?"
wait $a $b $c
[ "$(sha "$work/jobs")" = "$want" ] || fail "three jobs give another adapter"

# tokens and images too
for name in gpt2-clm vit-imgcls t5-seq2seq; do
    options="--parallel.micro_batches=8 --lora.lora_dropout=0.1 --train.max_steps=12"
    [ $name != vit-imgcls ] || options="$options --data.random_crop=true --data.random_flip=true"
    [ $name != t5-seq2seq ] || options="$options --model_config={\"dropout_rate\":0.1}"
    for ranks in 1 2 4; do
        "$root/bin/lora" train "$root/tests/golden/$name/run.yaml" --ranks=$ranks --train.output_dir="$work/$name-$ranks" \
            $options >"$work/log" 2>&1 || fail "$name with $ranks ranks ended with $?"
        [ "$(sha "$work/$name-$ranks")" = "$(sha "$work/$name-1")" ] || fail "$name: $ranks ranks give another adapter"
        cmp -s <(grep -o '"eval_loss": *[^,}]*' "$work/$name-$ranks/metrics.jsonl") \
            <(grep -o '"eval_loss": *[^,}]*' "$work/$name-1/metrics.jsonl") || fail "$name: $ranks ranks evaluate otherwise"
    done
done
