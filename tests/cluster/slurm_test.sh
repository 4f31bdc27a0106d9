#!/bin/bash
# Through launch/slurm/lora.sbatch on 4 nodes: the bits of one machine, whatever is killed, also when
# the whole job is requeued. Needs a Slurm with 4 nodes that see this folder, and some minutes where
# the cluster holds requeued jobs back (Slurm's default: two).
place=$(cd "$(dirname "$0")/../.." && pwd)/build
mkdir -p "$place"
. "$(dirname "$0")/../dist/lib.sh"
command -v sbatch >/dev/null || skip "there is no sbatch in PATH"
nodes=$(sinfo -h -N -t idle,mixed -o %N 2>/dev/null | sort -u | wc -l)
[ "$nodes" -ge 4 ] || skip "Slurm has $nodes nodes that are free, 4 are needed"
cd "$root" || exit 1
steps=5000 # a run must last longer than a command of Slurm takes
reference "$work/one"
want=$(sha "$work/one")
# the script brings its own settings of Open MPI: those of this shell must not help it
unset ${!OMPI_@} OMP_NUM_THREADS
at_leave() { [ -z "$id" ] || { scancel -f "$id"; sleep 2; } 2>/dev/null; }

# OUT: a job of 4 nodes with 2 ranks each; $id is its number
submit() {
    id=$(sbatch --parsable -N 4 --ntasks-per-node=2 -o "$work/log" launch/slurm/lora.sbatch "$case_dir/run.yaml" \
        --train.output_dir="$1" "${bits[@]}" --train.max_steps=$steps) || fail "sbatch ended with $?"
}
state() {
    scontrol show job "$id" | tr ' ' '\n' | sed -n "s/^$1=//p"
}
is_over() {
    case $(state JobState) in COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL) ;; *) return 1 ;; esac
}
# OUT WHAT: the job completes with the reference's bits
completes() {
    await 400 is_over
    [ "$(state JobState) $(state ExitCode)" = "COMPLETED 0:0" ] || fail "$2: $(state JobState) $(state ExitCode)"
    same_bits "$1" "$2"
    id=
}
# NAME NODE: number of the job's step of that name
step_of() {
    squeue -s -h -j "$id" -o "%i %j %N" | awk -v name="$1" -v node="$2" \
        '$2 == name && (node == "" || $3 == node) { print $1; exit }'
}
# REPLICAS: as many nodes must have worked
worked() {
    grep -q "\"replicas\": $2" "$1/summary.json" || fail "not $2 nodes worked: $(grep replicas "$1/summary.json")"
}

submit "$work/calm"
completes "$work/calm" "four nodes"
worked "$work/calm" 4

# submitted again when it is complete: nobody waits for a server that has nothing to do
submit "$work/calm"
await 40 is_over
[ "$(state JobState) $(state ExitCode)" = "COMPLETED 0:0" ] || fail "a complete run: $(state JobState) $(state ExitCode)"
grep -q "is complete" "$work/log" || fail "a complete run was run again"

# the workers of one node are killed, twice
submit "$work/node"
for at in 50 300; do
    await 60 reached "$work/node" $at
    victim=$(step_of workers "$(scontrol show hostnames "$(state NodeList)" | sed -n 3p)")
    [ -n "$victim" ] || fail "no step of workers on the third node"
    scancel --signal=KILL "$victim" 2>/dev/null || fail "cannot kill the step $victim"
done
completes "$work/node" "a killed node"
grep -q "starting them again" "$work/log" || fail "nothing was started again"

# the job is requeued while it runs
submit "$work/requeue"
await 60 reached "$work/requeue" 100
scontrol requeue "$id" || fail "cannot requeue"
completes "$work/requeue" "a requeued job"
grep -q "run goes on at step=" "$work/log" || fail "the requeued job did not go on"

# the server dies: the script requeues the job
submit "$work/server"
await 60 reached "$work/server" 100
scancel --signal=KILL "$(step_of server "")" 2>/dev/null || fail "cannot kill the server"
completes "$work/server" "a killed server"
grep -q "run goes on at step=" "$work/log" || fail "the job of the killed server did not go on"

# the signal that Slurm gives before a time limit, to the script alone: a checkpoint, and requeued
submit "$work/signal"
await 60 reached "$work/signal" 100
scancel --batch --signal=TERM "$id"
completes "$work/signal" "a signalled job"
grep -q "interrupted, checkpoint at step=" "$work/log" || fail "the signal did not reach the server"

# cancelled: a checkpoint, and not requeued
submit "$work/cancel"
await 60 reached "$work/cancel" 100
scancel "$id"
await 60 is_over
sleep 3
[ "$(state JobState)" = CANCELLED ] || fail "a cancelled job is $(state JobState)"
ls -d "$work"/cancel/checkpoint-* >/dev/null 2>&1 || fail "no checkpoint of a cancelled job"

# bad input: the job ends with the run's code, and is not requeued
id=$(sbatch --parsable -N 4 --ntasks-per-node=1 -o "$work/log" launch/slurm/lora.sbatch "$case_dir/run.yaml" \
    --train.output_dir="$work/bad" --data.text=phrase)
await 60 is_over
[ "$(state JobState) $(state ExitCode)" = "FAILED 2:0" ] || fail "bad input: $(state JobState) $(state ExitCode)"
id=
