#!/bin/bash
# Through launch/slurm/lora.sbatch on 4 nodes of a Slurm that see this folder: two copies of a model in 2 stages, each over
# two nodes by an mpirun of its own. The bits of one rank, when the ranks of a node die, when the whole job is requeued,
# and (where POWER_OFF and POWER_ON are commands that take a node's name) when a node loses power.
place=$(cd "$(dirname "$0")/../.." && pwd)/build
mkdir -p "$place"
. "$(dirname "$0")/../dist/lib.sh"
command -v sbatch >/dev/null || skip "there is no sbatch in PATH"
nodes=$(sinfo -h -N -t idle,mixed -o %N 2>/dev/null | sort -u | wc -l)
[ "$nodes" -ge 4 ] || skip "Slurm has $nodes nodes that are free, 4 are needed"
cd "$root" || exit 1
steps=${STEPS:-150} # a run must last longer than a command of Slurm takes
reference "$work/one"
want=$(sha "$work/one")
unset ${!OMPI_@} OMP_NUM_THREADS # the script brings its own
at_leave() { [ -z "$id" ] || { scancel -f "$id"; sleep 2; } 2>/dev/null; }

# OUT: $id is the job's number
submit() {
    id=$(sbatch --parsable -N 4 --ntasks-per-node=1 -o "$work/log" launch/slurm/lora.sbatch "$case_dir/run.yaml" \
        --train.output_dir="$1" "${bits[@]}" --train.max_steps=$steps --parallel.pipeline=2) || fail "sbatch ended with $?"
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
node() { # the N-th
    scontrol show hostnames "$(state NodeList)" | sed -n "$1p"
}

submit "$work/calm"
completes "$work/calm" "two copies over four nodes"
grep -q '"replicas": 2' "$work/calm/summary.json" || fail "not two copies have worked"
grep -q "stage *2 of 2" "$work/log" || fail "the model was not held in two stages"

# the ranks of the second node are gone, and the mpirun of the first copy with them; the other goes on
submit "$work/step"
await 60 reached "$work/step" 20
victim=$(squeue -s -h -j "$id" -o "%i %j %N" | awk -v node="$(node 2)" '$2 == "daemon" && $3 == node { print $1; exit }')
[ -n "$victim" ] || fail "no step of a daemon on the second node"
scancel --signal=KILL "$victim" 2>/dev/null || fail "cannot kill the step $victim"
completes "$work/step" "a node's killed ranks"
grep -q "starting them again" "$work/log" || fail "nothing was started again"

# requeued while it runs
submit "$work/requeue"
await 60 reached "$work/requeue" 20
scontrol requeue "$id" || fail "cannot requeue"
completes "$work/requeue" "a requeued job"
grep -q "run goes on at step=" "$work/log" || fail "the requeued job did not go on"

# 3 stages over 4 nodes of one task
id=$(sbatch --parsable -N 4 --ntasks-per-node=1 -o "$work/log" launch/slurm/lora.sbatch "$case_dir/run.yaml" \
    --train.output_dir="$work/odd" --parallel.pipeline=3)
await 60 is_over
[ "$(state JobState) $(state ExitCode)" = "FAILED 2:0" ] || fail "3 stages over 4 nodes: $(state JobState) $(state ExitCode)"
grep -q "do not make whole copies of a model in 3 stages" "$work/log" || fail "it does not say why"
id=

[ -n "${POWER_OFF:-}" ] && [ -n "${POWER_ON:-}" ] || exit 0
submit "$work/power"
await 60 reached "$work/power" 20
dark=$(node 2)
$POWER_OFF "$dark" || fail "$POWER_OFF $dark ended with $?"
before=$(wc -l <"$work/power/metrics.jsonl")
await 60 grep -q "starting them again" "$work/log"
goes_on() { [ "$(wc -l <"$work/power/metrics.jsonl")" -gt $((before + 5)) ]; }
await 30 goes_on # the other copy alone
$POWER_ON "$dark" || fail "$POWER_ON $dark ended with $?"
completes "$work/power" "a node without power"
