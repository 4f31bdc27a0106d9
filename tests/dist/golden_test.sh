#!/bin/bash
# `lora train` of the golden cases, every family and task: every step, the adapter and the evaluation
# as PEFT has them; `lora eval` measures the same of the adapter that was written.
#   RANKS=2 tests/dist/golden_test.sh      every case by so many ranks, and nothing else (make test-golden)
. "$(dirname "$0")/lib.sh"

# the figures of `lora eval` beside those of the case
same_figures() {
    python3 - "$@" <<'END'
import json, sys
got, want = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:])
off = [f"{k} is {got.get(k)}, should be {v}" for k, v in want.items() if not abs(got.get(k, float("nan")) - v) <= 1e-4 * max(1, abs(v))]
print("\n".join(off))
sys.exit(bool(off))
END
}

# CASE RANKS [option...]
check() {
    local name=$1 out=$work/$1-$2 golden=$root/tests/golden/$1 files f
    "$root/bin/lora" train "$golden/run.yaml" --ranks="$2" "${@:3}" --train.output_dir="$out" >"$work/log" 2>&1 ||
        fail "$name with $2 ranks ended with $?"
    python3 "$root/tests/compare.py" "$golden" "$out" >"$work/log" 2>&1 || fail "$name with $2 ranks differs from PEFT"
    files="adapter_config.json adapter_model.safetensors"
    [ ! -e "$golden/expected/model.safetensors" ] || files="config.json model.safetensors"
    files="$files README.md trainer_state.json metrics.jsonl run.yaml summary.json"
    [[ $name = vit-* ]] || files="$files tokenizer.json tokenizer_config.json"
    for f in $files; do
        [ -s "$out/$f" ] || fail "$name: $f is missing"
    done
    [ ! -e "$out/wal" ] || fail "$name: the log is still there"
}

for golden in "$root"/tests/golden/*/run.yaml; do
    name=$(basename "$(dirname "$golden")")
    if [ -n "${RANKS:-}" ]; then
        check "$name" "$RANKS"
        echo "  $name by $RANKS ranks"
        continue
    fi
    check "$name" 1
    "$root/bin/lora" eval "$golden" --adapter="$work/$name-1" >"$work/eval.json" 2>"$work/log" ||
        fail "lora eval of $name ended with $?"
    want=$root/tests/golden/$name/expected/reloaded.json # where an adapter's file does not hold all of the run's values
    [ -e "$want" ] || want=$root/tests/golden/$name/expected/eval.json
    same_figures "$work/eval.json" "$want" >"$work/log" ||
        fail "lora eval of $name differs from PEFT"
done
[ -z "${RANKS:-}" ] || exit 0
# by two ranks, with the model in two stages where that can be, and by the arithmetic of older CPUs than this
lower=x86-64-v3
LORA_ARITHMETIC=$lower "$root/bin/lora" --version 2>/dev/null | grep -q "^arithmetic: $lower," || lower=
for name in bert-seqcls bert-rslora-dora bert-pissa llama-olora bert-adalora gpt2-adalora-clm bert-multilabel bert-tokcls gpt2-dora gpt2-tokens bert-labelsmooth-poly bert-classweights bert-tokcls-balanced bert-loraplus bert-loraplus-dora gpt2-labelsmooth-restarts llama-dora vit-dora roberta-full bert-embed-mnr bert-embed-triplet mpnet-embed-cosine modernbert-embed-cosent gpt2-full-clm electra-pair albert-seqcls modernbert-seqcls deberta-v2-tokcls; do
    stages=2
    case $name in gpt2-tokens | gpt2-full-clm | gpt2-labelsmooth-restarts | albert-seqcls | *-embed-*) stages=1 ;; esac # what is trained of a tied table is of both stages; layers are one
    LORA_ARITHMETIC=$lower check $name 2 --parallel.pipeline=$stages
done
