#!/bin/bash
# SIGINT ends in good order, a second one at once; the same command goes on to the same bits.
. "$(dirname "$0")/lib.sh"
unset OMPI_MCA_odls_base_sigkill_timeout # who hears a signal has time to end in good order
steps=1500
reference "$work/one"
want=$(sha "$work/one")

# OUT: `lora train` in the background; $train is its pid
start_train() {
    "$root/bin/lora" train "$case_dir/run.yaml" --ranks=2 --train.output_dir="$1" "${bits[@]}" \
        --train.max_steps=$steps >>"$work/log" 2>&1 &
    train=$!
}
ranks() {
    pgrep -f "lora_worker --ps.address=.*" -P "$(pgrep -P $train mpirun)"
}

start_train "$work/once"
await 30 reached "$work/once" 20
kill -INT $train
ends_with 130 "lora train after SIGINT" wait $train
ls -d "$work"/once/checkpoint-* >/dev/null 2>&1 || fail "no checkpoint after SIGINT"
[ ! -e "$work/once/adapter_model.safetensors" ] || fail "SIGINT wrote a final adapter"
start_train "$work/once"
ends_with 0 "the same command" wait $train
same_bits "$work/once" "SIGINT"

# workers that do not answer: the first signal would wait a second for them, the second does not. On a busy machine
# anything may take a second: once of five times it must not.
interrupt_twice() {
    local stopped start
    start_train "$work/twice"
    await 30 reached "$work/twice" $1
    stopped=$(ranks)
    [ -n "$stopped" ] || fail "no worker ranks found"
    kill -STOP $stopped
    : >"$work/log"
    start=$(date +%s%N)
    kill -INT $train
    await 20 grep -q "interrupted, checkpoint at step" "$work/log"
    kill -INT $train
    ends_with 130 "lora train after two SIGINTs" wait $train
    took=$((($(date +%s%N) - start) / 1000000))
    kill -CONT $stopped 2>/dev/null
}
for at in 20 40 60 80 100; do
    interrupt_twice $at
    [ $took -ge 900 ] || break
done
[ $took -lt 900 ] || fail "two SIGINTs took $took ms"
start_train "$work/twice"
ends_with 0 "the same command" wait $train
same_bits "$work/twice" "SIGINT twice"

# the server alone: its workers hear of it, and the next ones go on
start_ps "$work/server"
start_job 2
await 30 reached "$work/server" 20
kill -INT $ps
ends_with 130 "the server after SIGINT" wait $ps
ends_with 130 "its workers" wait $job
start_ps "$work/server"
start_job 3
ends_with 0 "the server" wait $ps
ends_with 0 "its workers" wait $job
same_bits "$work/server" "SIGINT to the server"

# whoever reads its log may go away, as mpirun does when a signal ends all of it: the run goes on
unheard() {
    exec "$root/bin/lora_ps" "$@" > >(head -n 1 >/dev/null) 2>&1
}
server=unheard
start_ps "$work/unheard"
server=
start_job 1
ends_with 0 "a server that nobody hears" wait $ps
ends_with 0 "its worker" wait $job
same_bits "$work/unheard" "a log that nobody reads"

# without an address the workers bring a server of their own
mpirun -n 2 "$root/bin/lora_worker" "$case_dir/run.yaml" --train.output_dir="$work/own" "${bits[@]}" \
    --train.max_steps=$steps >>"$work/log" 2>&1 || fail "workers with their own server ended with $?"
same_bits "$work/own" "a server of their own"
before=$(cat "$work"/own/* | sha256sum)
start=$(date +%s)
for command in "mpirun -n 2 $root/bin/lora_worker" "$root/bin/lora_ps" "$root/bin/lora train --ranks=1"; do
    ends_with 0 "$command on a complete run" $command "$case_dir/run.yaml" --train.output_dir="$work/own" \
        "${bits[@]}" --train.max_steps=$steps >>"$work/log" 2>&1
done
[ $(($(date +%s) - start)) -lt 20 ] || fail "somebody waited for the server of a complete run"
[ "$(cat "$work"/own/* | sha256sum)" = "$before" ] || fail "a complete run was changed"

# SIGINT to workers with a server of their own ends all of it; the same command goes on
steps=2500
reference "$work/long"
want=$(sha "$work/long")
own() {
    mpirun -n 2 "$root/bin/lora_worker" "$case_dir/run.yaml" --train.output_dir="$work/end" "${bits[@]}" \
        --train.max_steps=$steps >>"$work/log" 2>&1
}
own &
job=$!
await 30 reached "$work/end" 20
kill -INT "$(pgrep -P $job mpirun)"
wait $job && fail "workers with their own server ended with 0 after SIGINT"
has_checkpoint() {
    [ -n "$(find "$work/end" -maxdepth 1 -name "checkpoint-*[0-9]")" ]
}
await 30 has_checkpoint
ends_with 0 "the same command" own
same_bits "$work/end" "SIGINT to workers with their own server"
