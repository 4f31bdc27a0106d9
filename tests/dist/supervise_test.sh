#!/bin/bash
# `lora train` and its children: who is killed is started again, to the same bits; who dies again and again
# before a step is made ends the run, with the reason. Workers say whom they wait for, and for how long.
place=${TMPDIR:-/tmp} # /dev/shm is made small below
. "$(dirname "$0")/lib.sh"
steps=1500
reference "$work/one"
want=$(sha "$work/one")

start_train() { # OUT [option...]: in the background; $train is its pid
    local out=$1
    shift
    : >"$work/log"
    "$root/bin/lora" train "$case_dir/run.yaml" --ranks=2 --train.output_dir="$out" "${bits[@]}" \
        --train.max_steps=$steps "$@" >>"$work/log" 2>&1 &
    train=$!
}
child() { # NAME: pid of this child of $train
    pgrep -P $train -x "$1"
}
said() { # PATTERN...: the log has each
    local pattern
    for pattern; do
        grep -q -- "$pattern" "$work/log" || fail "no word of '$pattern'"
    done
}

# the server and the workers, each killed more often than a start may be in vain: the run gets further each time
start_train "$work/killed"
for at in 40 80 120 160; do
    await 30 reached "$work/killed" $at
    kill -9 "$(child lora_ps)"
    await 30 reached "$work/killed" $((at + 20))
    kill -9 $(pgrep -P "$(child mpirun)")
done
ends_with 0 "a run whose children are killed" wait $train
same_bits "$work/killed" "killing the children of lora train"
said "lora_ps ended with code 137, starting it again" "starting the workers again"

# a summary has the workers' memory, however short the run
steps=1
start_train "$work/short"
ends_with 0 "a run of one step" wait $train
[ "$(sed -n 's/.*"peak_rss_worker": \([0-9]*\),*/\1/p' "$work/short/summary.json")" -gt 1000000 ] ||
    fail "one step: $(grep peak_rss_worker "$work/short/summary.json")"

# a server, and workers, that die before a step is made: three times, and then a sentence
mkdir "$work/bin"
ln "$root/bin/lora" "$work/bin/lora" 2>/dev/null || cp "$root/bin/lora" "$work/bin/lora"
cp "$root/bin/lora_worker" "$work/bin/lora_worker"
broken() { # NAME: this program falls where it would begin to work
    printf '#!/bin/sh\necho begun >>%q\n%s\n' "$work/begun" "$2" >"$work/bin/$1"
    chmod +x "$work/bin/$1"
    : >"$work/begun"
}
falls() { # CODE PATTERN...
    local code=$1 got=0
    shift
    timeout 60 "$work/bin/lora" train "$case_dir/run.yaml" --ranks=2 --train.output_dir="$work/falls" "${bits[@]}" \
        >"$work/log" 2>&1 || got=$?
    [ $got = $code ] || fail "ended with $got instead of $code"
    said "$@"
    [ ! -e "$work/falls" ] || fail "it leaves $(ls "$work/falls")"
}
broken lora_ps 'kill -SEGV $$'
falls 1 "lora_ps died with code 139 before it listened"
cp "$root/bin/lora_ps" "$work/bin/lora_ps"
broken lora_worker 'kill -KILL $$'
falls 1 "starting the workers again" "Open MPI says:" "ended 3 times before a step was made" "code 137"
[ "$(grep -c begun "$work/begun")" -le 6 ] || fail "two workers were started $(grep -c begun "$work/begun") times"
broken lora_worker 'echo "error: the disk is full" >&2; exit 1'
falls 1 "error: the disk is full" "ended 3 times before a step was made"
! grep -q "Open MPI says" "$work/log" || fail "Open MPI says what a worker has said"
broken lora_worker 'exit 4'
falls 4
[ "$(grep -c begun "$work/begun")" -le 2 ] || fail "workers that are refused are started again"

# a machine without room for Open MPI's shared memory; it has time to say so
tiny() {
    env -u OMPI_MCA_odls_base_sigkill_timeout unshare -m sh -c "mount -t tmpfs -o size=1M tmpfs /dev/shm && exec $root/bin/lora train $case_dir/run.yaml --ranks=2 \
        --train.output_dir=$work/tiny" >"$work/log" 2>&1
}
if unshare -m true 2>/dev/null; then
    ends_with 1 "a run with 1 MB of /dev/shm" tiny
    said "enough space for /dev/shm" "try: make room in /dev/shm" "ended 3 times before a step was made"
    [ ! -e "$work/tiny" ] || fail "it leaves $(ls "$work/tiny")"
fi

# more ranks than cores
cores=$(getconf _NPROCESSORS_ONLN)
many=$((cores + 1))
"$root/bin/lora" train "$case_dir/run.yaml" --ranks=$many --train.output_dir="$work/many" --train.max_steps=2 >"$work/log" 2>&1 ||
    fail "$many ranks ended with $?"
said "$many ranks take turns on $cores cores: --ranks=$cores"

# workers without a server: before they have a run, and when it goes away
nobody() {
    mpirun -n 2 "$root/bin/lora_worker" --ps.address=tcp://127.0.0.1:9 --ps.patience=3 --ps.heartbeat=0.5 >"$work/log" 2>&1
}
ends_with 3 "workers without a server" nobody
said "waiting for tcp://127.0.0.1:9 ([12] s of 3)" "the parameter server at tcp://127.0.0.1:9 is silent for [3-9] s (ps.patience)"
: >"$work/log"
steps=100000
start_ps "$work/gone" --ps.heartbeat=0.2 --ps.patience=1
start_job 2
await 30 reached "$work/gone" 10
kill -9 $ps
ends_with 3 "workers whose server went away" wait $job
said "waiting for $address (" "the parameter server at $address is silent for [1-9] s (ps.patience)"
