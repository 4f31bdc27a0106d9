#!/bin/bash
# lora merge: the merged model of every family and task measures what PEFT measured of its adapter, without one; of a
# run, of shards, of dtypes; and the refusals.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1

# CODE WHAT OPTION...: lora merge; its words in `said` and `log`
merges() {
    local code=$1 what=$2
    shift 2
    "$root/bin/lora" merge "$@" >said 2>log
    local got=$?
    [ $got = "$code" ] || fail "$what ended with $got instead of $code"
}
# WHAT WORDS: what was said has them
said() {
    cat said >>log
    grep -qF -- "$2" log || fail "$1 does not say '$2'"
}

# MERGED CASE
same_figures() {
    "$root/bin/lora" eval "$root/tests/golden/$2/run.yaml" --model="$PWD/$1" >figures 2>log || fail "lora eval of $2 ended with $?"
    python3 - figures "$root/tests/golden/$2/expected/eval.json" <<'END' >log || fail "merged, $2 measures something else"
import json, sys
got, want = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:])
last = open(sys.argv[2].replace("eval.json", "evals.jsonl"), encoding="utf-8").read().splitlines()[-1]
run = open(sys.argv[2].replace("expected/eval.json", "run.yaml"), encoding="utf-8").read()
if "smoothing" not in run and "class_weights" not in run:
    want["eval_loss"] = json.loads(last).get("eval_loss_plain", want["eval_loss"])  # without AdaLoRA's term
off = [f"{k} is {got.get(k)}, should be {v}" for k, v in want.items() if not abs(got.get(k, float("nan")) - v) <= 1e-4 * max(1, abs(v))]
print("\n".join(off))
sys.exit(bool(off))
END
}

for golden in "$root"/tests/golden/*/run.yaml; do
    ! grep -q '^tasks:' "$golden" || continue # an adapter for each task: tasks_test.sh
    name=$(basename "$(dirname "$golden")")
    labels=$(sed -n 's/^labels: *//p' "$golden")
    problem=$(sed -n 's/^problem_type: *//p' "$golden")
    if [ ! -e "$(dirname "$golden")/expected/adapter_config.json" ]; then # a model that was trained whole
        cp -r "$(dirname "$golden")/expected" "$name"
        cp "$(dirname "$golden")/model/config.json" "$name"
        merges 2 "$name" "$name" no
        said "$name" "this is a whole model, not an adapter: there is nothing to merge"
        continue
    fi
    if grep -qE '"init_lora_weights": "(pissa|olora)' "$(dirname "$golden")/expected/adapter_config.json"; then
        merges 2 "$name" "$(dirname "$golden")/expected" no --model="$(dirname "$golden")/model"
        said "$name" "an adapter whose init_lora_weights changed its base cannot be merged"
        continue
    fi
    merges 0 "$name" "$(dirname "$golden")/expected" "$name" --model="$(dirname "$golden")/model" --dtype=f32 \
        ${labels:+--labels="$labels"} ${problem:+--problem_type="$problem"}
    said "$name" "adapted modules: the largest |dW|/|W| is"
    same_figures "$name" "$name"
done

# ---- of a run: its labels and model are known

"$root/bin/lora" train "$case_dir/run.yaml" --ranks=1 --train.output_dir="$work/run" --train.max_steps=3 \
    --labels=neutral,positive,negative --lora.init_adapter=null >log 2>&1 || fail "lora train ended with $?"
merges 0 "a run" run of-run
python3 - <<'END' || fail "the config.json of a run's model"
import json
config = json.load(open("of-run/config.json"))
assert config["id2label"] == {"0": "neutral", "1": "positive", "2": "negative"}, config
assert config["architectures"] == ["BertForSequenceClassification"], config
END
[ -s of-run/tokenizer.json ] && [ -s of-run/vocab.txt ] || fail "the tokenizer is missing"
merges 2 "a whole model" of-run again
said "a whole model" "this is a whole model, not an adapter: there is nothing to merge"
merges 2 "a folder that is there" run of-run
said "a folder that is there" "'of-run' is there already"

# ---- shards and dtypes

llama=$root/tests/golden/llama-clm
merges 0 shards "$llama/expected" shards --model="$llama/model" --max_shard_size=50KB
said shards "rounding takes away 0.6% of the adapter"
[ "$(ls shards/*.safetensors | wc -l)" = 3 ] || fail "shards: $(ls shards)"
[ "$("$root/bin/lora" inspect shards/model-00001-of-00003.safetensors | grep -c BF16)" -gt 3 ] || fail "shards are not bf16"
merges 0 f16 "$llama/expected" half --model="$llama/model" --dtype=f16
grep -q '"torch_dtype": "float16"' half/config.json || fail "f16: $(cat half/config.json)"
merges 2 "a dtype" "$llama/expected" no --model="$llama/model" --dtype=int8
said "a dtype" "'int8' is no dtype"
merges 2 "a size" "$llama/expected" no --model="$llama/model" --max_shard_size=5
said "a size" "a number with KB, MB or GB behind it"
[ ! -e no ] && [ -z "$(ls -d ./*.tmp-* 2>/dev/null)" ] || fail "something is left of what failed"

# ---- what is rounded away

python3 - "$llama/expected" weak <<'END' # a hundredth of the adapter
import json, os, shutil, sys
shutil.copytree(*sys.argv[1:])
os.chmod("weak", 0o755)
path = "weak/adapter_config.json"
os.chmod(path, 0o644)
config = json.load(open(path))
config["lora_alpha"] /= 100
json.dump(config, open(path, "w"))
END
merges 0 "a weak adapter" weak merged --model="$llama/model"
said "a weak adapter" "of what the adapter adds: --dtype=f32 keeps all of it"

# ---- adapters that cannot be merged

python3 - <<'END'
import json
path = "weak/adapter_config.json"
config = json.load(open(path))
config["layer_replication"] = [[0, 1], [0, 1]]
json.dump(config, open(path, "w"))
END
merges 2 layer_replication weak no --model="$llama/model"
said layer_replication "'layer_replication' is not supported"
merges 2 "another model" "$llama/expected" no --model="$case_dir/model"
merges 2 "no folder" nowhere no
said "no folder" "there is no such folder"
