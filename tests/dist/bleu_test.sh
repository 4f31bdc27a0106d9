#!/bin/bash
# A model learns a few answers nearly by heart: BLEU of what it then writes, beside several references, is the same
# whoever writes, and that of the texts of `lora predict` by sacrebleu's formula.
. "$(dirname "$0")/lib.sh"

# DIR: rows to learn, and rows to measure on: prompts with one to three answers, not next to each other, some of them new
python3 - "$work" <<'END'
import json, sys
things = "bridge clock engine garden harbour jacket kettle river soup violin window winter".split()
colours, words = "red blue green grey".split(), "bright dull fine grand grim lovely".split()
def row(i, word, colour):
    return {"prompt": f"What colour is the {things[i]}?", "completion": f" It is {colour}. The {things[i]} was {word} and {colour}."}
learnt = [row(i, words[i % 6], colours[i % 4]) for i in range(12)]
measured = learnt[::-1]
measured += [row(i, words[(i + 1) % 6], colours[i % 4]) for i in range(0, 12, 2)]
measured += [row(i, words[(i + 2) % 6], colours[(i + 1) % 4]) for i in range(0, 12, 3)]
measured += [{"prompt": f"Say how the {t} was:", "completion": f" The {t} was lovely and red, it is said."} for t in things[:3]]
for name, rows in (("train", learnt), ("dev", measured)):
    with open(f"{sys.argv[1]}/{name}.jsonl", "w") as file:
        file.writelines(json.dumps(r) + "\n" for r in rows)
END
options=("--data.train=$work/train.jsonl" "--data.validation=$work/dev.jsonl" --data.generate=true --data.max_new_tokens=24
    --lora.init_adapter=null --lora.target_modules=all-linear --lora.r=16 --lora.lora_alpha=32 --train.max_steps=60
    --train.batch_size=12 --train.learning_rate=0.02 --train.eval_strategy=steps --train.eval_steps=30
    --parallel.micro_batches=4 --parallel.micro_batch_tokens=128)
run=$root/tests/golden/gpt2-clm/run.yaml

# DIR: the evaluations, without their times
evaluations() {
    grep -o '"eval_\(loss\|perplexity\|bleu\|rougeL\)": *[^,}]*' "$1/metrics.jsonl"
}

for ranks in 1 2 4; do
    "$root/bin/lora" train "$run" --ranks=$ranks --train.output_dir="$work/r$ranks" "${options[@]}" >"$work/log" 2>&1 ||
        fail "$ranks ranks ended with $?"
    [ "$(evaluations "$work/r$ranks" | wc -l)" = 8 ] || fail "$ranks ranks: not two evaluations of four figures"
    [ "$(sha "$work/r$ranks")" = "$(sha "$work/r1")" ] || fail "$ranks ranks give another adapter"
    cmp -s <(evaluations "$work/r$ranks") <(evaluations "$work/r1") || fail "$ranks ranks find other figures"
done

"$root/bin/lora" eval "$run" --adapter="$work/r4" "${options[@]}" >"$work/eval.json" 2>"$work/log" || fail "lora eval ended with $?"
python3 -c '
import json, sys
for prompt in dict.fromkeys(json.loads(line)["prompt"] for line in open(sys.argv[1])):
    print(prompt)' "$work/dev.jsonl" >"$work/prompts.txt"
"$root/bin/lora" predict --adapter="$work/r4" --model="$root/tests/golden/gpt2-clm/model" --data.max_new_tokens=24 \
    "$work/prompts.txt" >"$work/texts.jsonl" 2>"$work/log" || fail "lora predict ended with $?"
python3 - "$work" >"$work/log" 2>&1 <<'END' || fail "BLEU is not what it should be"
import collections, json, math, re, sys
def lines(name):
    return [json.loads(line) for line in open(f"{sys.argv[1]}/{name}", encoding="utf-8")]
def words(text):  # of ASCII without numbers, what 13a makes of it
    return re.sub(r"([{-~\[-` -&(-+:-@/.,])", r" \1 ", text).split()
def grams(text, n):
    return collections.Counter(tuple(text[i:i + n]) for i in range(len(text) - n + 1))
answers = collections.defaultdict(list)
for r in lines("dev.jsonl"):
    answers[r["prompt"]].append(words(r["completion"]))
made = [words(r["text"]) for r in lines("texts.jsonl")]
length = nearest = 0
right, total = [0] * 4, [0] * 4
for text, wanted in zip(made, answers.values(), strict=True):
    length += len(text)
    nearest += min((abs(len(w) - len(text)), len(w)) for w in wanted)[1]
    for n in range(4):
        most = collections.Counter()
        for w in wanted:
            most |= grams(w, n + 1)
        right[n] += sum((grams(text, n + 1) & most).values())
        total[n] += sum(grams(text, n + 1).values())
want = 100 * min(1, math.exp(1 - nearest / length)) * math.prod(r / t for r, t in zip(right, total)) ** 0.25
alone = json.load(open(f"{sys.argv[1]}/eval.json"))
last = [r for r in lines("r4/metrics.jsonl") if "eval_bleu" in r][-1]
print(f"{len(answers)} prompts, texts such as {made[:3]}, BLEU {want}, lora eval {alone}, the ranks {last}")
sys.exit(not (20 < want < 95 and abs(want - last["eval_bleu"]) < 1e-9 and 0.2 < last["eval_rougeL"] < 0.95 and
              all(abs(alone[k] - last[k]) < 1e-12 for k in ("eval_loss", "eval_bleu", "eval_rougeL"))))
END

# ---- a run goes on with texts, and without: neither changes its bits
constant=("${options[@]}" --train.lr_scheduler_type=constant --train.warmup_steps=0 --train.save_strategy=epoch)
went() { # OUT WHAT OPTION...
    local out=$1 what=$2
    shift 2
    "$root/bin/lora" train "$run" --ranks=1 --train.output_dir="$work/$out" "${constant[@]}" "$@" >"$work/log" 2>&1 ||
        fail "$what ended with $?"
}
went whole "a run with texts"
went part "a run without texts" --data.generate=false --train.max_steps=30
! grep -q eval_bleu "$work/part/metrics.jsonl" || fail "texts were generated that nobody asked for"
went part "the same with texts"
tr '\n' ' ' <"$work/log" | grep -q "changed: data.generate (false before, now true); train.max_steps (30 before, now 60)" ||
    fail "nothing is said of the texts that are generated now"
[ "$(sha "$work/part")" = "$(sha "$work/whole")" ] || fail "generated texts change the adapter"
cmp -s <(evaluations "$work/part" | tail -n 4) <(evaluations "$work/whole" | tail -n 4) || fail "a run that went on measures otherwise"
went part "the same with shorter texts, longer" --data.max_new_tokens=3 --train.max_steps=61
