#!/bin/bash
# Embeddings: the pool of negatives is the step's, whoever computes which part of it. An adapter has the same bits for
# any ranks and jobs, one micro-batch or several, and when somebody dies; what was trained embeds texts.
. "$(dirname "$0")/lib.sh"
case_dir=$root/tests/golden/bert-embed-mnr
drops="--model_config={hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.1}"

figures() { grep -o '"[a-z_0-9]*\(loss\|norm\|mrr_at_10\)": *[^,}]*' "$1/metrics.jsonl"; }

for pieces in 1 4; do
    for ranks in 1 2 4; do
        out=$work/$pieces-$ranks
        "$root/bin/lora" train "$case_dir/run.yaml" --ranks=$ranks --parallel.micro_batches=$pieces --parallel.threads=1 \
            --lora.lora_dropout=0.1 "$drops" --train.max_steps=12 --train.output_dir="$out" >"$work/log" 2>&1 ||
            fail "$ranks ranks, $pieces micro-batches ended with $?"
        [ "$(sha "$out")" = "$(sha "$work/$pieces-1")" ] || fail "$ranks ranks, $pieces micro-batches give another adapter"
        cmp -s <(figures "$out") <(figures "$work/$pieces-1") || fail "$ranks ranks, $pieces micro-batches: other figures"
    done
done
# in pieces the sums are made in another order, and of the same numbers
python3 - "$work/1-1" "$work/4-1" <<'END' || fail "in 4 pieces a step has other losses than in one"
import json, sys
losses = [[x["loss"] for x in map(json.loads, open(f + "/metrics.jsonl")) if "loss" in x] for f in sys.argv[1:]]
sys.exit(len(losses[0]) < 12 or any(abs(a - b) > 1e-5 * a for a, b in zip(*losses)))
END

# the same rows as tables
python3 - "$case_dir/train.jsonl" "$work" <<'END'
import csv, json, sys
rows = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
for kind, delimiter in ("csv", ","), ("tsv", "\t"):
    with open(f"{sys.argv[2]}/train.{kind}", "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["positive", "anchor"], extrasaction="ignore", delimiter=delimiter)
        table.writeheader()
        table.writerows(rows)
END
for kind in csv tsv; do
    "$root/bin/lora" train "$case_dir/run.yaml" --ranks=1 --parallel.micro_batches=1 --lora.lora_dropout=0.1 "$drops" \
        --train.max_steps=12 --data.train="$work/train.$kind" --train.output_dir="$work/$kind" >"$work/log" 2>&1 ||
        fail ".$kind: ended with $?"
    [ "$(sha "$work/$kind")" = "$(sha "$work/1-1")" ] || fail "the rows of a .$kind give another adapter"
done

# two jobs, one of which is killed and comes again
bits=(--parallel.micro_batches=4 --lora.lora_dropout=0.1 --train.eval_strategy=no "$drops")
steps=300
reference "$work/one"
want=$(sha "$work/one")
start_ps "$work/killed"
start_job 2; a=$job
start_job 1; b=$job
await 30 reached "$work/killed" 20
kill -9 $b
start_job 1
wait $ps || fail "the server ended with $?"
wait $a $job
same_bits "$work/killed" "a killed job"

# lora embed: a line a text, or one file of NumPy's; the base alone, and its adapter
embed() { "$root/bin/lora" embed "$@" 2>"$work/log" || fail "lora embed $* ended with $?"; }
embed --adapter="$work/1-1" "$case_dir/dev.jsonl" >"$work/lines"
embed --adapter="$work/1-1" "$case_dir/dev.jsonl" --output="$work/e.npy"
embed --model="$case_dir/model" --column=positive "$case_dir/dev.jsonl" --output="$work/base.jsonl"
python3 - "$work" <<'END' >"$work/log" 2>&1 || fail "embeddings are not what the files say"
import json, struct, sys
work = sys.argv[1]
lines = [json.loads(line)["embedding"] for line in open(work + "/lines")]
data = open(work + "/e.npy", "rb").read()
size = struct.unpack("<H", data[8:10])[0]
head = eval(data[10:10 + size])
assert data[:8] == b"\x93NUMPY\x01\x00" and (10 + size) % 64 == 0, data[:10]
assert head == {"descr": "<f4", "fortran_order": False, "shape": (40, 32)}, head
rows = struct.iter_unpack("<32f", data[10 + size:])
assert [list(row) for row in rows] == [[struct.unpack("f", struct.pack("f", x))[0] for x in line] for line in lines]
assert all(abs(sum(x * x for x in line) - 1) < 1e-5 for line in lines)
assert len(open(work + "/base.jsonl").readlines()) == 40
END
for f in modules.json 1_Pooling/config.json sentence_bert_config.json config_sentence_transformers.json; do
    [ -s "$work/1-1/$f" ] || fail "$f is missing"
done

refused() { # PATTERN option...
    local pattern=$1
    shift
    ends_with 2 "$*" "$root/bin/lora" train "$case_dir/run.yaml" --train.output_dir="$work/refused" "$@" >"$work/log" 2>&1
    grep -q -- "$pattern" "$work/log" || fail "no word of '$pattern'"
    ! grep -q "server listens" "$work/log" || fail "$*: a server was started"
}
refused "which column says how alike the texts are is not said" --train.loss=cosent
refused "this loss is not of 2 texts" --train.loss=triplet
refused "no field 'query'" --data.columns=query,positive
refused "column 'anchor' is used twice" --data.columns=anchor,anchor
refused "a model that embeds is not cut into stages" --ranks=2 --parallel.pipeline=2
refused "this task has no metric 'accuracy'" --train.metric_for_best_model=accuracy
refused "data.columns is a key of FEATURE_EXTRACTION" --task_type=SEQ_CLS --data.train="$root/tests/golden/bert-seqcls/train.tsv"
ends_with 2 "predict" "$root/bin/lora" predict --adapter="$work/1-1" "$case_dir/dev.jsonl" >"$work/log" 2>&1
grep -q "lora embed" "$work/log" || fail "predict does not say what embeds"
