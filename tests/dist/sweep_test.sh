#!/bin/bash
# lora sweep: the table of a grid is the same after kills, and by trials one or two at a time; a trial is the run of lora train;
# trials beside each other have one copy of the base; halving goes on with the best; a trial alone (an array's task).
. "$(dirname "$0")/lib.sh"
lora=$root/bin/lora
run=$case_dir/run.yaml
small=(--lora.init_adapter=null --train.max_steps=8 --train.eval_strategy=steps --train.eval_steps=2)
grid=(--grid lora.r=2,4 train.learning_rate=0.02,0.002)

# ---- a grid

"$lora" sweep "$run" "${grid[@]}" "${small[@]}" --ranks=1 --jobs=2 --out="$work/clean" >"$work/clean.out" 2>"$work/log" ||
    fail "lora sweep ended with $?"
"$lora" train "$run" "${small[@]}" --ranks=1 --lora.r=4 --train.learning_rate=0.02 --train.output_dir="$work/alone" >"$work/log" 2>&1 ||
    fail "lora train ended with $?"
[ "$(sha "$work/alone")" = "$(sha "$work/clean/lora.r=4_train.learning_rate=0.02")" ] || fail "a trial is not the run of lora train"
[ "$(cat "$work"/clean/*.log | grep -c "MB, loaded for all trials")" = 1 ] || fail "the base was not loaded once"
[ "$(cat "$work"/clean/*.log | grep -c "MB, of another trial")" = 3 ] || fail "the base is not shared"
python3 - "$work/clean" "$work/clean.out" >"$work/log" 2>&1 <<'END' || fail "the table of lora sweep"
import json, sys
place, out = sys.argv[1:]
table, lines = json.load(open(place + "/sweep.json")), open(out).read().splitlines()
assert [t["settings"] for t in table["trials"]] == [{"lora.r": r, "train.learning_rate": l} for r in ("2", "4") for l in ("0.02", "0.002")]
best = {}
for t, line in zip(table["trials"], lines[1:]):
    rows = [json.loads(row) for row in open("%s/%s/metrics.jsonl" % (place, t["name"]))]
    evals = [(row["eval_accuracy"], -row["step"]) for row in rows if "eval_loss" in row]
    assert len(evals) == 4 and (t["accuracy"], -t["step"]) == max(evals) and t["state"] == "done", t
    best[t["name"]] = t["accuracy"]
    assert line.split()[-4:] == [t["settings"]["train.learning_rate"], "%.4f" % t["accuracy"], str(t["step"]), "done"], line
    assert line.startswith("*") == (t["name"] == table["best"])
assert best[table["best"]] == max(best.values()) and lines[5] == "best: %s/%s" % (place, table["best"])
svg = open(place + "/sweep.svg").read()
assert svg.count("<circle") == 8 and svg.count('r="5"') == 2 and svg.count("<polyline") == 2 and "lora.r" in svg
END

# ---- twelve trials, killed at three moments that are drawn; the base goes with it

twelve=(--grid lora.r=2,3,4,6,8,12 train.learning_rate=0.02,0.002 "${small[@]}" --train.max_steps=4)
"$lora" sweep "$run" "${twelve[@]}" --ranks=1 --jobs=2 --out="$work/twelve" >"$work/twelve.out" 2>"$work/log" || fail "lora sweep ended with $?"
ended() { [ "$(find "$work/kills" -name summary.json | wc -l)" -ge "$1" ]; }
moments=
for n in 0 1 2; do
    "$lora" sweep "$run" "${twelve[@]}" --ranks=1 --out="$work/kills" >"$work/log" 2>&1 &
    sweep=$!
    trials=$((4 * n + RANDOM % 4)) pause=0.$((RANDOM % 5))$((RANDOM % 10))
    moments+=" $pause s behind trial $trials,"
    await 300 ended $trials
    sleep $pause
    kill -9 $sweep || fail "lora sweep was over before it was killed$moments"
    wait $sweep 2>/dev/null
done
"$lora" sweep "$run" "${twelve[@]}" --ranks=1 --out="$work/kills" >"$work/kills.out" 2>"$work/log" || fail "lora sweep ended with $?"
grep -c " done$" "$work/kills.out" | grep -qx 12 || fail "twelve trials: $(cat "$work/kills.out")"
cmp <(sed "s#$work/twelve#X#" "$work/twelve.out") <(sed "s#$work/kills#X#" "$work/kills.out") >"$work/log" || fail "kills change the table:$moments"
cmp "$work/twelve/sweep.json" "$work/kills/sweep.json" >"$work/log" || fail "kills change sweep.json:$moments"
"$lora" sweep "$run" "${twelve[@]}" --out="$work/kills" --table >"$work/again" 2>"$work/log" || fail "--table ended with $?"
cmp "$work/again" "$work/kills.out" >"$work/log" || fail "--table says something else"

# ---- halving: those that learn nothing end behind the first evaluation, the best is the run that it would have been

"$lora" sweep "$run" --grid train.learning_rate=0,0.02,1e-9 "${small[@]}" --ranks=1 --halving --metric=loss --out="$work/half" \
    >"$work/out" 2>"$work/log" || fail "lora sweep --halving ended with $?"
grep -q "behind 1 evaluations 1 of 3 trials go on" "$work/log" || fail "halving"
awk '{ gsub(/^\*/, "* ") } / 0 .*ended behind evaluation 1$/ { a++ } /^\* *0.02 .* done$/ { b++ } / 1e-9 .* 2 *ended behind evaluation 1$/ { c++ }
    END { exit !(a == 1 && b == 1 && c == 1) }' "$work/out" || fail "the table of halving: $(cat "$work/out")"
cmp "$work/half/train.learning_rate=0.02/adapter_model.safetensors" "$work/clean/lora.r=4_train.learning_rate=0.02/adapter_model.safetensors" \
    >"$work/log" || fail "halving changes the best run"

# ---- a trial alone; drawn at random

mapfile -t words < <("$lora" sweep "$run" "${grid[@]}" "${small[@]}" --out="$work/array" --trial=3 --words)
[ "${words[0]} ${words[-3]} ${words[-2]}" = "$run --lora.r=4 --train.learning_rate=0.02" ] || fail "--words: ${words[*]}"
"$lora" train "${words[@]}" --ranks=1 >"$work/log" 2>&1 || fail "a trial by its words ended with $?"
[ "$(sha "$work/alone")" = "$(sha "$work/array/lora.r=4_train.learning_rate=0.02")" ] || fail "a trial by its words is another"
"$lora" sweep "$run" "${grid[@]}" "${small[@]}" --out="$work/array" --table >"$work/out" 2>"$work/log" || fail "--table ended with $?"
[ "$(grep -c "not done$" "$work/out")" = 3 ] || fail "an array's table: $(cat "$work/out")"
for n in 1 2 3; do
    "$lora" sweep "$run" --random=3 lora.r=2..8 train.learning_rate=1e-4..1e-2 "${small[@]}" --out="$work/draw" --trial=$n --words | tail -n 3 | head -n 2
done >"$work/drawn"
python3 - "$work/drawn" >"$work/log" 2>&1 <<'END' || fail "what is drawn: $(cat "$work/drawn")"
import sys
words = [line.split("=") for line in open(sys.argv[1])]
ranks, rates = [int(v) for k, v in words if k == "--lora.r"], [float(v) for k, v in words if k == "--train.learning_rate"]
assert len(ranks) == len(rates) == 3 and all(2 <= r <= 8 for r in ranks) and all(1e-4 <= r <= 1e-2 for r in rates) and len(set(rates)) == 3
END

refused() { # WORDS OPTION...
    local words=$1
    shift
    ends_with 2 "lora sweep $*" "$lora" sweep "$run" --out="$work/r" "$@" >"$work/out" 2>"$work/log"
    [ ! -e "$work/r" ] || fail "what is refused leaves a folder"
    grep -qF -- "$words" "$work/log" || fail "lora sweep $*: $(cat "$work/log")"
}
refused "there is no setting to go over" --grid
refused "one of the two" lora.r=4
refused "is a range, and a grid has single values" --grid lora.r=4..8
refused "has an empty value" --grid lora.r=4,,8
refused "names a setting twice" --grid lora.r=4 lora.r=8
refused "each trial has a folder in --out" --grid train.output_dir="$work/x,$work/y"
refused "go over lora.r, and --lora.r=8 says one value" --grid lora.r=4,2 --lora.r=8
refused "0 is out of range" --grid lora.r=4,0
refused "lora.rr" --grid lora.rr=4
refused "put beside each other by their evaluations" --grid lora.r=4 --train.eval_strategy=no
