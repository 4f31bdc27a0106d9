#!/bin/bash
# Faults that are no death: what freezes, comes twice, or is found torn. The bits stay the same.
. "$(dirname "$0")/lib.sh"
steps=1500
reference "$work/one"
want=$(sha "$work/one")
quick="--ps.lease_timeout=0.5 --ps.heartbeat=0.1"

lines() { # PATTERN: how often the log has it
    grep -c -- "$1" "$work/log"
}
more() { # PATTERN COUNT: the log has it more often now
    [ "$(lines "$1")" -gt "$2" ]
}

# a worker freezes for longer than its lease: the other takes over, and it comes back
: >"$work/log"
start_ps "$work/worker" $quick
start_job 1; a=$job
start_job 1; b=$job
await 30 reached "$work/worker" 30
frozen=$(pgrep -P $b)
kill -STOP $frozen
await 10 more "silent for .* its work goes to others" 0
step=$(grep -c '"loss"' "$work/worker/metrics.jsonl")
await 10 reached "$work/worker" $((step + 5))
joined=$(lines "joined client")
kill -CONT $frozen
await 10 more "joined client" $joined
ends_with 0 "the server" wait $ps
ends_with 0 "the other worker" wait $a
ends_with 0 "the worker that was frozen" wait $b
same_bits "$work/worker" "a frozen worker"

# the server freezes for many leases: nobody is taken for dead on either side
: >"$work/log"
start_ps "$work/server" $quick
start_job 2; a=$job
start_job 1; b=$job
await 30 reached "$work/server" 30
kill -STOP $ps
sleep 3
kill -CONT $ps
ends_with 0 "the server that was frozen" wait $ps
ends_with 0 "its workers" wait $a
ends_with 0 "its workers" wait $b
[ "$(lines "silent for")" = 0 ] || fail "somebody was taken for dead while the server slept"
same_bits "$work/server" "a frozen server"

# one rank of a job hangs, and its leader with it, but still beats: the others finish without them
: >"$work/log"
start_ps "$work/hangs" $quick
start_job 2; a=$job
start_job 1; b=$job
await 30 reached "$work/hangs" 30
hanging=$(pgrep -P $a | tail -n 1)
kill -STOP $hanging
ends_with 0 "the server of a job that hangs" wait $ps
ends_with 0 "the other job" wait $b
[ "$(lines "gives no answer")" = 1 ] || fail "a job that hangs is given work again and again"
kill -CONT $hanging
ends_with 0 "the job that hung" wait $a
same_bits "$work/hangs" "a job that hangs"

# killed with -9 at any moment of many checkpoints and new logs
steps=1000
reference "$work/short"
want=$(sha "$work/short")
often="--train.save_strategy=steps --train.save_steps=2 --train.save_total_limit=2"
start_ps "$work/often" $often
start_job 2
for i in 1 2 3 4 5 6 7 8; do
    await 30 reached "$work/often" $((i * 100))
    sleep 0.0$((RANDOM % 10))
    kill -9 $ps
    wait $ps 2>/dev/null
    start_ps "$work/often" --ps.address="$address" $often
done
ends_with 0 "the server that was killed" wait $ps
ends_with 0 "its workers" wait $job
same_bits "$work/often" "kill -9 among checkpoints"
! ls -d "$work"/often/*.tmp 2>/dev/null || fail "a part of a checkpoint stays"

# the log's last record is torn, or followed by garbage: it is cut off, and the step computed again
for damage in torn garbage; do
    : >"$work/log"
    start_ps "$work/$damage"
    start_job 1; a=$job
    await 30 reached "$work/$damage" 20
    kill -9 $ps
    wait $ps 2>/dev/null
    log=$work/$damage/wal/log
    if [ $damage = torn ]; then
        truncate -s -100 "$log"
    else
        head -c 100 /dev/urandom >>"$log"
    fi
    start_ps "$work/$damage" --ps.address="$address"
    ends_with 0 "the server" wait $ps
    ends_with 0 "its workers" wait $a
    more "cut off a record that was not written whole" 0 || fail "$damage: no word of it"
    same_bits "$work/$damage" "a log with a $damage end"
done

# the newest checkpoint has a wrong byte: the one before it serves, and its steps are computed again by workers that
# have seen later ones
often="--train.save_strategy=steps --train.save_steps=10 --train.save_total_limit=2"
for file in adapter_model optimizer; do
    : >"$work/log"
    start_ps "$work/$file" $often
    start_job 2
    await 30 reached "$work/$file" 40
    kill -9 $ps
    wait $ps 2>/dev/null
    newest=$(ls -d "$work/$file"/checkpoint-* | grep -v "\.tmp$" | sort -V | tail -n 1)
    tail -c 2 "$newest/$file.safetensors" | tr '\000-\377' '\001-\377\000' |
        dd of="$newest/$file.safetensors" bs=1 seek=$(($(stat -c %s "$newest/$file.safetensors") - 2)) conv=notrunc 2>/dev/null
    start_ps "$work/$file" --ps.address="$address" $often
    ends_with 0 "the server" wait $ps
    ends_with 0 "its workers" wait $job
    more "a checkpoint is passed over: the file is damaged" 0 || fail "$file: no word of the damage"
    same_bits "$work/$file" "a checkpoint with a damaged $file"
done

# damage in the middle is not guessed at: exit 1, and the log is left as it is
start_ps "$work/middle"
start_job 1
await 30 reached "$work/middle" 20
kill -9 $ps
wait $ps 2>/dev/null
kill -TERM $job
wait $job
log=$work/middle/wal/log
printf 'xxxx' | dd of="$log" bs=1 seek=$(($(stat -c %s "$log") / 2)) conv=notrunc 2>/dev/null
before=$(sha256sum <"$log")
got=0
"$root/bin/lora_ps" "$case_dir/run.yaml" --train.output_dir="$work/middle" "${bits[@]}" --train.max_steps=$steps \
    >"$work/log" 2>&1 || got=$?
[ $got = 1 ] || fail "a damaged log: the server ended with $got"
grep -q "the write-ahead log is damaged at byte" "$work/log" && grep -q "start anew with --overwrite" "$work/log" ||
    fail "a damaged log is not called so"
[ "$(sha256sum <"$log")" = "$before" ] || fail "a damaged log was written to"
