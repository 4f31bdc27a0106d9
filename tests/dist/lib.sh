# Shared by the process tests: a place to work in, the golden case as a run, checks that count.
# Sourced; `work` is a folder of this test's own, in $place.

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_pml=ob1
export OMPI_MCA_btl=self,vader OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
# when a rank has failed, mpirun kills the others at once; of itself it takes two seconds, also where there is no other
export OMPI_MCA_odls_base_sigkill_timeout=0

root=$(cd "$(dirname "$0")/../.." && pwd)
build=$root/${BUILD:-build/gcc-release} # helper programs
# in memory where there is much of it: every step and checkpoint waits for a disk, and few tests are about that
if [ -z "${place:-}" ]; then
    place=${TMPDIR:-/tmp}
    free=$(df --output=avail /dev/shm 2>/dev/null | tail -n 1)
    [ "${free:-0}" -lt 3000000 ] || place=/dev/shm
fi
work=$(mktemp -d "$place/lora-test-XXXXXX")
export LORA_CACHE=$work/cache
at_leave() { :; } # what a test has to undo
# whatever still runs ends: also what is frozen, or does not listen
leave() {
    local i
    kill $(jobs -p) 2>/dev/null
    kill -CONT $(jobs -p) 2>/dev/null
    for ((i = 0; i < 200; i++)); do
        [ -n "$(jobs -rp)" ] || break
        sleep 0.05
    done
    kill -9 $(jobs -p) 2>/dev/null
    wait 2>/dev/null
    at_leave
    rm -rf "$work"
}
trap 'status=$?; leave; exit $status' EXIT
trap 'fail "ended by a signal at line $LINENO"' INT TERM

fail() {
    echo "  FAILED: $*"
    [ -f "$work/log" ] && tail -n 15 "$work/log" | sed 's/^/  | /'
    exit 1
}

skip() {
    echo "  skipped: $*"
    exit 77
}

# run the golden case bert-seqcls with dropout and 8 micro-batches: every bit that could move, moves
bits=(--parallel.micro_batches=8 --lora.lora_dropout=0.1 --train.eval_strategy=no
    "--model_config={hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.1}")
case_dir=$root/tests/golden/bert-seqcls

sha() {
    sha256sum "$1/adapter_model.safetensors" | cut -d ' ' -f 1
}

# SECONDS COMMAND...: until the command succeeds
await() {
    local until=$(($(date +%s) + $1))
    shift
    while [ "$(date +%s)" -le $until ]; do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.02
    done
    fail "waited in vain for: $*"
}

# $port: nobody has it, or the next. It is none of those that the system gives to clients, so a server that was killed
# finds it free again, whatever else runs here.
free_port() {
    local taken=yes
    while [ $taken = yes ]; do
        port=$((10000 + RANDOM % 11000 * 2)) taken=no
        { exec 3<>/dev/tcp/127.0.0.1/$port || exec 3<>/dev/tcp/127.0.0.1/$((port + 1)); } 2>/dev/null && taken=yes
    done
    exec 3>&-
}

# OUT [option...]: a server ($server, or lora_ps) in the background; $ps is its pid, $address where it listens
start_ps() {
    local out=$1 port
    shift
    rm -f "$work/port"
    free_port
    "${server:-$root/bin/lora_ps}" "$case_dir/run.yaml" --train.output_dir="$out" "${bits[@]}" --ps.address="tcp://127.0.0.1:$port" \
        --train.max_steps="${steps:-24}" --port-file="$work/port" "$@" >>"$work/log" 2>&1 &
    ps=$!
    await 20 test -s "$work/port"
    address=$(cat "$work/port")
}

# N: a job of N ranks in the background; $job is mpirun's pid
start_job() {
    mpirun -n "$1" "$root/bin/lora_worker" --ps.address="$address" >>"$work/log" 2>&1 &
    job=$!
}

# the step that a run has reached, from its metrics
reached() {
    [ -f "$1/metrics.jsonl" ] && [ "$(grep -c '"loss"' "$1/metrics.jsonl")" -ge "$2" ]
}

# DIR: one process with one rank, as the others must come out
reference() {
    start_ps "$1"
    start_job 1
    wait $ps || fail "the reference run ended with $?"
    wait $job || fail "its worker ended with $?"
}

# RANKS...: a job of so many ranks, in $work/rRANKS, makes the adapter that $want is of
by_ranks() {
    local ranks
    for ranks in "$@"; do
        start_ps "$work/r$ranks"
        start_job "$ranks"
        ends_with 0 "the server of $ranks ranks" wait $ps
        ends_with 0 "$ranks ranks" wait $job
        same_bits "$work/r$ranks" "a job of $ranks ranks"
    done
}

# DIR EVERY STEP: a run with checkpoints every EVERY steps by a job of one rank and one of two, of which one is killed at step 5,
# and the server at STEP; its adapter is the one that $want is of
through_kills() {
    local out=$1 saves=(--train.save_strategy=steps --train.save_steps="$2") a b
    start_ps "$out" "${saves[@]}"
    start_job 1; a=$job
    start_job 2; b=$job
    await 30 reached "$out" 5
    await 30 pgrep -P $b
    kill -9 "$(pgrep -P $b | head -n 1)" 2>/dev/null || fail "no worker to kill"
    await 30 reached "$out" "$3"
    kill -9 $ps
    wait $ps 2>/dev/null
    start_ps "$out" --ps.address="$address" "${saves[@]}"
    ends_with 0 "the server after kills" wait $ps
    ends_with 0 "the worker that was left" wait $a
    wait $b
    same_bits "$out" "a kill"
}

# CODE WHAT COMMAND...: the command must end with the code
ends_with() {
    local code=$1 what=$2 got=0
    shift 2
    "$@" || got=$?
    [ $got = "$code" ] || fail "$what ended with $got instead of $code"
}

# OUT: its adapter must be the reference's ($want)
same_bits() {
    [ "$(sha "$1")" = "$want" ] || fail "$2 changes the adapter"
}
