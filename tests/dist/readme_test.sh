#!/bin/bash
# README's commands, copied one after the other on README's own run file with labels of text; no command stands
# there that is not tried somewhere.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/readme.sh"
readme_place "$work/here"

# ---- your own data

readme_run 'doctor run.yaml'
! grep -q "^FAIL" "$work/out" || fail "lora doctor: $(grep ^FAIL "$work/out")"
readme_run 'train run.yaml$'
readme_is_good "lora train"
readme_run 'eval run.yaml'
grep -q '"eval_samples": 60' "$work/out" || fail "lora eval: $(cat "$work/out")"
readme_run '^echo'
[ "$(grep -c '"label"' "$work/out")" = 1 ] || fail "an answer to one line: $(cat "$work/out")"
readme_run 'lora merge'
grep -q '"so good"' merged/config.json || fail "lora merge: $(cat merged/config.json)"
readme_run 'format=onnx'
[ -s onnx/model.onnx ] || fail "lora export: $(ls onnx)"
readme_run 'targets'
grep -q "query" "$work/out" || fail "lora targets: $(cat "$work/out")"
readme_run 'inspect'
grep -q "lora_A" "$work/out" || fail "lora inspect: $(cat "$work/out")"
readme_run 'print-config'
grep -q '^  learning_rate: 0.0005' "$work/out" || fail "--print-config: $(grep learning_rate "$work/out")"

readme_take 'bin/lora serve'
eval "exec ${command% &} --port=0" >"$work/served" 2>>"$work/log" &
server=$!
await 20 grep -q "^listening on" "$work/served"
python3 - "$(sed 's/^listening on //' "$work/served")" >"$work/out" 2>&1 <<'END' || fail "lora serve: $(cat "$work/out")"
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1] + "/predict", b'{"inputs": "what a film"}').read().decode())
END
grep -q '"label":"so good"' "$work/out" || fail "lora serve answers $(cat "$work/out")"
kill $server
ends_with 0 "lora serve" wait $server

# ---- a server and two jobs by hand

readme_place "$work/by-hand"
sed -i "s/num_train_epochs: 3/num_train_epochs: 80/" run.yaml # it goes on until the second job is there, too
rm -rf "$work"/one-*
readme_run 'lora keys new'
readme_take 'lora_ps run.yaml'
eval "$command" >"$work/log" 2>&1 &
server=$!
readme_take 'lora status'
await 20 eval "$command"
eval "$command" >"$work/out" || fail "README's '$command' ended with $?"
readme_take 'mpirun'
eval "$command" >"$work/first" 2>&1 &
first=$!
eval "$command" >"$work/second" 2>&1 &
second=$!
ends_with 0 "the server" wait $server
ends_with 0 "the first job" wait $first
ends_with 0 "the second job" wait $second
[ "$(grep -c 'client joined' "$work/log")" = 2 ] || fail "not two jobs have joined"
readme_is_good "a server and two jobs"
rm -rf "$work"/one-*

# ---- over hosts

readme_place "$work/hosts"
printf '#!/bin/sh\nshift\nexec sh -c "$*"\n' >"$work/rsh" # HOST COMMAND: every host is this one
chmod +x "$work/rsh"
printf 'here slots=1\nthere slots=2\n' >hostfile
export LORA_RSH=$work/rsh LORA_ADDRESS=tcp://127.0.0.1:$readme_port
readme_run 'launch/hosts'
readme_is_good "launch/hosts"

# ---- the rest: of Slurm and of PyPI, and what runs all of this

readme_take 'launch/slurm/lora.sbatch' # tests/cluster/slurm_readme_test.sh
readme_take 'import NAME|FILE... OUT.jsonl' # tests/interop/readers.py
readme_take 'lora export ADAPTER OUT.gguf' # tests/dist/export_test.sh
readme_take 'lora combine' # tests/dist/combine_test.sh
readme_take 'lora embed' # tests/dist/embed_test.sh
readme_take 'make demo'
readme_take 'make test'
[ -z "$readme_commands" ] || fail "commands of README that nobody tries: $readme_commands"
