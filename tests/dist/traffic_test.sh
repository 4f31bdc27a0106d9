#!/bin/bash
# A model of BERT-base's shapes, r 8 on query and value: the bytes that cross a cable between server
# and worker, counted by the network card, against full fine-tuning's and against summary.json.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/net.sh"
net_up 2
# frames as they are on a real wire: none of the kernel's own that are longer
ip -n $net-1 link set eth0 gso_max_segs 1 && ip -n $net-2 link set eth0 gso_max_segs 1 || skip "ip cannot set gso_max_segs"
steps=8
"$build/tests/dist/make_model" "$work/model" || fail "make_model ended with $?"
cp "$case_dir"/model/tokenizer*.json "$work/model"

net_on 1 "$root/bin/lora_ps" "$case_dir/run.yaml" --model="$work/model" --train.output_dir="$work/out" \
    --data.max_length=16 --train.batch_size=2 --train.max_steps=$steps --train.eval_strategy=no --lora.r=8 \
    --lora.init_adapter=null --parallel.micro_batches=2 --ps.address=tcp://10.83.0.1:7700 --ps.insecure=true \
    --ps.shared_memory=false --port-file="$work/port" >>"$work/log" 2>&1 &
ps=$!
await 60 test -s "$work/port"
net_on 2 mpirun -n 1 "$root/bin/lora_worker" --ps.address=tcp://10.83.0.1:7700 >>"$work/log" 2>&1 &
job=$!
ends_with 0 "the server" wait $ps
ends_with 0 "the worker" wait $job
net_bytes 1 | tr '\n' ' ' >"$work/bytes"
python3 - "$work/out/summary.json" "$work/bytes" $steps <<'EOF' || fail "the bytes do not agree"
import json, sys
summary = json.load(open(sys.argv[1]))
up, down = map(int, open(sys.argv[2]).read().split())
weights = 109_483_778 + 769  # BERT-base with a head of three labels
full = 2 * 4 * weights * int(sys.argv[3])
said = {key: summary['wire_bytes_' + key] for key in ('up', 'down')}
print('  full fine-tuning %d bytes, counted %d up and %d down (%.3f%%); summary.json: %d up, %d down (%.3f%%)' % (
    full, up, down, 100 * (up + down) / full, said['up'], said['down'], 100 * summary['wire_share']))
assert summary['steps'] == int(sys.argv[3]) and summary['trainable_parameters'] == 294912 + 3 * 769
assert summary['all_parameters'] - summary['trainable_parameters'] <= weights
assert (up + down) / full <= 0.01
assert abs(said['up'] / up - 1) <= 0.03 and abs(said['down'] / down - 1) <= 0.03
plan, measured = summary['plan'], summary['measured']
print('  planned %(step_seconds).3g s a step, %(memory)d bytes of memory, %(bytes)d on the wire; measured %%(step_seconds).3g s, %%(memory)d, %%(bytes)d' % plan % measured)
assert abs(plan['memory'] / measured['memory'] - 1) <= 0.1
assert abs(plan['bytes'] / measured['bytes'] - 1) <= 0.15  # the values that a run begins with are over and above its 8 steps
assert plan['step_seconds'] > 0
assert abs(summary['wire_share'] / ((up + down) / full) - 1) <= 0.03
EOF
