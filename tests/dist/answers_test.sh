#!/bin/bash
# Questions: `lora predict` answers as utils_qa.py does with the trained adapter of the golden case, whatever kind of file they
# come in; what cannot be learnt from, or answered, is refused by its line; a run that was held back rows of questions whole.
. "$(dirname "$0")/lib.sh"

golden=$root/tests/golden/bert-qa
keys="--data.max_length=36 --data.doc_stride=10 --data.version_2_with_negative=true --data.null_score_diff_threshold=2.0"

predict() {
    "$root/bin/lora" predict --adapter="$golden/expected" --model="$golden/model" $keys "$@" 2>"$work/log" ||
        fail "lora predict ended with $?"
}

refused() { # PATTERN COMMAND...
    local pattern=$1 got=0
    "${@:2}" >"$work/log" 2>&1 || got=$?
    [ $got = 2 ] || fail "exit code $got instead of 2: ${*:2}"
    tr '\n' ' ' <"$work/log" | grep -q -- "$pattern" || fail "no word of '$pattern': ${*:2}"
}

predict --nbest=3 --logits "$golden/dev.jsonl" >"$work/answers"
python3 - "$golden" "$work" >"$work/log" <<'END' || fail "answers are not those of utils_qa"
import json, sys
golden, work = sys.argv[1:]
read = lambda path: [json.loads(line) for line in open(path, encoding="utf-8")]
rows, want, got = read(golden + "/dev.jsonl"), read(golden + "/expected/answers.jsonl"), read(work + "/answers")
assert len(rows) == len(want) == len(got)
for row, w, g in zip(rows, want, got):
    assert w["id"] == g["id"] and w["text"] == g["text"], (w, g)
    assert w["null_odds"] is None or abs(w["null_odds"] - g["null_odds"]) < 1e-4, (w, g)
    for a, b in zip([w] + w["nbest"], [g] + g["nbest"]):
        assert a["text"] == b["text"], (a, b)
        assert b["start"] is None or row["context"][b["start"]:b["end"]] == b["text"], b  # places are characters
        assert "probability" not in a or abs(a["probability"] - b["score"]) < 1e-5 and abs(a["start_logit"] - b["start_logit"]) < 1e-4, (a, b)
# the same questions in SQuAD's own file, and in a table
data = [{"title": "t", "paragraphs": [{"context": r["context"], "qas": [{"id": r["id"], "question": r["question"], "answers": []}]}]} for r in rows]
json.dump({"version": "v2.0", "data": data}, open(work + "/squad.json", "w"), indent=1)
import csv
with open(work + "/rows.csv", "w", newline="") as file:
    csv.writer(file).writerows([["context", "question"]] + [[r["context"], r["question"]] for r in rows])
END
predict "$work/squad.json" >"$work/nested"
predict "$work/rows.csv" >"$work/table"
predict "$golden/dev.jsonl" >"$work/flat"
cmp -s "$work/flat" "$work/nested" || fail "SQuAD's own file has other answers"
sed 's/"id":"[^"]*",//' "$work/flat" | cmp -s - "$work/table" || fail "a table has other answers"
printf 'what plan?\tthe plan was good\n' | predict >"$work/line"
grep -q '"text":.*"start":.*"score":' "$work/line" || fail "a line has no answer"
refused "no TAB between.*standard input:1" sh -c "echo 'what plan?' | '$root/bin/lora' predict --adapter='$golden/expected' --model='$golden/model'"

# two ranks, and the model in two stages
for stages in 1 2; do
    "$root/bin/lora" train "$golden/run.yaml" --ranks=2 --parallel.pipeline=$stages --train.output_dir="$work/staged$stages" \
        >"$work/log" 2>&1 || fail "two ranks and $stages stages ended with $?"
    python3 "$root/tests/compare.py" "$golden" "$work/staged$stages" >"$work/log" 2>&1 || fail "$stages stages differ from PEFT"
done

# what is learnt from
train="$root/bin/lora train $golden/run.yaml --ranks=1 --overwrite --train.output_dir=$work/out"
printf '{"question": "q", "context": "na\303\257ve plan", "answers": {"text": ["plan"], "answer_start": [7]}}\n' >"$work/bad.jsonl"
refused "does not stand at character 7.*bad.jsonl:1.*stands at character 6" $train --data.train="$work/bad.jsonl"
refused "has no answer.*train.jsonl:.*version_2_with_negative" $train --data.version_2_with_negative=false
refused "do not get on.*doc_stride" $train --data.doc_stride=36
refused "are not smoothed" $train --train.label_smoothing_factor=0.1
refused "no metric 'accuracy'.*exact_match" $train --train.metric_for_best_model=accuracy
refused "not served" "$root/bin/lora" serve --adapter=a="$golden/expected" --model="$golden/model"

# dynamic padding: one number of micro-batches is one adapter, whatever computes it; rows held back are whole questions
held="--data.pad_to_max_length=false --data.validation=null --data.validation_split=0.2 --train.num_train_epochs=1 --parallel.micro_batches=4"
for ranks in 1 2; do
    $train $held --ranks=$ranks --train.output_dir="$work/$ranks" >"$work/log" 2>&1 || fail "dynamic padding with $ranks ranks ended with $?"
done
cmp -s "$work/1/adapter_model.safetensors" "$work/2/adapter_model.safetensors" || fail "two ranks gave other bits"
"$root/bin/lora" eval "$work/1" >"$work/eval" 2>"$work/log" || fail "lora eval of rows held back ended with $?"
python3 - "$work" >"$work/log" <<'END' || fail "lora eval measures other rows than the run"
import json, sys
work = sys.argv[1]
last = [r for r in map(json.loads, open(work + "/1/metrics.jsonl")) if "eval_loss" in r][-1]
got = json.load(open(work + "/eval"))
assert all(abs(got[k] - last[k]) < 1e-6 * max(1, abs(last[k])) for k in ("eval_loss", "eval_exact_match", "eval_f1")), (got, last)
END
