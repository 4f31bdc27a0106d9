#!/bin/bash
# The wall clock is set a day ahead, and back, on the server and on its workers: nobody is taken for dead, and the bits stay.
. "$(dirname "$0")/../dist/lib.sh"
steps=1500
reference "$work/one"
want=$(sha "$work/one")
export LD_PRELOAD=$build/tests/dist/wrong_clock.so CLOCK_AHEAD=$work/ahead
start_ps "$work/run" --ps.lease_timeout=3
start_job 2
for at in 200 400 600; do
    await 60 reached "$work/run" $at
    if [ -e "$work/ahead" ]; then rm "$work/ahead"; else touch "$work/ahead"; fi
done
ends_with 0 "the server" wait $ps
ends_with 0 "its workers" wait $job
! grep -q "silent for\|gives no answer\|connection has ended" "$work/log" || fail "somebody was taken for dead"
same_bits "$work/run" "a clock that was set"
