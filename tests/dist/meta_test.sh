#!/bin/bash
# meta: an episode a lease: the same bits by any ranks and through kills; what does not go with it is said by its key. A new task
# with few rows from the adapter that it gave: lora compare --few_shot. (Its numbers: golden/bert-reptile, golden/bert-fomaml.)
. "$(dirname "$0")/lib.sh"
lora=$root/bin/lora
case_dir=$root/tests/golden/bert-reptile
bits=(--meta.episodes=6 --lora.lora_dropout=0.1 --train.eval_strategy=no
    "--model_config={hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.1}")
steps=30
reference "$work/one"
want=$(sha "$work/one")
by_ranks 2 4
through_kills "$work/kills" 10 12
[ "$(sha "$work/one/tasks/words")" = "$(sha "$work/kills/tasks/words")" ] || fail "a kill changes a task's adapter"

# ---- what does not go with it

refused() { # WORDS WHERE OPTION...
    ends_with 2 "$3" "$lora" train "$case_dir/run.yaml" --ranks=1 --train.output_dir="$work/bad" "${@:3}" >"$work/log" 2>&1
    grep -qF -- "$1" "$work/log" && grep -qF -- "$2" "$work/log" || fail "${*:3}: $(cat "$work/log")"
}
refused "the micro-batches of a step are its episodes" "--parallel.micro_batches" --parallel.micro_batches=8
refused "made by one rank" "--parallel.pipeline" --parallel.pipeline=2
refused "there are none without meta.algorithm" "meta.inner_steps" --meta.algorithm=null --meta.episodes=4
refused "unknown option '--meta.inner_lr'" "did you mean '--meta.inner_learning_rate'?" --meta.inner_lr=1
refused "not supported yet" "--meta.algorithm" --meta.algorithm=maml
refused "an episode is 41 batches of 8 rows, and the task has 120 rows" "tasks.mood" --meta.inner_steps=41
refused "AdaLoRA shares its triplets out by gradients" "lora.method" --lora.method=adalora --lora.init_adapter=null --lora.r=8
refused "it belongs to lora.init_adapter" "lora.ignore_mismatched_sizes" --lora.init_adapter=null --lora.ignore_mismatched_sizes=true
ends_with 2 "one task" "$lora" train "$root/tests/golden/bert-seqcls/run.yaml" --ranks=1 --train.output_dir="$work/bad" --meta.algorithm=reptile >"$work/log" 2>&1
grep -q "episodes are of several tasks, and there are none" "$work/log" || fail "one task"

# ---- few rows of another task

new=(--ranks=1 --lora.init_adapter=null --lora.r=4 --train.max_steps=6 --labels=positive,negative,neutral --lora.lora_alpha=8
    --train.learning_rate=0.01 --data.validation="$root/tests/golden/bert-tasks/mood-dev.tsv" --lora.target_modules=query,value)
compare() {
    "$lora" compare "$root/tests/golden/bert-seqcls/run.yaml" "${new[@]}" --from=meta="$work/one" --with=meta:lora.ignore_mismatched_sizes=true \
        --few_shot=0,2,8 --seeds=2 --out="$work/few" "$@"
}
compare >"$work/out" 2>"$work/log" || fail "lora compare --few_shot ended with $?"
compare --table >"$work/again" 2>"$work/log" && cmp "$work/out" "$work/again" >"$work/log" || fail "--table says something else"
PYTHONPATH=$root/tests python3 - "$work/few" "$work/out" "$work/one" >"$work/log" 2>&1 <<'END' || fail "the table of few rows"
import json, statistics, sys
from compare import distance, with_shapes
place, out, meta = sys.argv[1:]
table, text = json.load(open(place + "/few_shot.json")), open(out).read()
assert table["metric"] == "accuracy" and [row["method"] for row in table["rows"]] == ["lora", "meta"]
for row in table["rows"]:
    assert [cell["shots"] for cell in row["cells"]] == [0, 2, 8]
    line = next(line for line in text.splitlines() if line.startswith(row["method"] + " "))
    for cell in row["cells"]:
        got = []
        for seed in 42, 43:
            folder = f"{place}/{row['method']}-{cell['shots']}shot-seed{seed}"
            lines = [json.loads(line) for line in open(folder + "/metrics.jsonl")]
            evaluations = [line for line in lines if "eval_accuracy" in line]
            assert len(evaluations) == 1 and evaluations[0]["step"] == (6 if cell["shots"] else 1)
            assert json.load(open(folder + "/summary.json"))["steps"] == evaluations[0]["step"]
            got.append(evaluations[0]["eval_accuracy"])
        assert got == cell["values"] and abs(cell["mean"] - statistics.mean(got)) < 1e-12 and abs(cell["deviation"] - statistics.stdev(got)) < 1e-9
        assert "%.4f ± %.4f" % (cell["mean"], cell["deviation"]) in line
began, at = (with_shapes(f"{d}/adapter_model.safetensors") for d in (meta, place + "/meta-0shot-seed42"))
for name in began:  # 0 rows: as it began, with a head of its own, of three labels instead of five
    if "classifier" in name:
        assert began[name][0][0] == 5 and at[name][0][0] == 3, name
    else:
        assert distance(began[name][1], at[name][1]) == 0, name
assert open(place + "/few_shot.svg").read().count("<circle") == 6
END
"$lora" eval "$work/few/meta-8shot-seed43" >"$work/eval.json" 2>"$work/log" || fail "lora eval ended with $?"
python3 -c 'import json, sys
cells = json.load(open(sys.argv[1] + "/few_shot.json"))["rows"][1]["cells"]
assert abs(cells[2]["values"][1] - json.load(open(sys.argv[2]))["eval_accuracy"]) < 1e-12' "$work/few" "$work/eval.json" >"$work/log" 2>&1 ||
    fail "lora eval says something else"

not_compared() { # WORDS OPTION...
    ends_with 2 "$2" "$lora" compare "$root/tests/golden/bert-seqcls/run.yaml" "${new[@]}" --out="$work/bad" "${@:2}" >"$work/log" 2>&1
    grep -qF -- "$1" "$work/log" || fail "${*:2}: $(cat "$work/log")"
}
not_compared "is no list of at most 12 rising numbers" --few_shot=4,4
not_compared "is no NAME=FOLDER of an adapter" --from=runs
not_compared "is the name of a method" --from=dora="$work/one"
not_compared "and none are given" --few_shot=0,4 --train.max_steps=-1
not_compared "has the shape" --from=meta="$work/one" --few_shot=0 --methods=lora
not_compared "rows of class 'positive', and 5000 are to be drawn" --few_shot=5000
