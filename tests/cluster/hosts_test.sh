#!/bin/bash
# Through launch/hosts on four hosts with two ranks each: the bits of one machine, with a killed rank,
# with a cable that is pulled for ten seconds, and with the model in two stages, each on a host.
place=${TMPDIR:-/tmp} # each host has a /dev/shm of its own
. "$(dirname "$0")/../dist/lib.sh"
. "$(dirname "$0")/../dist/net.sh"
steps=6000
bits+=(--train.batch_size=64)
net_up 5 # the fifth has the server
reference "$work/one"
want=$(sha "$work/one")

printf '%s\n' '# name and ranks' '1 slots=2' '2 slots=2' '' '3 slots=2' '4' >"$work/hosts"
cat >"$work/rsh" <<EOF
#!/bin/sh
host=\$1
shift
mkdir -p $work/tmp\$host
export TMPDIR=$work/tmp\$host OMPI_MCA_btl=self,vader,tcp
exec ip netns exec $net-\$host unshare -m -u sh -c "hostname node\$host && mount -t tmpfs tmpfs /dev/shm && \$*"
EOF
chmod +x "$work/rsh"

# OUT [option...]: launch/hosts in the background; $launch is its pid
start_hosts() {
    local out=$1
    shift
    LORA_RSH=$work/rsh LORA_ADDRESS=tcp://10.83.0.5:7700 ip netns exec $net-5 "$root/launch/hosts" "$work/hosts" \
        "$case_dir/run.yaml" --train.output_dir="$out" "${bits[@]}" --train.max_steps=$steps "$@" \
        >>"$work/log" 2>&1 &
    launch=$!
}
says() {
    grep -q -- "$1" "$work/log"
}

: >"$work/log"
start_hosts "$work/killed"
await 30 reached "$work/killed" 50
kill -9 "$(ip netns pids $net-2 | xargs -n 1 pgrep -x lora_worker -P | head -n 1)" || fail "no rank to kill on host 2"
ends_with 0 "launch/hosts with a killed rank" wait $launch
says "the workers of 2 ended with .*, starting them again" || fail "nothing was started again"
[ "$(grep -c "joined client" "$work/log")" -ge 5 ] || fail "not four hosts and the one again have joined"
same_bits "$work/killed" "a killed rank"

: >"$work/log"
printf '%s\n' '1 slots=2' '2 slots=2' '3 slots=2' '4 slots=2' >"$work/hosts"
start_hosts "$work/staged" --parallel.pipeline=2
await 60 reached "$work/staged" 50
kill -9 "$(ip netns pids $net-2 | xargs -n 1 pgrep -x lora_worker -P | head -n 1)" || fail "no rank to kill on host 2"
ends_with 0 "launch/hosts with stages and a killed rank" wait $launch
says "the workers of 1,2 ended with .*, starting them again" || fail "no replica was started again"
[ "$(grep -c "stage 2 of 2: blocks 1..1" "$work/log")" -ge 3 ] || fail "not two replicas and the one again have held the model"
same_bits "$work/staged" "a model over two hosts"

: >"$work/log"
start_hosts "$work/cut" --ps.lease_timeout=2
await 30 reached "$work/cut" 50
net_cut 3
sleep 10
step=$(grep -c '"loss"' "$work/cut/metrics.jsonl")
[ "$step" -lt $steps ] || fail "the run was over before the cable came back: raise steps"
net_heal 3
ends_with 0 "launch/hosts with a cut cable" wait $launch
says "silent for .* its work goes to others" || fail "nobody noticed the cut"
same_bits "$work/cut" "a cable cut for 10 s"

: >"$work/log"
start_hosts "$work/bad" --data.text=phrase
ends_with 2 "launch/hosts with bad input" wait $launch
says "no column 'phrase'" || fail "the reason is not said"
