#!/bin/bash
# `lora predict` of every task: texts as Transformers' generate writes them (fixtures/generated.jsonl: greedy, 16
# tokens, the golden adapters), tags, classes of images; draws that only the seed decides; a base without an adapter.
. "$(dirname "$0")/lib.sh"

# CASE PENALTY: what the fixture has for them
texts() {
    python3 - "$root/tests/dist/fixtures/generated.jsonl" "$@" <<'END'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
rows = [r for r in rows if r["case"] == sys.argv[2] and r["repetition_penalty"] == float(sys.argv[3])]
with open(sys.argv[4], "w", encoding="utf-8") as prompts, open(sys.argv[5], "w", encoding="utf-8") as wanted:
    prompts.writelines(r["prompt"] + "\n" for r in rows)
    json.dump([r["text"] for r in rows], wanted)
END
}

# FIELD LINES WANTED: the field of each line is the list
same() {
    python3 -c '
import json, sys
got = [json.loads(line)[sys.argv[1]] for line in open(sys.argv[2], encoding="utf-8")]
want = json.load(open(sys.argv[3], encoding="utf-8"))
bad = [(g, w) for g, w in zip(got, want) if g != w]
print(len(got), len(want), bad[:3])
sys.exit(bool(bad) or len(got) != len(want))' "$@" >>"$work/log"
}

predict() {
    "$root/bin/lora" predict --adapter="$root/tests/golden/$1/expected" --model="$root/tests/golden/$1/model" "${@:2}" \
        2>>"$work/log" || fail "lora predict of $1 ended with $?"
}

for name in gpt2-clm llama-clm; do
    for penalty in 1.0 1.3; do
        texts $name $penalty "$work/prompts.txt" "$work/wanted.json"
        predict $name --data.max_new_tokens=16 --data.repetition_penalty=$penalty "$work/prompts.txt" >"$work/got.jsonl"
        same text "$work/got.jsonl" "$work/wanted.json" || fail "$name writes other texts than Transformers"
    done
done

draw() {
    predict gpt2-clm --data.max_new_tokens=12 --data.do_sample=true --data.temperature=1.5 "$@" "$work/prompts.txt"
}
texts gpt2-clm 1.0 "$work/prompts.txt" "$work/wanted.json"
draw >"$work/one"
draw >"$work/two"
draw --train.seed=7 >"$work/other"
cmp -s "$work/one" "$work/two" || fail "the same seed draws other texts"
! cmp -s "$work/one" "$work/other" || fail "another seed draws the same texts"
head -n 1 "$work/prompts.txt" >"$work/first.txt"
predict gpt2-clm --data.max_new_tokens=12 --data.do_sample=true --data.temperature=1.5 "$work/first.txt" >"$work/alone"
[ "$(cat "$work/alone")" = "$(head -n 1 "$work/one")" ] || fail "a draw depends on what stands beside it"

# words in a line, in a file, with as many tags
labels="--labels=[O, B-PER, I-PER, B-LOC, I-LOC, B-ORG, I-ORG]"
echo "in New Delhi" | predict bert-tokcls "$labels" >"$work/tags"
grep -q '^{"tokens":\["in","New","Delhi"\],"tags":\["[^,]*","[^,]*","[^,]*"\]}$' "$work/tags" || fail "no tags: $(cat "$work/tags")"
predict bert-tokcls "$labels" "$root/tests/golden/bert-tokcls/dev.conll" >"$work/tags"
[ "$(wc -l <"$work/tags")" = "$(grep -c '"split": "dev"' "$root/tests/golden/bert-tokcls/expected/encoded.jsonl")" ] || fail "not a line a sentence"

# an image, a list, a folder; the last digits may depend on how many go together
label() {
    sed 's/"probabilities":{[^}]*}//'
}
images=$root/tests/golden/vit-imgcls/dev
predict vit-imgcls --labels=bars,columns,spot "$images" >"$work/all"
[ "$(wc -l <"$work/all")" = "$(find "$images" -name '*.png' | wc -l)" ] || fail "not a line an image"
predict vit-imgcls --labels=bars,columns,spot "$images/bars/000.png" | label | cmp -s - <(head -n 1 "$work/all" | label) || fail "an image alone is another"
find "$images" -name '*.png' | LC_ALL=C sort >"$work/list"
predict vit-imgcls --labels=bars,columns,spot "$work/list" | label | cmp -s - <(label <"$work/all") || fail "a list gives other classes"

# a base model alone, whose family has no usual target modules; 1.45148 is Transformers' mean loss
cat >"$work/base.yaml" <<END
model: $root/tests/golden/vit-imgcls/model
task_type: IMAGE_CLS
data: { test: $images }
END
"$root/bin/lora" eval "$work/base.yaml" >"$work/figures" 2>>"$work/log" || fail "lora eval of a base ended with $?"
grep -q '"eval_loss": 1\.45147[89]' "$work/figures" || fail "another loss of a base: $(cat "$work/figures")"

# an adapter's own names that mean nothing in its model are passed over, as by PEFT: its tensors fit
case_of=$root/tests/golden/bert-seqcls
printf 'a fine day\nnothing at all\n' >"$work/lines.txt"
cp -r "$case_of/expected" "$work/published"
published() {
    "$root/bin/lora" predict --adapter="$work/published" --model="$case_of/model" --logits "$work/lines.txt" \
        2>>"$work/log" || fail "a published adapter is refused"
}
published >"$work/plain.jsonl"
python3 - "$work/published/adapter_config.json" <<'END'
import json, sys
config = json.load(open(sys.argv[1], encoding="utf-8"))
config["target_modules"] = config["target_modules"] + ["c_attn", "q_proj"]
config.update(exclude_modules=["mlp.gate"], layers_to_transform=[0, 1, 40])
config["alpha_pattern"] = {**config["alpha_pattern"], "c_attn": 3}
config["modules_to_save"] = (config["modules_to_save"] or []) + ["lm_head"]
json.dump(config, open(sys.argv[1], "w", encoding="utf-8"))
END
published >"$work/more.jsonl"
cmp "$work/plain.jsonl" "$work/more.jsonl" || fail "names that mean nothing change the logits"

# task_type null, as PEFT leaves it for a model that is no PeftModelFor...: the class in auto_mapping says the task, or it is asked for
# CLASS|null: the adapter with this class
classless() {
    rm -rf "$work/adapter"
    cp -r "$root/tests/golden/gpt2-clm/expected" "$work/adapter"
    python3 - "$work/adapter/adapter_config.json" "$1" <<'END'
import json, sys
config = json.load(open(sys.argv[1]))
config.update(task_type=None, auto_mapping=None if sys.argv[2] == "null" else {"base_model_class": sys.argv[2]})
json.dump(config, open(sys.argv[1], "w"))
END
}
write() {
    "$root/bin/lora" predict --adapter="$work/adapter" --model="$root/tests/golden/gpt2-clm/model" --data.max_new_tokens=4 "$@" \
        "$work/first.txt" >"$work/got" 2>"$work/log"
}
predict gpt2-clm --data.max_new_tokens=4 "$work/first.txt" >"$work/known"
classless GPT2LMHeadModel
write && cmp -s "$work/got" "$work/known" || fail "the class of auto_mapping does not say the task"
classless null
! write || fail "an adapter without a task answers"
grep -q "its task_type is null" "$work/log" && grep -q -- "try: give --task_type=SEQ_CLS" "$work/log" || fail "nobody asks for the task"
write --task_type=CAUSAL_LM && cmp -s "$work/got" "$work/known" || fail "--task_type does not say the task"
classless BertForNextSentencePrediction
! write || fail "an adapter of a class without a task answers"
grep -q "'BertForNextSentencePrediction' is the class of no task" "$work/log" || fail "the class is not named"

# an empty line: a language model writes nothing, or what follows nothing, and goes on; a text without a token has no
# class, and its line is named
printf 'a good film\n\nso so\n' >"$work/gap.txt"
predict gpt2-clm --data.max_new_tokens=4 "$work/gap.txt" >"$work/got.jsonl"
[ "$(wc -l <"$work/got.jsonl")" = 3 ] || fail "an empty line ends the answers of a language model"
got=0
"$root/bin/lora" predict --adapter="$root/tests/golden/gpt2-seqcls/expected" --model="$root/tests/golden/gpt2-seqcls/model" \
    "$work/gap.txt" >"$work/got.jsonl" 2>"$work/log" || got=$?
[ $got = 2 ] && grep -q "gap.txt:2" "$work/log" || fail "a text without a token is not refused at its line"
