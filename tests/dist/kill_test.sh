#!/bin/bash
# Whoever is killed with -9, the run ends with the same bits.
. "$(dirname "$0")/lib.sh"
steps=2500
reference "$work/one"
want=$(sha "$work/one")

# a worker dies in the middle, another joins
start_ps "$work/worker"
start_job 1; a=$job
start_job 2; b=$job
await 30 reached "$work/worker" 8
await 30 pgrep -P $b
kill -9 "$(pgrep -P $b | head -n 1)" 2>/dev/null || fail "no worker to kill"
start_job 1; c=$job
wait $ps || fail "a worker was killed: the server ended with $?"
wait $a $b $c
[ "$(sha "$work/worker")" = "$want" ] || fail "a killed worker changes the adapter"

# a process that dies is known by its connection: others need not wait until it has been silent for long
joined() { [ "$(grep -c "joined client" "$work/log")" -ge "$1" ]; }
: >"$work/log"
start_ps "$work/closed" --ps.lease_timeout=300
start_job 1; a=$job
start_job 1; b=$job
await 30 joined 2
kill -9 "$(pgrep -P $a | head -n 1)" 2>/dev/null || fail "no worker to kill"
await 20 grep -q "its connection has ended, its work goes to others" "$work/log"
wait $ps || fail "a worker was killed: the server with a long patience ended with $?"
wait $a $b
[ "$(sha "$work/closed")" = "$want" ] || fail "a worker whose connection ended changes the adapter"

# the server dies, workers wait for the next one; its log is cut at every fifth step, and stays as short
start_ps "$work/server" --ps.log_steps=5
start_job 2
for at in 100 500 1000; do
    await 30 reached "$work/server" $at
    kill -9 $ps
    wait $ps 2>/dev/null
    "$root/bin/lora" verify "$work/server" >"$work/said" || fail "killed at step $at: $(cat "$work/said")"
    grep -Eq "^ok +wal/log: (the state of step [0-9]+, )?(no steps|steps [0-9]+ to [0-9]+), [0-9]+ evaluations, [0-9]+ records" "$work/said" ||
        fail "verify does not say what the log holds: $(cat "$work/said")"
    [ "$(sed -n 's/.* \([0-9]*\) records.*/\1/p' "$work/said")" -le $((2 + 4 + 6)) ] || fail "the log was not cut: $(cat "$work/said")"
    start_ps "$work/server" --ps.address="$address" --ps.log_steps=5
done
wait $ps || fail "the server was killed: its successor ended with $?"
wait $job || fail "the server was killed: the workers ended with $?"
[ "$(sha "$work/server")" = "$want" ] || fail "a killed server changes the adapter"
[ "$(grep -c '"loss"' "$work/server/metrics.jsonl")" = $steps ] || fail "metrics.jsonl has not one line a step"
