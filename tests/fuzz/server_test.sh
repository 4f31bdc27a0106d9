#!/bin/bash
# A server under the address sanitizer, and one without, is attacked on both ports while it trains:
# no crash, bounded memory, the same bits. SECONDS_EACH: how long each.
. "$(dirname "$0")/../dist/lib.sh"
each=${SECONDS_EACH:-5}
seed=${SEED:-$RANDOM}
steps=$((300 * each))
bits+=(--train.batch_size=64)

# OUT MEGABYTES: at the most more memory than at the start
attack() {
    local out=$1 most=$2 before peak=0 now
    reference "$out-calm" # by the same program: another compilation rounds otherwise
    want=$(sha "$out-calm")
    start_ps "$out"
    start_job 1
    await 60 reached "$out" 10
    before=$(awk '/VmRSS/ { print int($2 / 1024) }' /proc/$ps/status)
    "$build/tests/fuzz/ps_fuzz" "$address" "$each" "$seed" &
    local fuzz=$!
    while kill -0 $fuzz 2>/dev/null; do
        now=$(awk '/VmRSS/ { print int($2 / 1024) }' /proc/$ps/status 2>/dev/null)
        [ "${now:-0}" -le $peak ] || peak=$now
        sleep 0.1
    done
    wait $fuzz || fail "seed $seed: the server does not answer"
    ends_with 0 "seed $seed: the attacked server" wait $ps
    ends_with 0 "seed $seed: its worker" wait $job
    same_bits "$out" "an attack"
    echo "  seed $seed: memory $before MB before, $peak MB at most"
    [ $((peak - before)) -le "$most" ] || fail "seed $seed: the server grew by $((peak - before)) MB"
}

export ASAN_OPTIONS=quarantine_size_mb=8
server=$build/lora_ps
attack "$work/sanitized" 1000 # its allocator gives nothing back
server=$root/bin/lora_ps
attack "$work/plain" 150
