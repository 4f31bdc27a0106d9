#!/bin/bash
# ps.wire_dtype: bf16 halves what is pushed; its bits, too, depend on nobody who computes, joins or is killed.
. "$(dirname "$0")/lib.sh"
steps=60
more=(--lora.init_adapter=null --lora.r=64 --train.logging_steps=1)
said() { grep -o "\"$2\": *[0-9.]*" "$1/summary.json" | grep -o '[0-9.]*$'; }
run() { # OUT RANKS... [-- option...]: jobs of so many ranks each
    local out=$1 jobs=() ranks=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do ranks+=("$1"); shift; done
    shift
    start_ps "$out" "${more[@]}" "$@"
    for n in "${ranks[@]}"; do start_job "$n"; jobs+=($job); done
    wait $ps || fail "$out: the server ended with $?"
    wait "${jobs[@]}"
}
run "$work/wide" 1 --
run "$work/one" 1 -- --ps.wire_dtype=bf16
want=$(sha "$work/one")
[ "$want" != "$(sha "$work/wide")" ] || fail "bf16 changes nothing"
ups=($(said "$work/wide" wire_bytes_up) $(said "$work/one" wire_bytes_up))
[ $((ups[1] * 100)) -le $((ups[0] * 55)) ] || fail "bf16 sends ${ups[1]} bytes up, fp32 ${ups[0]}"
paste <(grep -o '"loss": *[^,}]*' "$work/wide/metrics.jsonl") <(grep -o '"loss": *[^,}]*' "$work/one/metrics.jsonl") |
    awk -F '[:\t]' '{ d = $2 - $4; s += d * d; t += $2 * $2; n++ } END { exit !(n == 60 && sqrt(s / t) < 0.02) }' ||
    fail "losses with bf16 are others than with fp32"

run "$work/three" 3 -- --ps.wire_dtype=bf16
same_bits "$work/three" "a node of three ranks"
run "$work/jobs" 1 2 1 -- --ps.wire_dtype=bf16
same_bits "$work/jobs" "three jobs"

# the server dies; its log has the sums as they were
start_ps "$work/killed" "${more[@]}" --ps.wire_dtype=bf16
start_job 2
await 30 reached "$work/killed" 20
kill -9 $ps
wait $ps 2>/dev/null
start_ps "$work/killed" "${more[@]}" --ps.wire_dtype=bf16 --ps.address="$address"
wait $ps || fail "the server was killed: its successor ended with $?"
wait $job || fail "the server was killed: the workers ended with $?"
same_bits "$work/killed" "a killed server"

# another dtype is another run
ends_with 2 "a run with another wire" "$root/bin/lora_ps" "$case_dir/run.yaml" --train.output_dir="$work/jobs" "${bits[@]}" "${more[@]}" \
    --train.max_steps=60 --ps.wire_dtype=fp32 >"$work/said" 2>&1
grep -q "ps.wire_dtype" "$work/said" || fail "what differs is not named: $(cat "$work/said")"
