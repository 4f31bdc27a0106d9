# Shared by the tests that run the commands of README.md: they are taken from it as they stand, and so is its run file.
# What they need lies in a folder as README has it; replaced are only how many ranks there are and the server's address.
# Sourced after lib.sh.

readme_port=$((20000 + $$ % 20000))
# Indented lines that name a program or a script of ours, without the remark behind them.
readme_commands=$(grep -E '^    (.*\<bin/lora|launch/[a-z]|sbatch |make )' "$root/README.md" | sed 's/^ *//; s/  *# .*//')

# FOLDER: bin/, launch/, the model where the run file has it, and rows with labels of text; and there we are.
readme_place() {
    mkdir -p "$1/path/to"
    ln -s "$root/bin" "$1/bin"
    ln -s "$root/launch" "$1/launch"
    [ -d "$work/long-model" ] || python3 "$root/tests/dist/long_model.py" "$case_dir" "$work/long-model"
    ln -s "$work/long-model" "$1/path/to/bert-base-uncased"
    ln -s "$work/long-model" "$1/path/to/model"
    sed -n '/^```yaml$/,/^```$/p' "$root/README.md" | sed '/^```/d' >"$1/run.yaml"
    python3 - "$1" <<'END'
import csv, random, sys
chance, moods = random.Random(3), {"so good": "good great warm", "C:\\new": "new path drive", "dull, dull": "dull long cold"}
rows = [(" ".join(["the film was", *chance.choices(words.split(), k=3)]), name) for _ in range(200) for name, words in moods.items()]
for name, delimiter in ("labelled.tsv", "\t"), ("labelled.csv", ","):
    with open(sys.argv[1] + "/" + name, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([("text", "label"), *rows])
END
    cd "$1" || exit 1
}

# PATTERN: README's one command with that in it is in $command, and in $readme_commands no more.
readme_take() {
    command=$(grep -- "$1" <<<"$readme_commands")
    [ -n "$command" ] && [ "$(wc -l <<<"$command")" = 1 ] || fail "not one command with '$1' in README: $command"
    readme_commands=$(grep -vxF -- "$command" <<<"$readme_commands")
    command=$(sed "s/^[a-z]*\\$ //; s/head:7700/127.0.0.1:$readme_port/; s/0\.0\.0\.0:7700/0.0.0.0:$readme_port/
        s/mpirun -n 16/mpirun -n 2/; s/ntasks-per-node=16/ntasks-per-node=2/" <<<"$command")
}

# PATTERN: runs it; what it prints is in $work/out and $work/log
readme_run() {
    readme_take "$1"
    eval "$command" >"$work/out" 2>"$work/log" || fail "README's '$command' ended with $?"
}

# What came of a run: its labels are those of the rows, its evaluation that of the rows held back, its bits those
# of one rank with as many micro-batches.
readme_is_good() {
    local micro
    grep -q '^labels: \["C:\\\\new", "dull, dull", "so good"\]$' runs/mine/run.yaml || fail "$1: $(grep ^labels runs/mine/run.yaml)"
    micro=$(sed -n 's/^  micro_batches: //p' runs/mine/run.yaml)
    [ -d "$work/one-$micro" ] || bin/lora train run.yaml --ranks=1 --parallel.micro_batches="$micro" \
        --train.output_dir="$work/one-$micro" >"$work/log" 2>&1 || fail "a rank alone ended with $?"
    [ "$(sha runs/mine)" = "$(sha "$work/one-$micro")" ] || fail "$1: not the adapter of one rank and $micro micro-batches"
    bin/lora eval runs/mine >"$work/eval" 2>"$work/log" || fail "$1: lora eval of its folder ended with $?"
    python3 - "$work/eval" <<'END' || fail "$1: $(cat "$work/eval")"
import json, sys
with open(sys.argv[1]) as file, open("runs/mine/metrics.jsonl") as lines:
    now, then = json.load(file), [row for row in map(json.loads, lines) if "eval_loss" in row][-1]
assert now["eval_samples"] == 60 and abs(now["eval_loss"] - then["eval_loss"]) < 1e-6, then
END
    bin/lora predict --adapter=runs/mine labelled.csv >"$work/answers" 2>"$work/log" || fail "$1: predict of a .csv ended with $?"
    [ "$(grep -c '"C:\\\\new":.*"dull, dull":.*"so good":' "$work/answers")" = 600 ] || fail "$1: $(head -n 1 "$work/answers")"
}
