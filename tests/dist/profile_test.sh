#!/bin/bash
# --profile: no bit changes, the calls and operations of the base's products are those of the model and the rows, and the
# file is one that viewers read.
. "$(dirname "$0")/lib.sh"
run=("$root/bin/lora" train "$case_dir/run.yaml" --ranks=2 --train.max_steps=6 "${bits[@]}")
"${run[@]}" --train.output_dir="$work/plain" >"$work/log" 2>&1 || fail "the run itself"
"${run[@]}" --train.output_dir="$work/seen" --profile="$work/p.json" >"$work/said" 2>"$work/log" || fail "with --profile: $?"
[ "$(sha "$work/plain")" = "$(sha "$work/seen")" ] || fail "a profile changes the adapter"
grep -q "^profile of rank 0, by step: mean of 5;" "$work/said" || fail "no table: $(cat "$work/said")"
grep -q "^the calls of step 2: $work/p.json" "$work/said" || fail "where the calls are is not said"
python3 - "$work/p.json" "$work/p-1.json" "$work/seen" "$work/said" <<'END' || fail "the profile is not what the run did"
import json, sys
ranks, table = [json.load(open(p)) for p in sys.argv[1:3]], open(sys.argv[4]).read()
rows = [json.loads(line) for line in open(sys.argv[3] + "/metrics.jsonl")]
summary = json.load(open(sys.argv[3] + "/summary.json"))
tokens, forward = 0, 0
for rank, p in enumerate(ranks):
    told, spans = p["otherData"], [e for e in p["traceEvents"] if e["ph"] == "X"]
    kernels, phases = {k["name"]: k for k in told["kernels"]}, {k["name"]: k for k in told["phases"]}
    assert told["rank"] == rank and told["steps"] == 5, told
    assert sum(k["seconds"] for k in told["kernels"]) <= phases["computing"]["seconds"], told
    # two layers of 32 and 64: the first sees all tokens, the second keys and values of all, and else a row of each text
    seen = {n: kernels["base: x W^T " + n]["flops"] / 2 / a / b for n, a, b in (("96x32", 96, 32), ("64x32", 64, 32), ("32x64", 32, 64))}
    texts = seen["32x64"] - seen["96x32"]
    assert 0 < texts <= 5 * 16 and seen["64x32"] == 2 * seen["96x32"] + texts, seen
    tokens += seen["96x32"]
    computing = [e for e in spans if e["name"] == "computing"]
    inside = [e for e in spans if e["cat"] == "kernel"]
    assert computing and inside and all(e["pid"] == rank for e in spans)
    for e in inside:
        assert any(c["ts"] - 1 <= e["ts"] and e["ts"] + e["dur"] <= c["ts"] + c["dur"] + 1 for c in computing), e
    for k in told["kernels"]:
        assert k["calls"] > 0 and k["seconds"] >= 0 and k["flops"] >= 0 and k["bytes"] > 0, k
whole = summary["tokens"] if "tokens" in summary else max(r["num_input_tokens_seen"] for r in rows if "num_input_tokens_seen" in r)
assert 0.7 * whole < tokens < whole, (tokens, whole)
assert "attention, backward" in table and "between kernels" in table
END
ends_with 1 "a profile that cannot be written" "$root/bin/lora" train "$case_dir/run.yaml" --ranks=1 --train.output_dir="$work/none" \
    --train.max_steps=3 --profile="$work/no/p.json" "${bits[@]}" >"$work/said" 2>&1
grep -q "cannot write the profile" "$work/said" && grep -q "no/p.json" "$work/said" || fail "what is wrong is not said: $(cat "$work/said")"
