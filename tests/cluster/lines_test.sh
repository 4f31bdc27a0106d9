#!/bin/bash
# Slow lines and pulled cables between server and workers, in network namespaces: the bits of a fast line, no payload twice
# (at most 1.1 of what is needed), and a step takes at most 1.2 of what computing and the line's rate make of it.
# Delay and loss where the kernel has netem. A model of BERT-base's shapes: 1.2 MB of values and of gradients a step.
. "$(dirname "$0")/../dist/lib.sh"
. "$(dirname "$0")/../dist/net.sh"
command -v tc >/dev/null || skip "needs tc (iproute2)"
net_up 3
"$build/tests/dist/make_model" "$work/model" || fail "make_model ended with $?"
cp "$case_dir"/model/tokenizer*.json "$work/model"
floats=297219

# HOST QDISC...: both ends of its cable
shape() {
    local host=$1
    shift
    ip netns exec $net-$host tc qdisc replace dev eth0 root "$@" &&
        ip netns exec $net-switch tc qdisc replace dev port$host root "$@"
}

# OUT WORKERS STEPS [cut SECONDS...]: a run; $seconds of its training, $up and $down: bytes behind the lines
run() {
    local out=$work/$1 workers=$2 steps=$3 i before after
    rm -f "$work/port"
    before=($(net_bytes 1) $(net_bytes 2) $(net_bytes 3))
    net_on 1 "$root/bin/lora_ps" "$case_dir/run.yaml" --model="$work/model" --train.output_dir="$out" --data.max_length=16 \
        --train.batch_size=2 --train.max_steps=$steps --train.eval_strategy=no --lora.r=8 --lora.init_adapter=null \
        --ps.shared_memory=false \
        --parallel.micro_batches=2 --ps.address=tcp://10.83.0.1:7700 --ps.insecure=true --port-file="$work/port" \
        >>"$work/log" 2>&1 &
    ps=$!
    await 60 test -s "$work/port"
    jobs=()
    for ((i = 2; i <= workers + 1; i++)); do
        net_on $i mpirun -n 1 "$root/bin/lora_worker" --ps.address=tcp://10.83.0.1:7700 >>"$work/log" 2>&1 &
        jobs+=($!)
    done
    if [ "${4:-}" = cut ]; then
        await 60 reached "$out" 3
        for i in "${@:5}"; do
            net_cut 2
            sleep "$i"
            net_heal 2
            sleep 5
        done
    fi
    ends_with 0 "the server" wait $ps
    for i in "${jobs[@]}"; do
        ends_with 0 "a worker" wait $i
    done
    after=($(net_bytes 1) $(net_bytes 2) $(net_bytes 3))
    up=$((after[0] - before[0])) down=$((after[2] - before[2] + after[4] - before[4]))
    seconds=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["train_runtime"])' "$out/summary.json")
}

# NAME STEPS WORKERS SECONDS_A_STEP(of the line): prints and judges the last run
judge() {
    python3 - "$@" "$seconds" "$compute" "$up" "$down" $floats <<'END' || fail "$1: more bytes or time than it may take"
import sys
name, steps, workers, line, seconds, compute, up, down, floats = sys.argv[1], *map(float, sys.argv[2:])
needed = 4 * floats * steps * workers
step, right = seconds / steps, compute + line
print("  %-28s %.2f s a step (%.2f by arithmetic), %.2f of the needed bytes up, %.2f down" % (name, step, right, up / needed, down / needed))
sys.exit(up > 1.1 * needed or down > 1.1 * needed or (line > 0 and step > 1.2 * right))
END
}

steps=6
run fast 1 $steps
compute=$(python3 -c "print($seconds / $steps)")
judge "a fast line" $steps 1 0
want=$(sha "$work/fast")

shape 2 tbf rate 1mbit burst 32k latency 400ms
run slow 1 $steps
judge "1 Mbit/s" $steps 1 19.4
same_bits "$work/slow" "1 Mbit/s"

one=$compute
ip netns exec $net-2 tc qdisc del dev eth0 root && ip netns exec $net-switch tc qdisc del dev port2 root
run fast2 2 $steps
compute=$(python3 -c "print($seconds / $steps)")
judge "a fast line, two workers" $steps 2 0
same_bits "$work/fast2" "a second worker"
for host in 2 3; do
    shape $host tbf rate 100mbit burst 128k latency 100ms
done
run two 2 $steps
judge "100 Mbit/s, two workers" $steps 2 0.2
same_bits "$work/two" "two workers at 100 Mbit/s"
compute=$one

if ip netns exec $net-2 tc qdisc replace dev eth0 root netem delay 1ms 2>/dev/null; then
    shape 2 netem delay 200ms rate 100mbit limit 20000
    run far 1 $steps
    judge "200 ms each way" $steps 1 4 # TCP begins with ten segments, and doubles them with each turn of 0.4 s
    same_bits "$work/far" "200 ms of delay"
    shape 2 netem loss 2% rate 100mbit limit 20000
    run lossy 1 $steps
    judge "2% loss" $steps 1 0.4
    same_bits "$work/lossy" "2% loss"
else
    echo "  no netem in this kernel: lines without delay and loss"
fi

for host in 2 3; do
    shape $host tbf rate 100mbit burst 128k latency 100ms
done
steps=70
run whole 2 $steps
want=$(sha "$work/whole")
run cut 2 $steps cut 10 60
judge "a cable cut for 10, then 60 s" $steps 2 0
same_bits "$work/cut" "a cable that is cut"
