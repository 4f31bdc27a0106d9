#!/bin/bash
# `lora plan`: the figures of a design that were computed apart from this code, the page that is made of it, and what it
# refuses.
. "$(dirname "$0")/lib.sh"
"$root/tests/plan/page" "$work" >"$work/page.md" || fail "the page cannot be made"
cmp -s "$work/page.md" "$root/launch/plan.md" || fail "launch/plan.md is not what tests/plan/page makes"

# Llama-2-13B on 8 nodes of 64 GB and 10 Gbit/s: seconds by another simulation of the same schedule, memory by hand
plan() { "$root/bin/lora" plan "$work/Llama-2-13B/run.yaml" --cores=32 --memory=64GB --net=10Gbit --gflops=50 "$@"; }
plan --nodes=8 --json >"$work/plan.json" 2>"$work/log" || fail "lora plan ended with $?"
python3 - "$work/plan.json" <<'END' || fail "the plan of 8 nodes has other figures"
import json, sys
plan = json.load(open(sys.argv[1]))
by = {layout["pipeline"]: layout for layout in plan["layouts"]}
assert plan["chosen"] == 2 and sorted(by) == [1, 2, 4, 8] and not by[1]["fits"]
for stages, seconds in (2, 363), (4, 381), (8, 403):
    assert abs(by[stages]["step_seconds"] / seconds - 1) < 0.01, by[stages]
stage = by[2]["stages"][0]
assert abs(stage["weights_bytes"] / 26.0e9 - 1) < 0.01 and abs(stage["kept_bytes"] / 9.6e9 - 1) < 0.02, stage
assert abs(by[1]["stages"][0]["weights_bytes"] / 52.06e9 - 1) < 0.01
assert abs(by[2]["mpi_bytes"] / 0.336e9 - 1) < 0.01 and abs(by[2]["server_bytes"] / 1.0e9 - 1) < 0.01
END
[ "$(plan --nodes=8 --stages)" = 2 ] || fail "parallel.pipeline: auto is not 2 where a node has no room for the whole"
[ "$(plan --nodes=8 --stages --parallel.pipeline=4)" = 4 ] || fail "stages that are given are not what is said"
[ "$("$root/bin/lora" plan "$work/Llama-2-13B/run.yaml" --nodes=8 --memory=128GB --gflops=50 --stages)" = 1 ] ||
    fail "parallel.pipeline: auto is not 1 where a node has room for the whole"
ends_with 2 "auto where nothing fits" plan --nodes=1 --stages >"$work/log" 2>&1
grep -q "has no room on 1 nodes: where 1 holds the model, one takes .* GB" "$work/log" || fail "it does not say what is missing"
ends_with 2 "a model that fits nowhere" plan --nodes=1 >"$work/log" 2>&1
grep -q "no layout fits: take more nodes" "$work/log" || fail "it does not say what would help"
ends_with 2 "3 stages on 2 nodes" plan --nodes=2 --parallel.pipeline=3 >"$work/log" 2>&1
grep -q "3 stages do not divide 2 nodes" "$work/log" || fail "it does not say why"
ends_with 2 "memory without a unit" plan --memory=64 >"$work/log" 2>&1
grep -q "for example --memory=64GB" "$work/log" || fail "it does not say how memory is given"
