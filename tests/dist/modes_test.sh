#!/bin/bash
# ps.mode: ssp and async: each step is made once, through deaths of workers and server; ps.wire_dtype: int8 with them.
. "$(dirname "$0")/lib.sh"
steps=120
more=(--lora.init_adapter=null --lora.r=64 --train.logging_steps=1 --train.learning_rate=1e-2)
said() { grep -o "\"$2\": *[0-9.]*" "$1/summary.json" | grep -o '[0-9.]*$'; }
loss() { grep -o '"loss": *[0-9.]*' "$1/metrics.jsonl" | tail -n 10 | awk -F : '{ s += $2; n++ } END { print s / n }'; }
# OUT MODE...: all steps are there, one behind the other, and it has learnt (from log 3) not much less than a run in step, though
# at a lower rate
is_whole() {
    [ "$(grep -o '"step": *[0-9]*' "$1/metrics.jsonl" | grep -o '[0-9]*$' | tr '\n' ' ')" = "$(seq -s ' ' 1 $steps) " ] ||
        fail "$2: not all steps, or not in their order"
    awk -v a="$(loss "$work/sync")" -v b="$(loss "$1")" 'BEGIN { exit !(log(3) - b > 0.4 * (log(3) - a) && a < 0.9) }' ||
        fail "$2: its loss is $(loss "$1"), and $(loss "$work/sync") in step"
}
run() { # OUT [option...]: three jobs
    local out=$1 jobs=() i
    shift
    start_ps "$out" "${more[@]}" "$@"
    for i in 1 1 2; do start_job $i; jobs+=($job); done
    wait $ps || fail "$out: the server ended with $?"
    for i in "${jobs[@]}"; do ends_with 0 "a worker of $out" wait $i; done
}
run "$work/sync"
for mode in ssp async; do
    run "$work/$mode" --ps.mode=$mode --ps.staleness=1
    is_whole "$work/$mode" $mode
done
run "$work/int8" --ps.mode=async --ps.wire_dtype=int8
is_whole "$work/int8" int8
ups=($(said "$work/async" wire_bytes_up) $(said "$work/int8" wire_bytes_up))
[ $((ups[1] * 100)) -le $((ups[0] * 32)) ] || fail "int8 sends ${ups[1]} bytes up, fp32 ${ups[0]}"

# a worker is killed and the server is, twice; checkpoints between
for mode in ssp async; do
    killed=$work/killed-$mode options=("${more[@]}" --ps.mode=$mode --train.save_strategy=steps --train.save_steps=45)
    start_ps "$killed" "${options[@]}"
    start_job 1; a=$job
    start_job 1; b=$job
    start_job 1; c=$job
    for at in 20 70; do
        await 30 reached "$killed" $at
        kill -9 $ps
        wait $ps 2>/dev/null
        [ $at != 20 ] || kill -9 $(pgrep -P $c) 2>/dev/null
        start_ps "$killed" "${options[@]}" --ps.address="$address"
    done
    wait $ps || fail "$mode: the server that was killed twice ended with $?"
    # one has been there to the end; another may look for the server when it is gone
    ends_with 0 "$mode: a worker" wait -n $a $b
    kill $a $b 2>/dev/null
    wait $a $b $c 2>/dev/null
    is_whole "$killed" "$mode, killed"
    "$root/bin/lora" verify "$killed" >"$work/said" 2>&1 || fail "lora verify: $(cat "$work/said")"
done

# who is alone is never behind: the bits of a run in step
start_ps "$work/alone" "${more[@]}" --ps.mode=async
start_job 1
wait $ps && wait $job || fail "async, alone"
want=$(sha "$work/sync")
same_bits "$work/alone" "async with one worker"

ends_with 2 "int8 in step" "$root/bin/lora_ps" "$case_dir/run.yaml" --train.output_dir="$work/no" --ps.wire_dtype=int8 >"$work/said" 2>&1
grep -q "ps.wire_dtype and.*ps.mode" "$work/said" || fail "int8 in step: $(cat "$work/said")"
