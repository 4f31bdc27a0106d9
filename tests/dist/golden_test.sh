#!/bin/bash
# `lora train` of the golden cases: every step, the adapter and the evaluation as PEFT has them.
. "$(dirname "$0")/lib.sh"
for name in bert-seqcls bert-multilabel bert-tokcls roberta-pair distilbert-regress gpt2-clm gpt2-text \
    gpt2-seqcls llama-clm qwen2-clm vit-imgcls; do
    for ranks in 1 2; do
        "$root/bin/lora" train "$root/tests/golden/$name/run.yaml" --ranks=$ranks --train.output_dir="$work/$name-$ranks" \
            >"$work/log" 2>&1 || fail "$name with $ranks ranks ended with $?"
        python3 "$root/tests/compare.py" "$root/tests/golden/$name" "$work/$name-$ranks" >"$work/log" 2>&1 ||
            fail "$name with $ranks ranks differs from PEFT"
        for f in adapter_config.json adapter_model.safetensors README.md trainer_state.json metrics.jsonl run.yaml \
            summary.json tokenizer.json tokenizer_config.json; do
            [ -s "$work/$name-$ranks/$f" ] || fail "$f is missing"
        done
        [ ! -e "$work/$name-$ranks/wal" ] || fail "the log is still there"
    done
done
