#!/bin/bash
# Where a server may listen: every program reads an address the same way, IPv6 too.
. "$(dirname "$0")/lib.sh"
run=$case_dir/run.yaml

# CODE PATTERN COMMAND...
expect() {
    local code=$1 pattern=$2 got=0
    shift 2
    timeout 30 "$@" >"$work/log" 2>&1 || got=$?
    [ $got = "$code" ] || fail "exit code $got instead of $code: $*"
    tr '\n' ' ' <"$work/log" | grep -q -- "$pattern" || fail "no word of '$pattern': $*"
}

lora=$root/bin/lora ps=$root/bin/lora_ps worker=$root/bin/lora_worker
out=--train.output_dir=$work/out

# somebody else's name, whatever it looks like, is not loopback; the server's second port has to exist
expect 2 "127.example.org:7700' is not loopback.*ps.insecure" "$lora" train "$run" $out --ps.address=tcp://127.example.org:7700
expect 2 "127.example.org:7700' is not loopback.*ps.insecure" "$ps" "$run" $out --ps.address=tcp://127.example.org:7700
for program in "$lora train" "$ps" "$worker"; do
    expect 2 "port of 'tcp://127.0.0.1:65535' is out of range.*1 to 65534" $program "$run" $out --ps.address=tcp://127.0.0.1:65535
    expect 2 "'tcp://127.1:7700' is not an address.*tcp://HOST:PORT" $program "$run" $out --ps.address=tcp://127.1:7700
done
expect 2 "port of 'tcp://head:65535' is out of range" "$worker" --ps.address=tcp://head:65535
expect 2 "'head:7700' is not an address" env LORA_PS=head:7700 "$worker"
expect 2 "'tcp://head:77x' is not an address" "$lora" status tcp://head:77x
expect 2 "port of 'tcp://\[::1\]:65535' is out of range" "$lora" status "tcp://[::1]:65535"
expect 2 "names no port" "$lora" status "tcp://[::1]:*"
expect 1 "cannot listen.*no-card:7700.*network card" "$ps" "$run" $out --ps.address=tcp://no-card:7700 --ps.insecure=true
[ ! -e "$work/out" ] || fail "something was written: $(ls "$work/out")"

# a run over IPv6 gives the bits of one over IPv4; `lora status` finds it
grep -q '^0*1 .* lo$' /proc/net/if_inet6 2>/dev/null || skip "the run over IPv6: this machine has no ::1"
steps=6
reference "$work/four"
want=$(sha "$work/four")
start_ps "$work/six" "--ps.address=tcp://[::1]:*"
case $address in "tcp://[::1]:"*) ;; *) fail "it listens at $address" ;; esac
timeout 30 "$lora" status "$address" >"$work/status" || fail "lora status $address ended with $?"
grep -q '^total_steps' "$work/status" || fail "no steps in the status: $(cat "$work/status")"
start_job 2
wait $ps || fail "the run over IPv6 ended with $?"
wait $job || fail "its workers ended with $?"
same_bits "$work/six" "IPv6"
