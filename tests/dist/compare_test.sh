#!/bin/bash
# lora compare: a row a method over its seeds, with the figures that the runs' own folders have; the same table when it was
# killed in between, and by runs beside each other; what cannot be compared is refused before anything runs.
. "$(dirname "$0")/lib.sh"
lora=$root/bin/lora
run=$case_dir/run.yaml
small=(--ranks=1 --train.max_steps=4 --train.logging_steps=1 --lora.init_adapter=null --lora.lora_alpha=32)

"$lora" compare "$run" "${small[@]}" --methods=lora,adalora --full --seeds=2 --out="$work/c" >"$work/log" 2>&1 &
compare=$!
await 60 test -s "$work/c/lora-seed42/summary.json"
kill -9 $compare
wait $compare 2>/dev/null
"$lora" compare "$run" "${small[@]}" --methods=lora,adalora --full --seeds=2 --jobs=2 --out="$work/c" >"$work/out" 2>"$work/log" ||
    fail "lora compare ended with $?"
[ "$(cat "$work"/c/*.log | grep -c "MB, loaded for all trials")" = 1 ] || fail "the base was not loaded once"
[ "$(cat "$work"/c/*.log | grep -c "MB, of another trial")" = 2 ] || fail "the base is not shared"
"$lora" train "$run" "${small[@]}" --train.output_dir="$work/alone" --train.seed=43 >"$work/log" 2>&1 ||
    fail "lora train ended with $?"
[ "$(sha "$work/alone")" = "$(sha "$work/c/lora-seed43")" ] || fail "a run of lora compare is not that of lora train"
python3 - "$work/c" "$work/out" >"$work/log" 2>&1 <<'END' || fail "the table of lora compare"
import json, os, re, statistics, sys
place, out = sys.argv[1:]
table = json.load(open(place + "/compare.json"))
assert table["metric"] == "accuracy"
assert [row["method"] for row in table["rows"]] == ["lora", "adalora", "full"], table
for row in table["rows"]:
    best, summaries = [], []
    for run in row["runs"]:
        lines = [json.loads(line) for line in open(run["folder"] + "/metrics.jsonl")]
        best.append(max(line["eval_accuracy"] for line in lines if "eval_accuracy" in line))
        summaries.append(json.load(open(run["folder"] + "/summary.json")))
        files = [f for f in os.listdir(run["folder"]) if f.endswith(".safetensors")]
        assert run["disk_bytes"] == os.path.getsize(os.path.join(run["folder"], *files)), run
    assert abs(row["mean"] - statistics.mean(best)) < 1e-12 and abs(row["deviation"] - statistics.stdev(best)) < 1e-9, row
    for key in "train_runtime", "tokens_per_second", "wire_bytes_up", "trainable_parameters", "peak_rss_worker":
        assert abs(row[key] / statistics.mean(s[key] for s in summaries) - 1) < 1e-9, key
lora, adalora, full = table["rows"]
assert full["trainable_parameters"] == full["all_parameters"] > 10 * lora["trainable_parameters"]
assert abs(full["learning_rate"] * 10 / lora["learning_rate"] - 1) < 1e-6
config = open(place + "/adalora-seed42/run.yaml").read()
assert "method: adalora" in config and "init_r: 6" in config and "target_r: 4" in config and "lora_alpha: 32" in config
assert "use_dora: false" in config and "mode: full" in open(place + "/full-seed43/run.yaml").read()
text = open(out).read()
for row in table["rows"]:
    line = next(line for line in text.splitlines() if line.startswith(row["method"] + " "))
    assert "%.4f ± %.4f" % (row["mean"], row["deviation"]) in line and "%d" % row["trainable_parameters"] in line, line
    assert "| %s | %.4f ± %.4f |" % (row["method"], row["mean"], row["deviation"]) in open(place + "/compare.md").read()
assert text.count("beside full: accuracy") == 2
moved = lambda row: sum(row[k] for k in ("wire_bytes_up", "wire_bytes_down", "shared_bytes_up", "shared_bytes_down"))
for row in lora, adalora:  # every weight moves in the server's memory, an adapter on the wire: of both it is what moved
    line = next(line for line in text.splitlines() if line.startswith(row["method"] + " beside full"))
    assert moved(row) < moved(full) / 10 and "%.2f%% of the bytes that moved" % (100 * moved(row) / moved(full)) in line, line
for name in "compare.svg", "curves.svg":
    svg = open(os.path.join(place, name)).read()
    assert svg.startswith("<svg") and svg.endswith("</svg>\n") and all(r["method"] in svg for r in table["rows"])
assert len(re.findall("<circle", open(place + "/compare.svg").read())) == 3
END
"$lora" compare "$run" "${small[@]}" --methods=lora,adalora --full --seeds=2 --out="$work/c" --table >"$work/again" 2>"$work/log" ||
    fail "lora compare --table ended with $?"
cmp "$work/out" "$work/again" >"$work/log" || fail "--table says something else"

# a trial that is refused leaves the others; the run's words are said
ends_with 2 "a rank that is refused" "$lora" compare "$run" --ranks=1 --train.max_steps=2 --methods=dora,loraplus --out="$work/d" \
    >"$work/out" 2>"$work/log"
grep -q "lora.use_dora (true here, false there)" "$work/log" || fail "the reason is not said"
grep -q "^dora  *-" "$work/out" && grep -q "^loraplus  *0\." "$work/out" || fail "the table without dora: $(cat "$work/out")"

refused() { # WORDS OPTION...
    local words=$1
    shift
    ends_with 2 "lora compare $*" "$lora" compare "$run" --out="$work/r" "$@" >"$work/out" 2>"$work/log"
    [ ! -e "$work/r" ] || fail "what is refused leaves a folder"
    grep -qF -- "$words" "$work/log" || fail "lora compare $*"
}
refused "'dorra' is no way of training" --methods=lora,dorra
refused "begins with no method that is compared" --with=full:train.learning_rate=1e-5
refused "put beside each other by their evaluations" --train.eval_strategy=no
refused "0 is out of range" --with=lora:lora.r=0
refused "--jobs" --jobs=0
refused "each run has a folder in --out" --with=lora:train.output_dir="$work/x"
refused "methods have the same seeds" --with=lora:train.seed=4
refused "$work/none" --from=meta="$work/none"
refused "it has no adapter_config.json" --from=meta="$work"
exec 9>"$work/c/lock"
flock -n 9 || fail "lora compare kept its lock"
ends_with 2 "a second lora compare" "$lora" compare "$run" "${small[@]}" --out="$work/c" >"$work/out" 2>"$work/log"
grep -q "another command is at work in this folder" "$work/log" || fail "two at a time"
