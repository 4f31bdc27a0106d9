#!/bin/bash
# Input that the other tasks cannot learn from: exit code 2 and a sentence that says where.
. "$(dirname "$0")/lib.sh"

# CASE PATTERN OPTION...
refused() {
    local run=$root/tests/golden/$1/run.yaml pattern=$2 got=0
    shift 2
    timeout 60 "$root/bin/lora" train "$run" --ranks=1 --train.output_dir="$work/out" --overwrite "$@" >"$work/log" 2>&1 || got=$?
    [ $got = 2 ] || fail "exit code $got instead of 2: $*"
    tr '\n' ' ' <"$work/log" | grep -q -- "$pattern" || fail "no word of '$pattern': $*"
    [ ! -e "$work/out/adapter_model.safetensors" ] || fail "half a run was written"
}

# keys that contradict each other
refused bert-seqcls "block_size is a key of CAUSAL_LM.*set task_type" --data.block_size=64
refused bert-seqcls "two labels or more" --task_type=TOKEN_CLS --labels=1
refused gpt2-clm "go together.*or neither" --data.completion=null
refused gpt2-clm "plain text, not from rows" --data.block_size=16
refused gpt2-clm "no prompts to generate from" --data.prompt=null --data.completion=null --data.generate=true

# rows that cannot be learnt from
refused gpt2-clm "no field 'question'.*train.jsonl:1.*data.prompt and data.completion" --data.prompt=question
printf '{"prompt": "the garden", "completion": ""}\n' >"$work/empty.jsonl"
refused gpt2-clm "completion is empty.*empty.jsonl:1" --data.train="$work/empty.jsonl"
refused gpt2-clm "none of the 1 rows can be used; the first: the completion is empty.*empty.jsonl:1" \
    --data.train="$work/empty.jsonl" --data.skip_bad_rows=true
refused gpt2-clm "leaves none for the completion.*raise data.max_length" --data.max_length=2
printf 'a\nb\n' >"$work/lines.txt"
refused gpt2-text "fewer than one block.*lower data.block_size" --data.train="$work/lines.txt"
refused gpt2-text "no such file.*gone.txt" --data.train="$work/gone.txt"
refused gpt2-text "the model has" --data.block_size=100000
printf 'a O\n\nb O\nc\n' >"$work/short.conll"
refused bert-tokcls "no tag behind it.*short.conll:4" --data.train="$work/short.conll"
printf 'a O\nb B-MISC\n' >"$work/other.conll"
refused bert-tokcls "'B-MISC' is not one of the 7 labels.*other.conll:2.*B-PER" --data.train="$work/other.conll"

# images
cp -r "$root/tests/golden/vit-imgcls/train" "$work/images"
mkdir "$work/images/circles"
cp "$work/images/bars/000.png" "$work/images/circles"
refused vit-imgcls "'circles' is not one of the 3 labels.*bars, columns, spot" --data.train="$work/images"
rm -r "$work/images/circles"
truncate -s 40 "$work/images/spot/002.png"
refused vit-imgcls "spot/002.png.*skip_bad_rows" --data.train="$work/images"

# a tokenizer with a part that nobody knows: said once, however many ranks there are
cp -r "$root/tests/golden/gpt2-clm/model" "$work/model"
sed -i 's/"type": *"ByteLevel"/"type": "Wonder"/' "$work/model/tokenizer.json"
refused gpt2-clm "pre_tokenizer type 'Wonder' is not supported.*tokenizer.json" --model="$work/model" --ranks=3
[ "$(grep -c Wonder "$work/log")" = 1 ] || fail "every rank says the same"

# a chat template out of what is understood
cp -f "$root/tests/golden/gpt2-clm/model/tokenizer.json" "$work/model/tokenizer.json"
printf '{{ messages\n | groupby("role") }}' >"$work/model/chat_template.jinja"
printf '{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "there"}]}\n' >"$work/chat.jsonl"
refused gpt2-clm "filter 'groupby', which is not supported.*chat_template.jinja:2" --model="$work/model" \
    --data.train="$work/chat.jsonl" --data.prompt=null --data.completion=null --data.messages=messages
