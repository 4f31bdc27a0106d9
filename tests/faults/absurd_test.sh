#!/bin/bash
# A machine that breaks while it works: its sums are no numbers. It is named on both sides, and train.on_nan says what
# follows; with `quarantine` the others finish, with the bits of a run without it.
. "$(dirname "$0")/../dist/lib.sh"
steps=1500
reference "$work/one"
want=$(sha "$work/one")
mkdir "$work/blas"
cp "$build/tests/dist/wrong_blas.so" "$work/blas/libopenblas.so.0"
right=$(ldconfig -p | sed -n 's/.*libopenblas\.so\.0 .*=> //p' | head -n 1)
[ -n "$right" ] || skip "no libopenblas.so.0 in the cache of the linker"
says() { # FILE PATTERN
    grep -q -- "$2" "$1" || { cat "$1"; fail "no word of '$2'"; }
}
where='the gradient of "[^"]*" is not finite in micro-batch[es 0-9to]* of step [0-9]*, from [^ ]* (client [0-9a-f]\{16\})'
breaking() { # a job of one rank whose machine breaks when there is $work/broken
    BROKEN_WHEN=$work/broken RIGHT_BLAS=$right LD_LIBRARY_PATH=$work/blas mpirun -n 1 "$root/bin/lora_worker" \
        --ps.address="$address" >"$work/said" 2>&1 &
    breaks=$!
}

for policy in quarantine stop; do
    : >"$work/log"
    rm -f "$work/broken"
    start_ps "$work/$policy" --train.on_nan=$policy
    breaking
    start_job 1
    await 30 reached "$work/$policy" 50
    await 30 eval '[ "$(grep -c "joined client" "$work/log")" = 2 ]'
    touch "$work/broken"
    if [ $policy = quarantine ]; then
        ends_with 4 "a worker whose machine broke" wait $breaks
        ends_with 0 "the server" wait $ps
        ends_with 0 "the other worker" wait $job
        says "$work/log" "error client $where: it gets no more work"
        says "$work/said" "refused by\|$where"
        same_bits "$work/$policy" "a machine that broke"
    else
        ends_with 5 "the server" wait $ps
        ends_with 5 "the worker whose machine broke" wait $breaks
        ends_with 5 "the other worker" wait $job
        says "$work/log" "error: $where; the step was not applied"
        says "$work/said" "$where"
    fi
    says "$work/said" "absurd step=[0-9]* micro_batch=[0-9] gradient=\"[^\"]*\" loss=.* examples=[0-9]"
done
