#!/bin/bash
# A full disk: the last good checkpoint stays, the server says so and goes on or ends with 1, and
# the same bits come out when there is room again. As root the disk is a small tmpfs; else a limit
# on the size of files stands in for it.
. "$(dirname "$0")/lib.sh"
steps=600
reference "$work/one"
want=$(sha "$work/one")
disk=$work/disk
mkdir "$disk"

# every file of the newest checkpoint is whole: a server can go on from it
checkpoints() {
    ls -d "$1"/checkpoint-* 2>/dev/null
}
says() {
    grep -q -- "$1" "$work/log"
}

if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=1m tmpfs "$disk" 2>/dev/null; then
    at_leave() { umount "$disk"; }
    fill() {
        cat /dev/zero >"$disk/ballast" 2>/dev/null
    }
    often="--train.save_strategy=steps --train.save_steps=20 --train.save_total_limit=2"

    # full for a while: log, metrics and checkpoints fail, training goes on, and all is mended
    : >"$work/log"
    start_ps "$disk/while" $often
    start_job 1
    await 30 reached "$disk/while" 45
    fill
    await 30 says "no checkpoint at step .*, the run goes on: .*No space left"
    await 30 says "not durable until the next checkpoint: .*No space left"
    await 30 says "lines of metrics.jsonl are missing from here: No space left"
    [ -n "$(checkpoints "$disk/while")" ] || fail "the last good checkpoint is gone"
    ! ls -d "$disk"/while/*.tmp 2>/dev/null || fail "a part of a checkpoint stays"
    rm "$disk/ballast"
    ends_with 0 "the server" wait $ps
    ends_with 0 "its workers" wait $job
    same_bits "$disk/while" "a disk that was full for a while"
    python3 -c 'import json, sys; [json.loads(line) for line in open(sys.argv[1])]' "$disk/while/metrics.jsonl" ||
        fail "metrics.jsonl has half a line"
    rm -rf "$disk/while"

    # full until the end: exit 1 and no final adapter; the same command goes on from what is there
    : >"$work/log"
    start_ps "$disk/end" $often
    start_job 1
    await 30 reached "$disk/end" 45
    fill
    ends_with 1 "the server on a full disk" wait $ps
    wait $job
    says "error: cannot write: No space left on device" || fail "no word of the full disk"
    [ "$(grep -c "metrics.jsonl" "$work/log")" -lt 5 ] || fail "the same is said at every step"
    [ ! -e "$disk/end/adapter_model.safetensors" ] || fail "half a result was written"
    rm "$disk/ballast"
    start_ps "$disk/end" $often
    start_job 1
    ends_with 0 "the server, with room again" wait $ps
    ends_with 0 "its workers" wait $job
    same_bits "$disk/end" "a full disk"

    # no room at all
    rm -rf "$disk/end"
    fill
    got=0
    "$root/bin/lora_ps" "$case_dir/run.yaml" --train.output_dir="$disk/none" >"$work/log" 2>&1 || got=$?
    [ $got = 1 ] || fail "no room at all: the server ended with $got"
    says "No space left" || fail "no word of the full disk"
    [ ! -e "$disk/none/wal/log" ] || fail "an empty disk holds half a log"
fi

# no file may grow beyond 64 KB: the log breaks, the last files do not fit; then the limit goes
limited() {
    ulimit -f 64
    exec "$root/bin/lora_ps" "$@"
}
: >"$work/log"
server=limited
start_ps "$work/limit"
start_job 1
ends_with 1 "a server whose files may not grow" wait $ps
wait $job
says "not durable until the next checkpoint: .*File too large" || fail "no word of the log"
says "error: cannot write: File too large" || fail "no word of what does not fit"
[ ! -e "$work/limit/summary.json" ] || fail "half a result was written"
server=
start_ps "$work/limit"
start_job 1
ends_with 0 "the server without the limit" wait $ps
ends_with 0 "its workers" wait $job
same_bits "$work/limit" "a limit on the size of files"
