#!/bin/bash
# The adapter's bits do not depend on how many ranks there are, or in how many jobs they come.
. "$(dirname "$0")/lib.sh"
reference "$work/one"
want=$(sha "$work/one")
for ranks in 2 3 4 7; do
    start_ps "$work/r$ranks"
    start_job $ranks
    wait $ps || fail "$ranks ranks: the server ended with $?"
    wait $job || fail "$ranks ranks: mpirun ended with $?"
    [ "$(sha "$work/r$ranks")" = "$want" ] || fail "$ranks ranks give another adapter"
done
start_ps "$work/jobs"
start_job 1; a=$job
start_job 2; b=$job
start_job 1; c=$job
wait $ps || fail "three jobs: the server ended with $?"
wait $a $b $c
[ "$(sha "$work/jobs")" = "$want" ] || fail "three jobs give another adapter"
