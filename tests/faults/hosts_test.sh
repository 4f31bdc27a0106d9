#!/bin/bash
# launch/hosts with hosts that are this machine: a killed server is started again, and hosts that no command reaches are
# told at once. (Hosts in network namespaces: make test-hosts.)
. "$(dirname "$0")/../dist/lib.sh"
steps=3000
reference "$work/one"
want=$(sha "$work/one")
cat >"$work/rsh" <<'EOF'
#!/bin/sh
shift
exec sh -c "$*"
EOF
chmod +x "$work/rsh"
printf '# two of us\nhere slots=1\nthere max_slots=9 slots=2\n' >"$work/hosts"
free_port
export LORA_ADDRESS=tcp://127.0.0.1:$port LORA_RSH=$work/rsh
run() { # OUT [option...]
    local out=$1
    shift
    "$root/launch/hosts" "$work/hosts" "$case_dir/run.yaml" --train.output_dir="$out" "${bits[@]}" --train.max_steps=$steps "$@"
}
run "$work/run" >>"$work/log" 2>&1 &
hosts=$!
await 60 reached "$work/run" 100
kill -9 "$(pgrep -f "lora_ps .*--train.output_dir=$work/run ")" || fail "no server to kill"
ends_with 0 "launch/hosts whose server was killed" wait $hosts
grep -q "lora_ps ended with code 137 (128 and a signal), starting it again" "$work/log" || fail "no word of the killed server"
same_bits "$work/run" "launch/hosts"

got=0 began=$SECONDS
LORA_RSH=/bin/false run "$work/none" >"$work/said" 2>&1 || got=$?
[ $got = 1 ] && grep -q "'/bin/false here true' ended with 1: commands do not reach here" "$work/said" ||
    fail "no command reaches a host: $got $(cat "$work/said")"
[ $((SECONDS - began)) -lt 20 ] && [ ! -e "$work/none" ] || fail "it took $((SECONDS - began)) s, and a server was started"
