#!/bin/bash
# A disk that fails, is read-only or slow for a while (a library before libc's): the run goes on, pauses or stops as
# ps.on_disk_full says, the status says why, and it is well again by itself; the bits stay. And `lora verify`.
. "$(dirname "$0")/../dist/lib.sh"
lora=$root/bin/lora
steps=400
reference "$work/one"
want=$(sha "$work/one")
fault=$work/fault
faulty() {
    BAD_DISK=$fault BAD_DISK_FOLDER=$work/runs LD_PRELOAD=$build/tests/dist/bad_disk.so exec "$root/bin/lora_ps" "$@"
}
server=faulty
says() {
    grep -q -- "$1" "$work/log"
}
field() { # EXPRESSION: of the status s
    "$lora" status "$address" --json | python3 -c 'import json, sys; s = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"
}
is() { [ "$(field "$1")" = True ]; }
mkdir "$work/runs"

# paused while the log cannot be synced, with the reason; well again by itself
: >"$work/log"
start_ps "$work/runs/pause" --ps.on_disk_full=pause
start_job 1
await 30 reached "$work/runs/pause" 60
echo eio >"$fault"
await 30 says "paused at step=.* until the disk takes steps again: cannot sync the log: Input/output error"
await 10 is 's["state"] == "paused" and "cannot sync the log: Input/output error" in s["degraded"]'
before=$(field 's["step"]')
sleep 1
[ "$(field 's["step"]')" = "$before" ] || fail "a paused run makes steps"
echo >"$fault"
await 30 says "steps are durable again"
ends_with 0 "the server that was paused" wait $ps
ends_with 0 "its workers" wait $job
same_bits "$work/runs/pause" "a disk that failed"
! says "starting .* again" || fail "the workers did not wait"

# stopped, with 1: the same command goes on
: >"$work/log"
start_ps "$work/runs/stop" --ps.on_disk_full=stop
start_job 1
await 30 reached "$work/runs/stop" 60
echo rofs >"$fault"
ends_with 1 "the server that stops on a read-only disk" wait $ps
wait $job
says "steps are not durable: cannot append to the log: Read-only file system; what is durable stays" || fail "no word of the read-only disk"
echo >"$fault"
start_ps "$work/runs/stop" --ps.on_disk_full=stop
start_job 1
ends_with 0 "the server that goes on" wait $ps
wait $job
same_bits "$work/runs/stop" "a disk that was read-only"

# slow: said, and seen in the status while it lasts
: >"$work/log"
start_ps "$work/runs/slow"
start_job 1
await 30 reached "$work/runs/slow" 60
echo slow >"$fault"
await 30 is '"the disk is slow: a sync of the log takes" in (s["degraded"] or "")'
echo >"$fault"
await 30 is 's["degraded"] is None'
says "the disk is slow: a sync took 1\.[2-9] s" || fail "no word of the slow disk"
kill -9 $ps
wait $ps 2>/dev/null

# a rename of which nobody knows whether it lasts: what follows is not called durable until a log is begun anew, and a
# kill behind that costs no bits
start_ps "$work/runs/slow" --ps.address="$address" --train.save_strategy=steps --train.save_steps=20 --ps.on_disk_full=pause
echo folder >"$fault"
await 30 says "no checkpoint at step .*, the run goes on: .*Input/output error"
await 10 is '"steps are not durable" in (s["degraded"] or "")'
echo >"$fault"
await 30 says "steps are durable again"
kill -9 $ps
wait $ps 2>/dev/null
start_ps "$work/runs/slow" --ps.address="$address" --train.save_strategy=steps --train.save_steps=20
ends_with 0 "the server behind a rename that failed" wait $ps
ends_with 0 "its workers" wait $job
same_bits "$work/runs/slow" "a rename that failed"

# ---- lora verify: what is whole, what is not, and a log that is cut where it is damaged

server=
"$lora" verify "$work/runs/slow" >"$work/said" || fail "a run that is complete: $(cat "$work/said")"
grep -q "^ok  *adapter_model.safetensors: the SHA-256" "$work/said" && grep -q "^ok  *checkpoint-" "$work/said" || fail "not all is looked at: $(cat "$work/said")"
start_ps "$work/cut" --train.save_strategy=no
start_job 1
await 30 reached "$work/cut" 60
got=0
"$lora" verify "$work/cut" >"$work/said" 2>&1 || got=$?
[ $got = 2 ] && grep -q "a parameter server works on this folder" "$work/said" || fail "verified beside a server: $got $(cat "$work/said")"
kill -9 $ps
wait $ps 2>/dev/null
"$lora" verify "$work/cut" >"$work/said" || fail "a log that is whole: $(cat "$work/said")"
log=$work/cut/wal/log
printf 'xxxx' | dd of="$log" bs=1 seek=$(($(stat -c %s "$log") / 2)) conv=notrunc 2>/dev/null
got=0
"$lora" verify "$work/cut" >"$work/said" 2>"$work/said2" || got=$?
[ $got = 1 ] && grep -q "^DAMAGED *wal/log: steps 1 to [0-9]*, .*damaged at byte [0-9]*: [0-9]* whole records stand behind it; --cut" "$work/said" ||
    fail "a damaged log: $got $(cat "$work/said")"
got=0
"$root/bin/lora_ps" "$case_dir/run.yaml" --train.output_dir="$work/cut" "${bits[@]}" --train.max_steps=$steps --train.save_strategy=no >"$work/said2" 2>&1 || got=$?
[ $got = 1 ] && grep -q "damaged at byte [0-9]*; [0-9]* records before it are whole, and [0-9]* behind it" "$work/said2" && grep -q "lora verify --cut" "$work/said2" ||
    fail "a server on a damaged log: $got $(cat "$work/said2")"
"$lora" verify "$work/cut" --cut >"$work/said" || fail "it cannot be cut: $(cat "$work/said")"
[ -s "$log.damaged" ] || fail "no copy of the damaged log"
start_ps "$work/cut" --ps.address="$address" --train.save_strategy=no
ends_with 0 "the server behind a log that was cut" wait $ps
wait $job
same_bits "$work/cut" "a log that was cut"
printf 'x' | dd of="$work/cut/adapter_model.safetensors" bs=1 seek=$(($(stat -c %s "$work/cut/adapter_model.safetensors") - 3)) conv=notrunc 2>/dev/null
got=0
"$lora" verify "$work/cut" >"$work/said" 2>/dev/null || got=$?
[ $got = 1 ] && grep -q "^DAMAGED *adapter_model.safetensors: another SHA-256" "$work/said" || fail "a damaged adapter: $got $(cat "$work/said")"
