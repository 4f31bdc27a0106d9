#!/bin/bash
# The bits of a run are those of its arithmetic, whoever computes, with any number of ranks and threads; others
# follow or are refused; a core of OpenBLAS that is wrong is not used. ARITHMETICS: names, or `all` that this
# machine can do (make test-arithmetic); without, its best and the one below.
. "$(dirname "$0")/lib.sh"
unset LORA_ARITHMETIC OPENBLAS_CORETYPE

# the line of that name of `lora --version` with the arithmetic $2
says() {
    LORA_ARITHMETIC=$2 "$root/bin/lora" --version 2>/dev/null | sed -n "s/^$1: //p"
}

can=
for level in x86-64-v4 x86-64-v3 x86-64-v2 portable; do
    case "$(says arithmetic $level)" in "$level,"*) can="$can $level" ;; esac
done
set -- $can
best=$1 lower=${2:-}
[ -n "$best" ] || fail "lora --version names no arithmetic"
if [ "${ARITHMETICS:-}" = all ]; then
    for core in x86-64-v4/Cooperlake x86-64-v4/Haswell x86-64-v3/Zen x86-64-v2/Prescott; do
        case "$(says arithmetic $core)" in "$core,"*) can="$can $core" ;; esac
    done
    list=$can
else
    list=${ARITHMETICS:-$best $lower}
fi

# CASE NAME OPTION...: the adapter's hash, into $hash
train() {
    local out=$work/$2
    rm -rf "$out"
    "$root/bin/lora" train "$root/tests/golden/$1/run.yaml" --train.output_dir="$out" --parallel.micro_batches=8 \
        --lora.lora_dropout=0.1 --train.max_steps=12 "${@:3}" >"$work/log" 2>&1 || fail "$1 ${*:3} ended with $?"
    hash=$(sha "$out")
}

# CASE ARITHMETIC: as it was recorded (CASE,PRECISION: of another base), where the same compiler and libraries were used
recorded() {
    local print want
    print=$(says arithmetic "$2")
    print=${print##* }
    want=$(awk -v a="$2" -v p="$print" -v c="$1" '$1 == a && $2 == p && $3 == c { print $4 }' "$root/tests/golden/hashes.txt")
    if [ -z "$want" ]; then
        echo "  not recorded: $2 with fingerprint $print: $1 $hash"
    else
        [ "$hash" = "$want" ] || fail "$1 with $2: $hash, and another machine of the same fingerprint had $want"
    fi
}

for a in $list; do
    for name in gpt2-clm bert-seqcls vit-imgcls; do
        train $name one --ranks=1 --parallel.threads=1 --parallel.arithmetic=$a
        first=$hash
        grep -q "^  arithmetic: \"*$a\"*$" "$work/one/run.yaml" || fail "run.yaml does not say $a"
        recorded $name $a
        for how in "--ranks=1 --parallel.threads=3" "--ranks=2 --parallel.threads=2" "--ranks=3"; do
            train $name more $how --parallel.arithmetic=$a
            [ "$hash" = "$first" ] || fail "$name with $a: $how gives another adapter"
        done
    done
done

# a base of less than fp32 is multiplied in bf16 where the CPU can, in one way or two: arithmetics of their own, for such runs alone,
# which take the first by themselves
first_way=
for halves in x86-64-v4-amx x86-64-v4-bf16; do
    case "$(says arithmetic $halves)" in "$halves,"*) ;; *)
        code=0
        "$root/bin/lora" train "$root/tests/golden/gpt2-clm/run.yaml" --ranks=1 --train.output_dir="$work/halves" --train.precision=bf16 \
            --parallel.arithmetic=$halves >"$work/log" 2>&1 || code=$?
        [ $code = 4 ] || fail "$halves on a CPU without it ends with $code, not 4"
        grep -q "parallel.arithmetic is '$halves', and this CPU has not the instructions of that level" "$work/log" || fail "it is not said why"
        continue
        ;;
    esac
    first_way=${first_way:-$halves}
    for of in "gpt2-clm bf16" "bert-seqcls nf4" "vit-imgcls int8"; do
        set -- $of
        how=--parallel.arithmetic=$halves
        [ $halves != "$first_way" ] || how=--parallel.arithmetic=auto
        train $1 one --ranks=1 --parallel.threads=1 --train.precision=$2 $how
        first=$hash
        grep -q "^  arithmetic: \"*$halves\"*$" "$work/one/run.yaml" || fail "$1, $2: run.yaml does not say $halves"
        recorded $1,$2 $halves
        for more in "--ranks=2 --parallel.threads=2" "--ranks=4"; do
            train $1 more $more --train.precision=$2 $how
            [ "$hash" = "$first" ] || fail "$1, $2, $halves: $more gives another adapter"
        done
        train $1 floats --ranks=1 --train.precision=$2 --parallel.arithmetic=x86-64-v4
        [ "$hash" != "$first" ] || fail "$1, $2: x86-64-v4 multiplies in bf16"
    done
done

# libm's functions are no part of it: glibc takes others on CPUs without AVX2 and FMA, which the variable feigns
for a in $list; do
    plain=$(says arithmetic $a)
    feigned=$(GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX2_Usable,-FMA_Usable says arithmetic $a)
    [ "$plain" = "$feigned" ] || fail "the fingerprint of $a depends on libm: $plain, $feigned"
done

# the fingerprint of another run can be asked for, and is not given without a word
got=0
"$root/bin/lora" train "$root/tests/golden/gpt2-clm/run.yaml" --ranks=1 --train.output_dir="$work/asked" \
    --parallel.fingerprint=0123456789abcdef >"$work/log" 2>&1 || got=$?
[ $got = 4 ] || fail "another fingerprint than the run file asks for ends with $got, not 4"
grep -q "other arithmetic: .* but the run file asks for 0123456789abcdef" "$work/log" || fail "the fingerprints are not said"
[ ! -e "$work/asked/run.yaml" ] || fail "a run that nobody may compute is left behind"

# a variable that the user set wins, and is said; what it costs is said too
if [ "$(uname -m)" = x86_64 ]; then
    OPENBLAS_CORETYPE=Prescott "$root/bin/lora" --version >"$work/log" 2>&1
    grep -q "OPENBLAS_CORETYPE=Prescott" "$work/log" || fail "the user's core is not said"
    for core in Sandybridge Barcelona Nehalem Prescott; do
        [ "$best" != x86-64-v2 ] || break
        OPENBLAS_CORETYPE=$core "$root/bin/lora" --version >"$work/log" 2>&1
        [ "$(grep -Ec "core $core, and this CPU has what (SkylakeX|Haswell) needs: far slower" "$work/log")" = 1 ] ||
            fail "the slow core $core is not said once"
    done
    OPENBLAS_CORETYPE=Nonsense "$root/bin/lora" --version >"$work/log" 2>&1
    grep -q "OPENBLAS_CORETYPE=Nonsense is unknown to OpenBLAS .*: not heeded" "$work/log" || fail "an unknown core is not said"
fi

# no library that can be used: said once, before anything starts
mkdir -p "$work/none"
touch "$work/none/libopenblas.so.0" "$work/none/libopenblas.so"
unusable() { # SENTENCE VARIABLE=VALUE...
    local sentence=$1 code=0
    shift
    env "$@" "$root/bin/lora" --version >"$work/out" 2>"$work/log" || code=$?
    [ $code = 4 ] || fail "lora --version without products ends with $code, not 4"
    grep -q "^lora .*" "$work/out" && grep -q "^products: none$" "$work/out" || fail "--version says too little"
    [ "$(grep -c . "$work/log")" -le 2 ] || fail "lora --version says more than one error"
    grep -q "error: no matrix products: $sentence" "$work/log" || fail "lora --version does not say '$sentence'"
    code=0
    env "$@" "$root/bin/lora" train "$root/tests/golden/gpt2-clm/run.yaml" --ranks=2 --train.output_dir="$work/unusable" \
        >"$work/log" 2>&1 || code=$?
    [ $code = 4 ] || fail "lora train without products ends with $code, not 4"
    [ "$(grep -c "no matrix products: $sentence" "$work/log")" = 1 ] || fail "lora train does not say '$sentence' once"
    [ ! -e "$work/unusable" ] || fail "a run that nobody can compute is begun"
}
unusable "OpenBLAS cannot be loaded: .*libopenblas.so" LD_LIBRARY_PATH="$work/none"

# workers that find it out alone are not started again
start_ps "$work/alone"
code=0
LD_LIBRARY_PATH=$work/none mpirun -n 2 "$root/bin/lora_worker" --ps.address="$address" >"$work/log" 2>&1 || code=$?
kill $ps
wait $ps || :
[ $code = 4 ] || fail "workers without products end with $code, not 4"
[ "$(grep -c "no matrix products" "$work/log")" = 1 ] || fail "two ranks do not say once that they have no products"
[ -n "$lower" ] || exit 0

# the first replica's arithmetic is the run's; one that would compute otherwise follows
computing() { # N replicas that write to the log say that they compute with $lower
    [ "$(grep -c "arithmetic $lower: OpenBLAS" "$work/log")" = "$1" ]
}
steps=400
train bert-seqcls lower --ranks=2 --train.max_steps=$steps "${bits[@]}" --parallel.arithmetic=$lower
want=$hash
: >"$work/log"
start_ps "$work/follow"
LORA_ARITHMETIC=$lower start_job 1
first_job=$job
await 20 grep -q "$lower" "$work/follow/run.yaml"
await 20 reached "$work/follow" 1
pkill -STOP -P $first_job # so that the run does not end before the others have come
start_job 1               # is told by the run file
second_job=$job
await 30 computing 2
pkill -STOP -P $second_job
mpirun -n 1 "$root/bin/lora_worker" "$work/follow/run.yaml" --parallel.arithmetic=auto --parallel.fingerprint=null \
    --ps.address="$address" >"$work/third" 2>&1 & # is told by the server
third_job=$!
await 30 grep -q "arithmetic $lower: OpenBLAS" "$work/third"
pkill -CONT -P $first_job
pkill -CONT -P $second_job
wait $ps || fail "the server ended with $?"
wait $first_job $second_job $third_job
cat "$work/third" >>"$work/log" # in one piece: the others write there, too
computing 3 || fail "not all computed as the run does"
grep -q "computes as the run does: $lower, where this machine would $best" "$work/log" || fail "nobody followed"
[ "$(sha "$work/follow")" = "$want" ] || fail "a replica that follows gives another adapter"

# a run that was broken off goes on as it began, where this machine would compute otherwise
: >"$work/log"
start_ps "$work/begun"
LORA_ARITHMETIC=$lower start_job 1
await 60 reached "$work/begun" 50
kill -9 $ps
wait $ps 2>/dev/null
kill -9 $job
wait $job 2>/dev/null
! reached "$work/begun" $steps || fail "the run ended before it was broken off"
for how in ps train refused; do
    cp -r "$work/begun" "$work/on-$how"
done
start_ps "$work/on-ps"
start_job 1
wait $ps || fail "the server that goes on ended with $?"
wait $job || fail "its worker ended with $?"
same_bits "$work/on-ps" "going on where the machine would compute otherwise"
again() { # OUT OPTION...
    "$root/bin/lora" train "$case_dir/run.yaml" --train.output_dir="$1" "${bits[@]}" --train.max_steps=$steps --ranks=1 "${@:2}"
}
: >"$work/log"
ends_with 0 "lora train that goes on" again "$work/on-train" >>"$work/log" 2>&1
same_bits "$work/on-train" "lora train that goes on"
grep -q "arithmetic $lower: OpenBLAS" "$work/log" || fail "it does not compute as the run does"
ends_with 2 "another arithmetic than the run's" again "$work/on-refused" --parallel.arithmetic=$best >"$work/log" 2>&1
grep -q "another run is in this folder: parallel.arithmetic ($best here, $lower there)" "$work/log" || fail "the two are not named"
if [ "$(uname -m)" = x86_64 ]; then
    OPENBLAS_CORETYPE=Prescott ends_with 4 "a core that is not the run's" again "$work/on-refused" >"$work/log" 2>&1
    grep -q "the run's arithmetic is '$lower', and OPENBLAS_CORETYPE names another core here" "$work/log" &&
        grep -q "unset OPENBLAS_CORETYPE" "$work/log" || fail "the variable in the way is not said"
fi

# what only reads an adapter is not bound to the arithmetic of its run
if [ "$(uname -m)" = x86_64 ]; then
    not_here() { # COMMAND...
        ends_with 4 "lora $1 with a core that no CPU of these levels has" "$root/bin/lora" "$@" --parallel.arithmetic=$best/Opteron \
            <"$case_dir/train.tsv" >"$work/log" 2>&1
        grep -q "parallel.arithmetic is '$best/Opteron', and this CPU has not the instructions of that core" "$work/log" &&
            grep -q "try: --parallel.arithmetic=auto, or one of $best" "$work/log" || fail "lora $1 does not say what to do"
    }
    not_here eval "$work/on-ps"
    not_here predict --adapter="$work/on-ps"
fi

# ranks of one node
steps=24
start_ps "$work/wait"
mpirun -n 1 env LORA_ARITHMETIC=$lower "$root/bin/lora_worker" --ps.address="$address" : \
    -n 1 "$root/bin/lora_worker" --ps.address="$address" >>"$work/log" 2>&1 &
job=$!
wait $ps || fail "the server ended with $?"
wait $job || fail "ranks of two arithmetics ended with $?"

# an OpenBLAS that is wrong, or another
right=$(ldconfig -p | sed -n 's/.*libopenblas.so.0 .*=> //p' | head -n 1)
usual() { says products $1 | sed 's/.*core //'; }
mkdir -p "$work/blas"
cp "$build/tests/dist/wrong_blas.so" "$work/blas/libopenblas.so.0"
double="env RIGHT_BLAS=$right LD_LIBRARY_PATH=$work/blas"
WRONG_CORE=$(usual $best) $double "$root/bin/lora" --version >"$work/log" 2>&1
grep -q "core $(usual $best) of .* computes wrongly: .*: not used" "$work/log" || fail "a wrong core is not found out"
! grep -q "^products: .*core $(usual $best)$" "$work/log" || fail "a wrong core is used"
if [ "$(uname -m)" = x86_64 ]; then
    unusable "the core [^ ]* of OpenBLAS .* computes wrongly" WRONG_CORE=any RIGHT_BLAS="$right" LD_LIBRARY_PATH="$work/blas"
    # a level without a core is the next core's that is right, also where the run file names it
    train_by_another() { # LEVEL
        WRONG_CORE=$(usual $1) $double "$root/bin/lora" train "$root/tests/golden/gpt2-clm/run.yaml" --ranks=2 \
            --train.output_dir="$work/next" --train.max_steps=2 --parallel.arithmetic=$1 >"$work/log" 2>&1 ||
            fail "$1 without $(usual $1) ended with $?"
        grep -q "^  arithmetic: \"*$1/[A-Z]" "$work/next/run.yaml" || fail "run.yaml does not name the core"
    }
    train_by_another $lower
fi
# `lower` begins: where its core is wrong it cannot be followed; where it is another, its bits are refused
steps=1000000
for kind in WRONG OTHER; do
    start_ps "$work/$kind" --parallel.arithmetic=$lower
    start_job 1
    await 20 grep -q "fingerprint: .*[0-9a-f]\{16\}" "$work/$kind/run.yaml"
    env ${kind}_CORE="$(usual $lower)" $double "$root/bin/lora_worker" --ps.address="$address" >"$work/refused" 2>&1
    code=$?
    [ $code = 4 ] || { cat "$work/refused" >>"$work/log"; fail "a $kind core ends with $code, not 4"; }
    if [ $kind = WRONG ]; then
        grep -q "the run's arithmetic is '$lower', and its core is not to be used here" "$work/refused"
    else
        grep -q "other arithmetic: $lower with fingerprint [0-9a-f]* on .*, but $lower with fingerprint" "$work/refused"
    fi || { cat "$work/refused" >>"$work/log"; fail "a $kind core is refused without the reason"; }
    kill $ps
    wait $ps $job || : # interrupted
done
