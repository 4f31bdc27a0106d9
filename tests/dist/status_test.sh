#!/bin/bash
# What `lora status` says of a run is what its files say; drain, checkpoint and stop do what they are called, for those who may.
. "$(dirname "$0")/lib.sh"
lora=$root/bin/lora keys=$work/keys
field() { # FILE EXPRESSION: of the JSON object s
    python3 -c 'import json, sys; s = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"
}
is() { # FILE EXPRESSION WANT
    local got
    got=$(field "$1" "$2") || fail "no $2 in $(cat "$1")"
    [ "$got" = "$3" ] || fail "$2 is '$got', not '$3'"
}
steps=3000 # more than are made before it is stopped
reference "$work/one"
want=$(sha "$work/one")

# ---- while it trains, by address and by folder; the figures are those of metrics.jsonl

start_ps "$work/run"
"$lora" status "$work/run" --json >"$work/waiting" || fail "no status before the first worker"
is "$work/waiting" 's["state"], s["clients"]' "('waiting', 0)"
start_job 2
await 30 reached "$work/run" 50
"$lora" status "$address" --json >"$work/status" || fail "no status of a run that trains"
is "$work/status" 's["state"], s["clients"], s["ranks"], s["total_steps"], s["micro_batches"], s["degraded"]' "('training', 1, 2, $steps, 8, None)"
is "$work/status" 'len(s["workers"]), s["workers"][0]["ranks"], 0 <= s["workers"][0]["lag"] <= 8, s["workers"][0]["memory"] > 1e6' "(1, 2, True, True)"
is "$work/status" 'any("joined client" in e["text"] for e in s["events"])' True
# between two steps no round is open; bytes are counted a few times in a second
has_figures() {
    "$lora" status "$address" --json >"$work/figures" && python3 -c 'import json, sys
s = json.load(open(sys.argv[1]))
sys.exit(not (s["pieces"]["total"] == 8 and s["traffic"]["up"] > 1000 and s["traffic"]["share"] > 0))' "$work/figures"
}
await 10 has_figures
python3 - "$work/status" "$work/run/metrics.jsonl" <<'EOF' || fail "the status is not what metrics.jsonl says"
import json, sys
s = json.load(open(sys.argv[1]))
line = next(l for l in map(json.loads, open(sys.argv[2])) if l["step"] == s["last"]["step"] and "loss" in l)
sys.exit(not all(line[k] == s["last"][k] == s[k] for k in ("loss", "learning_rate", "grad_norm")))
EOF
"$lora" status "$work/run" >"$work/text" || fail "no status of a folder"
grep -q "^state  *training" "$work/text" && grep -q "^worker .*pieces/s" "$work/text" && grep -q "$(hostname | cut -c1-15) [0-9a-f]\{8\} " "$work/text" ||
    fail "the text has no worker: $(cat "$work/text")"

# ---- a checkpoint now; draining ends behind the open step, with 143 everywhere, and the same command goes on

"$lora" checkpoint "$address" >"$work/said" || fail "no checkpoint: $(cat "$work/said")"
[ -d "$work/run/checkpoint-$(sed 's/[^0-9]//g' "$work/said")" ] || fail "no such checkpoint: $(cat "$work/said")"
"$lora" drain "$work/run" >"$work/said" || fail "it is not drained: $(cat "$work/said")"
ends_with 143 "a server that is drained" wait $ps
wait $job
"$lora" status "$work/run" --json >"$work/status" || fail "no status without a server"
is "$work/status" 's["state"], s["complete"]' "('stopped', False)"
got=0
"$lora" stop "$work/run" >"$work/said" 2>&1 || got=$?
[ $got = 3 ] && grep -q "no parameter server works on this folder" "$work/said" || fail "a server that is not there was stopped: $got $(cat "$work/said")"
start_ps "$work/run"
start_job 1
await 30 reached "$work/run" 100
"$lora" stop "$address" >"$work/said" || fail "it is not stopped: $(cat "$work/said")"
ends_with 143 "a server that is stopped" wait $ps
kill $job # it would wait for the server to come back
wait $job
start_ps "$work/run"
"$lora" drain "$address" >"$work/said" && grep -q "nobody works: it stops now" "$work/said" || fail "nobody works, and it is not drained: $(cat "$work/said")"
ends_with 143 "a server without workers that is drained" wait $ps

# ---- watched until it is complete

start_ps "$work/run"
"$lora" status "$work/run" --watch --json >"$work/watched" &
watch=$!
start_job 2
ends_with 0 "the server" wait $ps
ends_with 0 "its workers" wait $job
ends_with 0 "who watches" wait $watch
same_bits "$work/run" "drain, stop and checkpoint"
tail -n 1 "$work/watched" >"$work/status"
is "$work/status" 's["state"], s["step"], s["complete"]' "('complete', $steps, True)"
"$lora" status "$work/nowhere" >"$work/said" 2>&1 && fail "a folder that is not there has a status"
grep -q "there is no such folder of a run" "$work/said" || fail "no word of it: $(cat "$work/said")"

# ---- who may: those whose keys are on the list, and nobody where there are none and others can connect

"$lora" keys new "$keys" >/dev/null && "$lora" keys new "$work/theirs" >/dev/null || fail "no keys are made"
start_ps "$work/closed" --ps.keys="$keys"
for from in "" "$work/theirs"; do
    got=0
    LORA_KEYS=$from "$lora" stop "$address" >"$work/said" 2>&1 || got=$?
    [ $got = 3 ] || [ $got = 4 ] || fail "a stranger's order ended with $got: $(cat "$work/said")"
done
kill -0 $ps || fail "a stranger has stopped the server"
"$lora" stop "$work/closed" >"$work/said" || fail "the keys of its run.yaml are not used: $(cat "$work/said")"
ends_with 143 "a server with keys" wait $ps
start_ps "$work/open" --ps.insecure=true --ps.address="tcp://0.0.0.0:*"
got=0
"$lora" stop "$address" >"$work/said" 2>&1 || got=$?
[ $got = 4 ] && grep -q "has no keys, and others can reach it: it takes no orders" "$work/said" || fail "an open server was told to stop: $got $(cat "$work/said")"
kill $ps
wait $ps || true

# ---- curves of both runs in one picture: a point a logged step

"$lora" plot "$work/run" "$work/one" "$work/both.svg" || fail "no picture"
python3 - "$work/both.svg" "$work/run" "$work/one" <<'EOF' || fail "the picture is not of these runs"
import json, sys, xml.dom.minidom
lines = [l for l in xml.dom.minidom.parse(sys.argv[1]).getElementsByTagName("polyline")]
losses = [[json.loads(l) for l in open(f + "/metrics.jsonl") if '"loss"' in l] for f in sys.argv[2:]]
sys.exit([len(l.getAttribute("points").split()) for l in lines] != [len(l) for l in losses])
EOF
got=0
"$lora" plot "$work/run" --metric=accuracy >"$work/said" 2>&1 || got=$?
[ $got = 2 ] && grep -q "no evaluation of these runs has 'accuracy'" "$work/said" || fail "a metric that is not there: $got $(cat "$work/said")"
