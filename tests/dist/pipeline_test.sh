#!/bin/bash
# A model in stages: the adapter and every figure have the bits that one rank gives, however many stages and lanes there
# are, who dies, and who works beside; what cannot be done is refused before a server is started.
. "$(dirname "$0")/lib.sh"

figures() { grep -oE '"[a-z_]*(loss|bleu|rougeL)": *[^,}]*' "$1/metrics.jsonl"; }

# CASE "RANKS STAGES"... -- option...: the first of them is what the others must be
same_in_stages() {
    local name=$1 first="" at out
    local -a layouts=()
    shift
    while [ "$1" != -- ]; do layouts+=("$1"); shift; done
    shift
    for at in "${layouts[@]}"; do
        out=$work/$name-${at/ /-}
        "$root/bin/lora" train "$root/tests/golden/$name/run.yaml" --ranks="${at% *}" --parallel.pipeline="${at#* }" \
            --train.output_dir="$out" --parallel.threads=1 --parallel.micro_batches=8 --lora.lora_dropout=0.1 "$@" \
            >"$work/log" 2>&1 || fail "$name with $at ended with $?"
        first=${first:-$out}
        [ "$(sha "$out")" = "$(sha "$first")" ] || fail "$name: $at (ranks, stages) give another adapter"
        cmp -s <(figures "$out") <(figures "$first") || fail "$name: $at (ranks, stages) have other figures"
    done
}
drops="{hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.1}"
same_in_stages bert-multilabel "1 1" "3 3" "4 2" -- --train.max_steps=12 "--model_config=$drops"
same_in_stages gpt2-clm "1 1" "2 2" -- --train.max_steps=12 "--model_config={resid_pdrop: 0.1, embd_pdrop: 0.1, attn_pdrop: 0.1}"
same_in_stages vit-imgcls "1 1" "2 2" -- --train.max_steps=8 --data.random_crop=true --data.random_flip=true
# evaluations write texts, token by token over the stages
same_in_stages qwen2-clm "1 1" "2 2" "4 2" -- --train.max_steps=8 --train.eval_strategy=steps --train.eval_steps=4 \
    --data.generate=true --data.max_new_tokens=12 --data.do_sample=true
grep -q '"eval_bleu": *[0-9.]*[1-9]' "$work/qwen2-clm-2-2/metrics.jsonl" || fail "no texts were written"
# micro-batches without examples: 19 of them, 16 a step
same_in_stages llama-clm "1 1" "2 2" -- --train.max_steps=4 --train.batch_size=16 --data.limit=19 --train.eval_strategy=no

# a job in stages beside one that holds the model whole; a rank of the second stage dies, and its mpirun with it
steps=600
reference "$work/one"
want=$(sha "$work/one")
start_staged() { # $job is mpirun's pid
    mpirun -n 2 "$root/bin/lora_worker" --ps.address="$address" --parallel.pipeline=2 >>"$work/log" 2>&1 &
    job=$!
}
start_ps "$work/beside"
start_job 1; a=$job
start_staged; b=$job
await 30 reached "$work/beside" 20
await 30 pgrep -P $b
kill -9 "$(pgrep -P $b | tail -n 1)" 2>/dev/null || fail "no rank to kill"
ends_with 137 "a job whose second stage was killed" wait $b
start_staged; b=$job
wait $ps || fail "two jobs: the server ended with $?"
wait $a $b
same_bits "$work/beside" "a killed stage"
# alone, started again by lora train
"$root/bin/lora" train "$case_dir/run.yaml" --ranks=2 --parallel.pipeline=2 --train.output_dir="$work/alone" "${bits[@]}" \
    --train.max_steps=$steps >"$work/log" 2>&1 &
train=$!
await 30 reached "$work/alone" 20
kill -9 "$(pgrep -P "$(pgrep -P $train -x mpirun)" | tail -n 1)" 2>/dev/null || fail "no rank to kill"
ends_with 0 "a run whose second stage was killed" wait $train
same_bits "$work/alone" "a killed stage that is started again"

# refused by lora train before a server listens
refused() { # PATTERN CASE option...
    local pattern=$1 name=$2
    shift 2
    ends_with 2 "$*" "$root/bin/lora" train "$root/tests/golden/$name/run.yaml" --train.output_dir="$work/refused" "$@" \
        >"$work/log" 2>&1
    grep -q -- "$pattern" "$work/log" || fail "no word of '$pattern'"
    ! grep -q "server listens" "$work/log" || fail "$*: a server was started"
}
refused "the model has 2 blocks, not enough for 3 stages" gpt2-clm --ranks=3 --parallel.pipeline=3
refused "do not make whole copies of the model" gpt2-clm --ranks=3 --parallel.pipeline=2
refused "ranks that share a layer: none, as those of a node share the weights already" gpt2-clm --parallel.tensor=2
refused "2 ranks that hold the model in 2 stages are 1 side by side, not 2" gpt2-clm --ranks=2 --parallel.pipeline=2 --parallel.data=2
refused "is trained in the word table and in the head that is tied to it" gpt2-full-clm --ranks=2 --parallel.pipeline=2
