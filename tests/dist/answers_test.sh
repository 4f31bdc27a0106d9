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

# behind HTTP: the answers of `lora predict` and of utils_qa, several questions at a time; what is asked wrong is refused
"$root/bin/lora" serve --port=0 --adapter=qa="$golden/expected" --model="$golden/model" $keys >"$work/served" 2>"$work/log" &
server=$!
await 20 grep -q "^listening on" "$work/served"
predict --nbest=3 --data.pad_to_max_length=false "$golden/dev.jsonl" >"$work/unpadded"
python3 - "$golden" "$work" "$(sed 's/^listening on //' "$work/served")" >"$work/log" 2>&1 <<'END' || fail "questions behind HTTP"
import json, sys, urllib.error, urllib.request
golden, work, url = sys.argv[1:]
read = lambda path: [json.loads(line) for line in open(path, encoding="utf-8")]
def ask(body, path="/predict"):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        return 200, json.load(urllib.request.urlopen(request))
    except urllib.error.HTTPError as fault:
        return fault.code, json.load(fault)
rows, want, right = read(golden + "/dev.jsonl"), read(work + "/unpadded"), read(golden + "/expected/answers.jsonl")
inputs = [{"question": r["question"], "context": r["context"]} for r in rows]
got = []
for at in range(0, len(inputs), 4):
    status, some = ask({"inputs": inputs[at : at + 4]})
    assert status == 200, some
    got += some
assert len(got) == len(want)
for row, w, r, g in zip(rows, want, right, got):
    assert g["answer"] == w["text"] == r["text"], (w, r, g)
    assert abs(g["score"] - w["score"]) < 1e-5, (w, g)
    assert row["context"][g["start"] : g["end"]] == g["answer"], g
assert len({g["answer"] for g in got}) > 5 and any(g["answer"] == "" for g in got)
status, one = ask({"inputs": inputs[0]}, "/")
assert status == 200 and one == got[0], one
status, three = ask({"inputs": inputs[0], "parameters": {"top_k": 3}})
assert status == 200 and [a["answer"] for a in three] == [a["text"] for a in want[0]["nbest"]], three
status, short = ask({"inputs": inputs[0], "parameters": {"top_k": 20, "max_answer_len": 1}})
assert status == 200 and short and all(" " not in a["answer"].strip() for a in short), short
for body, status in (
    ({"inputs": "what?"}, 422),
    ({"inputs": {"question": "what?"}}, 422),
    ({"inputs": {"question": "what?", "context": ""}}, 422),
    ({"inputs": {"question": "what? " * 40, "context": "a plan"}}, 422),
    ({"inputs": []}, 422),
    ({"inputs": inputs[0], "parameters": {"top_k": 0}}, 422),
    ({"inputs": inputs[0], "parameters": {"align_to_words": True}}, 422),
    ({"inputs": inputs[0], "model": "nobody"}, 404),
    ({"inputs": {"question": "what?", "context": "a plan " * 4000}}, 413),
):
    got = ask(body)
    assert got[0] == status, (str(body)[:99], got)
END
kill $server
wait $server || fail "the server ended with $?"

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
