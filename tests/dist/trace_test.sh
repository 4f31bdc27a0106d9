#!/bin/bash
# --trace: every step of the server and every lease of its clients, also of a server that was started again.
. "$(dirname "$0")/lib.sh"
steps=120
start_ps "$work/out" --trace="$work/trace.json"
# CLIENTS: so many have had a lease
traced() {
    [ "$(grep '"name":"lease"' "$work/trace.json" | grep -o '"pid":[0-9]*' | sort -u | wc -l)" = "$1" ]
}
# the first sleeps until the second works, and then the server dies: whoever comes first takes all steps, if they are few
start_job 1; a=$job
await 30 traced 1
pkill -STOP -P $a || fail "no worker to freeze"
start_job 2; b=$job
await 30 traced 2
pkill -CONT -P $a
kill -9 $ps
wait $ps 2>/dev/null
start_ps "$work/out" --trace="$work/trace.json" --ps.address="$address"
wait $ps || fail "the server ended with $?"
kill $a $b 2>/dev/null
wait $a $b
python3 - "$work/trace.json" $steps <<'END' || fail "the trace does not say what was done"
import collections, json, re, sys
text, steps = open(sys.argv[1]).read(), int(sys.argv[2])
events = json.loads(text.rstrip().rstrip(",") + "]")  # as the viewers read it
names = {e["pid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
spans = [e for e in events if e["ph"] == "X"]
clients = {e["pid"] for e in spans if e["name"] in ("lease", "compute")}
assert len(clients) == 2 and all(re.search(r"client [0-9a-f]{16}, ranks [12]$", names[c]) for c in clients), names
made = sorted(int(e["name"].split()[1]) for e in spans if e["name"].startswith("step "))
# a step that was made and not yet written is told by nobody
assert len(set(made)) == len(made), made
assert len(made) >= steps - 1, made
end = 0
for e in spans:
    if e["name"].startswith("step "):
        assert e["ts"] >= end - 1 and e["dur"] >= 0, e
        end = e["ts"] + e["dur"]
pieces, leases = collections.Counter(), {}
for e in spans:
    if e["name"] == "lease":
        assert 1 <= e["args"]["step"] <= steps
        leases[e["pid"]] = e
        pieces[e["args"]["step"]] += sum(b - a for a, b in e["args"]["pieces"])
    elif e["name"] == "compute":  # within the lease that was just told
        of = leases[e["pid"]]
        assert of["ts"] <= e["ts"] + 1 and e["ts"] + e["dur"] <= of["ts"] + of["dur"] + 1, (of, e)
whole = [s for s in made if pieces[s] >= 8]
assert len(whole) >= steps - 4, pieces
END

# lora train hands it on; a place that cannot be written is told before anything begins
"$root/bin/lora" train "$case_dir/run.yaml" --ranks=1 --train.output_dir="$work/own" --train.max_steps=3 --trace="$work/own.json" \
    "${bits[@]}" >"$work/said" 2>&1 || fail "lora train --trace: $(cat "$work/said")"
[ "$(grep -c '"name":"step ' "$work/own.json")" = 3 ] || fail "lora train does not hand --trace on"
ends_with 1 "a trace that cannot be written" "$root/bin/lora" train "$case_dir/run.yaml" --ranks=1 --train.output_dir="$work/none" \
    --train.max_steps=3 --trace="$work/no/trace.json" "${bits[@]}" >"$work/said" 2>&1
grep -q "cannot write the trace" "$work/said" && grep -q "no/trace.json" "$work/said" || fail "what is wrong with the trace is not said: $(cat "$work/said")"
