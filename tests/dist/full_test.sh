#!/bin/bash
# Every weight is trained: the same bits by any ranks, through kills and resumes; the folder is a model that the
# commands take.
. "$(dirname "$0")/lib.sh"
sha() {
    sha256sum "$1/model.safetensors" | cut -d ' ' -f 1
}
case_dir=$root/tests/golden/roberta-full
bits=(--parallel.micro_batches=8 --train.eval_strategy=no
    "--model_config={hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.1}")
lora=$root/bin/lora
steps=400
reference "$work/one"
want=$(sha "$work/one")
by_ranks 2 4

# a worker is killed, and then the server, twice, between checkpoints of which two stay
start_ps "$work/kills" --train.save_strategy=steps --train.save_steps=50 --train.save_total_limit=2
start_job 1; a=$job
start_job 2; b=$job
await 30 reached "$work/kills" 20
await 30 pgrep -P $b
kill -9 "$(pgrep -P $b | head -n 1)" 2>/dev/null || fail "no worker to kill"
for at in 70 180; do
    await 30 reached "$work/kills" $at
    kill -9 $ps
    wait $ps 2>/dev/null
    start_ps "$work/kills" --ps.address="$address" --train.save_strategy=steps --train.save_steps=50 \
        --train.save_total_limit=2
done
ends_with 0 "the server after kills" wait $ps
ends_with 0 "the worker that was left" wait $a
wait $b
same_bits "$work/kills" "a kill"
[ "$(ls -d "$work"/kills/checkpoint-* | wc -l)" = 2 ] || fail "save_total_limit: $(ls "$work/kills")"

# a model of many pieces on the wire: values and gradients, and kills between them
"$build/tests/dist/make_model" "$work/wide" small || fail "make_model ended with $?"
cp "$case_dir"/../bert-seqcls/model/tokenizer*.json "$work/wide"
small=("${bits[@]}") bits=(--model="$work/wide" --parallel.micro_batches=4 --train.eval_strategy=no --train.batch_size=4)
steps=60
alone=("${bits[@]}") bits+=(--ps.shared_memory=false)
reference "$work/wide-one"
want=$(sha "$work/wide-one")
through_kills "$work/wide-sent" 20 30
# the same where work lies in the server's memory: nothing of it is sent
bits=("${alone[@]}")
start_ps "$work/wide-2"
start_job 2
ends_with 0 "the server of 2 ranks" wait $ps
ends_with 0 "2 ranks" wait $job
same_bits "$work/wide-2" "memory that is shared, 2 ranks"
grep -q "works in the server's memory" "$work/log" || fail "no memory was shared"
through_kills "$work/wide-kills" 20 30
python3 - "$work/wide-2/summary.json" <<'EOF' || fail "what is shared is counted otherwise"
import json, sys
s = json.load(open(sys.argv[1]))
payload = 4 * s["trainable_parameters"] * s["steps"]
print("  shared: %d of %d bytes up, %d down; sent: %d" % (s["shared_bytes_up"], payload, s["shared_bytes_down"], s["wire_bytes_up"]))
assert abs(s["shared_bytes_up"] / payload - 1) < 0.01 and abs(s["shared_bytes_down"] / payload - 1) < 0.01
assert s["wire_bytes_up"] < payload / 100 and abs(s["wire_share"] - 1) < 0.02
EOF
python3 - "$work/wide-one/summary.json" <<'EOF' || fail "the bytes are not those of the arithmetic"
import json, sys
s = json.load(open(sys.argv[1]))
payload = 4 * s["trainable_parameters"] * s["steps"]
frames = payload * (1 + 66 / 1448 + 66 / (4 * 1448))  # Ethernet, IPv4, TCP, and acknowledgements of the other way
print("  %d bytes of numbers each way; %.4f of the arithmetic up, %.4f down" % (payload, s["wire_bytes_up"] / frames, s["wire_bytes_down"] / frames))
assert abs(s["wire_bytes_up"] / frames - 1) < 0.01 and abs(s["wire_bytes_down"] / frames - 1) < 0.01
EOF
bits=("${small[@]}") steps=400

# the best evaluation's weights; a checkpoint is a model, too
"$lora" train "$case_dir/run.yaml" --ranks=2 --train.output_dir="$work/best" --train.load_best_model_at_end=true \
    --train.num_train_epochs=4 --train.save_total_limit=1 >"$work/log" 2>&1 || fail "load_best ended with $?"
best=$(python3 -c "import json; print(json.load(open('$work/best/trainer_state.json'))['best_model_checkpoint'])")
[ "$(sha "$work/best")" = "$(sha "$best")" ] || fail "it does not end with the best model"
"$lora" eval "$best" >"$work/a" 2>"$work/log" || fail "lora eval of a checkpoint ended with $?"
"$lora" eval "$case_dir/run.yaml" --adapter="$work/best" >"$work/b" 2>"$work/log" || fail "lora eval ended with $?"
cmp -s "$work/a" "$work/b" || fail "the checkpoint is evaluated otherwise than the end"

# without its run.yaml it is a model like any other
cp -r "$work/best" "$work/bare" && rm "$work/bare/run.yaml"
printf 'a text\tand another\n' | "$lora" predict --adapter="$work/bare" >"$work/a" 2>"$work/log" || fail "lora predict ended with $?"
grep -q '"label":"[01]"' "$work/a" || fail "lora predict said $(cat "$work/a")"
"$lora" inspect "$work/bare" >"$work/a" 2>"$work/log" || fail "lora inspect ended with $?"
grep -q '^kind  *model$' "$work/a" && grep -q RobertaForSequenceClassification "$work/a" || fail "lora inspect said $(cat "$work/a")"
ends_with 2 "a base for a whole model" "$lora" predict --adapter="$work/bare" --model="$case_dir/model" >"$work/log" 2>&1 </dev/null
grep -q "the folder holds a whole model, and needs no base" "$work/log" || fail "it is not said why"
"$lora" train "$case_dir/run.yaml" --model="$work/bare" --train.output_dir="$work/next" --train.max_steps=2 \
    --train.mode=lora --train.weight_decay=0 >"$work/log" 2>&1 || fail "an adapter of a model that was trained whole ended with $?"

# a file that is not the run's
printf 'x' | dd of="$work/best/model.safetensors" bs=1 seek=100000 conv=notrunc 2>/dev/null
"$lora" eval "$work/best" >"$work/a" 2>"$work/log" || true
grep -q "is not the model that the run wrote" "$work/log" || fail "a model that was exchanged is not said"

# what cannot be
ends_with 2 "training over the base" "$lora" train "$case_dir/run.yaml" --model="$work/bare" --train.output_dir="$work/bare" \
    >"$work/log" 2>&1
grep -q "written over the one that it begins with" "$work/log" || fail "it is not said why"
[ "$(sha "$work/bare")" = "$(sha "$best")" ] || fail "the base was changed"
ends_with 2 "an adapter's keys" "$lora" train "$case_dir/run.yaml" --lora.target_modules=query --train.output_dir="$work/no" >"$work/log" 2>&1
grep -q "lora.target_modules would have no effect" "$work/log" || fail "it is not said why"
