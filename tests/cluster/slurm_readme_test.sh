#!/bin/bash
# README's sbatch on README's own run file with labels of text, on 4 nodes; then its `eval` and `predict` there.
place=$(cd "$(dirname "$0")/../.." && pwd)/build
mkdir -p "$place"
. "$(dirname "$0")/../dist/lib.sh"
. "$(dirname "$0")/../dist/readme.sh"
command -v sbatch >/dev/null || skip "there is no sbatch in PATH"
nodes=$(sinfo -h -N -t idle,mixed -o %N 2>/dev/null | sort -u | wc -l)
[ "$nodes" -ge 4 ] || skip "Slurm has $nodes nodes that are free, 4 are needed"
at_leave() { [ -z "${id:-}" ] || { scancel -f "$id"; sleep 2; } 2>/dev/null; }
is_over() {
    case $(squeue -h -j "$id" -o %T 2>/dev/null) in '' | COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL) ;; *) return 1 ;; esac
}

readme_place "$work/here"
readme_take 'launch/slurm/lora.sbatch'
id=$(env $(printf -- '-u %s ' ${!OMPI_@} OMP_NUM_THREADS) bash -c "$command" 2>"$work/log" |
    sed -n 's/^Submitted batch job //p')
[ -n "$id" ] || fail "README's '$command' gives no number of a job"
await 400 is_over
cp "slurm-$id.out" "$work/log"
state=$(scontrol show job "$id" | tr ' ' '\n' | sed -n 's/^JobState=//p; s/^ExitCode=//p' | tr '\n' ' ')
[ "$state" = "COMPLETED 0:0 " ] || fail "the job is $state"
[ "$(grep -c 'client joined' "$work/log")" -ge 4 ] || fail "not four nodes have joined"
readme_is_good "sbatch"
readme_run 'eval run.yaml'
readme_run '^echo'
