#!/bin/bash
# `lora doctor`: on this machine all is well; then each thing that it looks at is made ill, one by one, and the
# line of that check must say so, the others as little as can be.
place=${TMPDIR:-/tmp} # /dev/shm is made small below
. "$(dirname "$0")/lib.sh"
unset OMPI_MCA_hwloc_base_binding_policy OPENBLAS_CORETYPE OPENBLAS_L2_SIZE LORA_ARITHMETIC
doctor="$root/bin/lora doctor"
run=$case_dir/run.yaml

# CODE CHECK HEALTH PATTERN COMMAND...
finds() {
    local code=$1 check=$2 health=$3 pattern=$4 got=0
    shift 4
    timeout 60 "$@" >"$work/log" 2>&1 || got=$?
    [ $got = "$code" ] || fail "exit code $got instead of $code: $*"
    [ "$(grep -c "^[a-zA-Z]* * $check " "$work/log")" = 1 ] || fail "not one line of $check: $*"
    grep -q "^$health *$check .*$pattern" "$work/log" || fail "$check is not '$health' with '$pattern': $*"
}

# without a loopback interface Open MPI is given 30 s: what comes of it is looked at below
alone=
if unshare --mount --net true 2>/dev/null; then
    unshare --net $doctor >"$work/no-loopback" 2>&1 &
    alone=$!
fi

# ---- well

finds 0 mpi ok "Open MPI [0-9]" $doctor
[ "$(grep -cE "^(ok|warn|FAIL) " "$work/log")" = 12 ] || fail "not a line a check"
! grep -q "^FAIL" "$work/log" || fail "something fails here"
finds 0 output_dir ok "$work/out: .*the run needs" $doctor "$run" --train.output_dir="$work/out"
[ ! -e "$work/out" ] || fail "output_dir was made"
finds 0 memory ok "the run may take" $doctor "$run" --train.output_dir="$work/out"
$doctor --json | python3 -c '
import json, sys
d = json.load(sys.stdin)
assert d["well"] is True and len(d["checks"]) == 12, d
assert all(set(c) == {"check", "health", "found", "try"} and c["found"] and c["health"] in ("ok", "warn") for c in d["checks"]), d
' || fail "--json"
ends_with 2 "a run file that is not there" $doctor "$work/no.yaml" 2>"$work/log"
ends_with 2 "a key without a run file" $doctor --lora.r=4 2>"$work/log"
ends_with 2 "no model" $doctor "$run" --model="$work" --train.output_dir="$work/out" 2>"$work/log"

# ---- programs and Open MPI

mkdir -p "$work/half" "$work/bin" "$work/mpich"
cp "$root/bin/lora" "$root/bin/lora_worker" "$work/half"
finds 1 programs FAIL "lora_ps.*No such file.*into one folder" "$work/half/lora" doctor
printf '#!/bin/sh\necho lora_ps 0.0\n' >"$work/half/lora_ps"
chmod +x "$work/half/lora_ps"
finds 1 programs FAIL "lora_ps: lora_ps 0.0; try: install" "$work/half/lora" doctor
finds 1 mpi FAIL "cannot start 'mpirun'.*openmpi-bin" env PATH=/nonexistent $doctor
grep -q "^FAIL  ranks " "$work/log" || fail "ranks meet without mpirun"
printf '#!/bin/sh\necho "HYDRA build details:"\n' >"$work/mpich/mpirun"
chmod +x "$work/mpich/mpirun"
finds 1 mpi FAIL "not Open MPI's: HYDRA build details:.*first in PATH" env PATH="$work/mpich:$PATH" $doctor
printf '#!/bin/sh\n[ "$1" = --version ] && echo "mpirun (Open MPI) 4.1.4" && exit\necho "no room" >&2\nexit 1\n' >"$work/mpich/mpirun"
finds 1 ranks FAIL "2 ranks does not come up (code 1): no room; try: .*--meet" env PATH="$work/mpich:$PATH" $doctor --ranks=2

# ---- cores, arithmetic, memory

if [ "$(nproc)" -gt 1 ]; then
    finds 0 cores warn "1 may be used here.*--ranks=1" taskset -c 0 $doctor
    finds 0 cores warn "$(nproc) for 99 ranks.*--ranks=$(nproc)" $doctor --ranks=99
fi
if grep -qw avx2 /proc/cpuinfo; then
    finds 0 arithmetic warn "core Prescott; .*far below: unset OPENBLAS_CORETYPE" env OPENBLAS_CORETYPE=Prescott $doctor
    finds 0 arithmetic "[okwarn]*" "x86-64-v2, fingerprint [0-9a-f]*: .*GFLOP/s" env LORA_ARITHMETIC=x86-64-v2 $doctor
fi
finds 1 arithmetic FAIL "x86-64-v9.*no such level" env LORA_ARITHMETIC=x86-64-v9 $doctor
finds 1 memory FAIL "addresses of a process end at 614 (ulimit -v).*unlimited" bash -c "ulimit -v 600000; exec $doctor"
finds 1 memory FAIL "the run may take.*take parallel.micro_batch_tokens: auto" $doctor "$run" --train.output_dir="$work/out" \
    --train.batch_size=1048576 --parallel.micro_batch_tokens=2000000000

# ---- ports, folders, Slurm

start_ps "$work/taken"
finds 1 ports FAIL "in use.*$address; try: another program has port" $doctor "$run" --train.output_dir="$work/out" --ps.address="$address"
kill $ps
wait $ps
finds 1 tmp FAIL "cannot write in '/proc'.*set TMPDIR" env TMPDIR=/proc/no $doctor
finds 1 cache FAIL "cannot write in '/proc'.*set LORA_CACHE" env LORA_CACHE=/proc/no $doctor
finds 1 output_dir FAIL "cannot write in '/proc'.*another train.output_dir" $doctor "$run" --train.output_dir=/proc/no/run
printf '#!/bin/sh\necho slurm 22.05.8\n' >"$work/bin/sbatch"
printf '#!/bin/sh\nexit ${DOWN:-0}\n' >"$work/bin/scontrol"
chmod +x "$work/bin/"*
finds 0 slurm ok "slurm 22.05.8$" env PATH="$work/bin:$PATH" $doctor
finds 0 slurm warn "controller does not answer" env DOWN=1 PATH="$work/bin:$PATH" $doctor

# ---- with mounts and a network of its own

[ -n "$alone" ] || skip "tiny /dev/shm, full disks, no loopback: need root"
mounted=$work/bin/mounted # WHERE SIZE COMMAND...
printf '#!/bin/sh\nexec unshare --mount sh -c '"'"'mount -t tmpfs -o size="$1" tiny "$0" && shift && exec "$@"'"'"' "$@"\n' >"$mounted"
chmod +x "$mounted"
mkdir -p "$work/tiny"
finds 1 shm FAIL "room for 1.0 MB; 2 ranks ask for 8.4.*remount,size=17M" "$mounted" /dev/shm 1m $doctor --ranks=2
grep -q "^FAIL  ranks .*does not come up" "$work/log" || fail "ranks meet in 1 MB of /dev/shm"
finds 0 shm warn "room for 6.3 MB; 2 ranks ask for 8.4" "$mounted" /dev/shm 6m $doctor --ranks=2
finds 1 tmp FAIL "0 MB are free, the run needs 1.0.*set TMPDIR" "$mounted" "$work/tiny" 64k env TMPDIR="$work/tiny" $doctor
finds 1 output_dir FAIL "the run needs.*make room" "$mounted" "$work/tiny" 16k $doctor "$run" --train.output_dir="$work/tiny/out"
finds 1 output_dir FAIL "Read-only file system" unshare --mount sh -c 'mount -t tmpfs -o ro tiny "$0" && exec "$@"' \
    "$work/tiny" $doctor "$run" --train.output_dir="$work/tiny/out"
wait $alone
finds 1 ports FAIL "try: " sh -c 'cat "$0"; exit $1' "$work/no-loopback" $?
