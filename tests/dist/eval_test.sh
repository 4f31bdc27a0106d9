#!/bin/bash
# lora eval: which rows it takes and says so, of what it is asked; and the refusals about labels.
. "$(dirname "$0")/lib.sh"
export LC_ALL=C
# NAME LABEL...: 24 rows whose labels take turns
rows() {
    local name=$1 i
    shift
    printf 'text\tlabel\n' >"$name.tsv"
    for ((i = 0; i < 24; i++)); do
        printf 'a film number %d of the %d. kind\t%s\n' $i $((i % $#)) "${@:i % $# + 1:1}" >>"$name.tsv"
    done
}
cd "$work" || exit 1
cat >run.yaml <<END
model: $case_dir/model
task_type: SEQ_CLS
data: {train: labelled.tsv, validation_split: 0.25, text: text, label: label, max_length: 32}
lora: {r: 4, lora_alpha: 8, target_modules: [query, value]}
train: {output_dir: mine, batch_size: 8, num_train_epochs: 1, learning_rate: 5e-3}
END
rows labelled good ok bad
rows other good bad
rows third ok bad
# CODE WHAT OPTION...: lora eval; its words in `said` (without the lines on this machine's arithmetic), figures in `figures`
evaluates() {
    local code=$1 what=$2
    shift 2
    "$root/bin/lora" eval "$@" >figures 2>log
    local got=$?
    grep -v ' arithmetic ' log >said
    [ $got = "$code" ] || fail "$what ended with $got instead of $code"
}
# WHAT LINES: what was said, to the letter
said() {
    [ "$(cat said)" = "$2" ] || fail "$1 said: $(cat said)"
}
samples() {
    grep -q "\"eval_samples\": $2\$" figures || fail "$1: $(cat figures)"
}
"$root/bin/lora" train run.yaml --ranks=1 >log 2>&1 || fail "lora train ended with $?"

# ---- which rows

evaluates 0 "a run" mine
said "a run" "held-back 25% of data.train: 6 of 24 rows, seed 42 ($work/labelled.tsv)"
evaluates 0 "data.validation" mine --data.validation=other.tsv
said "data.validation" "data.validation: 24 rows ($work/other.tsv)"
samples "data.validation" 24
evaluates 0 "a file of the run, and another" run.yaml --adapter=mine --data.validation=other.tsv,third.tsv
said "two files" "data.validation: 48 rows ($work/other.tsv and 1 more)"
evaluates 0 "data.test" mine --data.test=other.tsv
said "data.test" "data.test: 24 rows ($work/other.tsv)"
sed -i 's/data: {/data: {test: other.tsv, /' run.yaml
evaluates 0 "the run file's data.test" run.yaml --adapter=mine
said "the run file's data.test" "data.test: 24 rows ($work/other.tsv)"
evaluates 0 "another data.test" run.yaml --adapter=mine --data.test=third.tsv
said "another data.test" "data.test: 24 rows ($work/third.tsv)"
evaluates 0 "what the command line names, before data.test" run.yaml --adapter=mine --data.validation=third.tsv
said "what the command line names" "data.validation: 24 rows ($work/third.tsv)"
evaluates 0 "a share, of the base" run.yaml --data.validation_split=0.5 --labels=good,ok,bad
said "a share, of the base" "held-back 50% of data.train: 12 of 24 rows, seed 42 ($work/labelled.tsv)"
evaluates 2 "named twice" mine --data.validation=other.tsv --data.validation_split=0.5
said "named twice" "error: validation data is named and split off as well
  at: --data.validation and --data.validation_split
  try: keep data.validation or data.validation_split"

# ---- held back is what the run held back

sed 's/{test: other.tsv, /{/' run.yaml >plain.yaml
not_held() { # WHAT WORDS OPTION...
    local what=$1 words=$2
    shift 2
    evaluates 2 "$what" "$@"
    said "$what" "error: $words
  at: mine
  try: rows that were trained on would be called held back; name other rows: --data.test=FILE"
}
others="the adapter's run held other rows back"
not_held "another seed" "$others: train.seed (9 here, 42 there)" mine --train.seed=9
not_held "another share" "$others: data.validation_split (0.5 here, 0.25 there)" plain.yaml --adapter=mine --data.validation_split=0.5
not_held "fewer rows" "$others: data.limit (20 here, null there)" mine --data.limit=20
not_held "bad rows left out" "$others: data.skip_bad_rows (true here, false there)" mine --data.skip_bad_rows=true
cp labelled.tsv moved.tsv
evaluates 0 "the same rows elsewhere" mine --data.train=moved.tsv
said "the same rows elsewhere" "held-back 25% of data.train: 6 of 24 rows, seed 42 ($work/moved.tsv)"
evaluates 0 "the same rows, cut" mine --data.max_length=8
said "the same rows, cut" "held-back 25% of data.train: 6 of 24 rows, seed 42 ($work/labelled.tsv)"
unknown="these rows of data.train are not those that the adapter's run read: which of them it held back is not known"
not_held "other rows" "$unknown" mine --data.train=other.tsv
sed -i '2s/film/flop/' moved.tsv
not_held "a row that was changed" "$unknown" mine --data.train=moved.tsv
not_held "a row that was changed, cut" "$unknown" mine --data.train=moved.tsv --data.max_length=8
cp labelled.tsv kept.tsv
sed -n 2p kept.tsv >>labelled.tsv
not_held "a row more" "$unknown" mine
mv kept.tsv labelled.tsv

# ---- the base is the one that was trained on, the adapter the one that was written

flip() { # FILE: a bit of its last tensor, with the times it had
    python3 - "$1" <<'END'
import os, sys
times = os.stat(sys.argv[1])
with open(sys.argv[1], "r+b") as file:
    file.seek(-5, 2)
    byte = file.read(1)
    file.seek(-5, 2)
    file.write(bytes([byte[0] ^ 1]))
os.utime(sys.argv[1], ns=(times.st_atime_ns, times.st_mtime_ns))
END
}
cp -r "$case_dir/model" base
"$root/bin/lora" train run.yaml --ranks=1 --model=base --train.output_dir=based >log 2>&1 || fail "a base of its own: $?"
evaluates 0 "the base as it was" based --data.test=other.tsv
cp figures right
cp -r base later # other times and inodes, the same base
evaluates 0 "a copy of the base" based --model=later --data.test=other.tsv
cmp -s figures right || fail "a copy of the base gives other figures"
flip base/model.safetensors
is_other() { # WHAT FOLDER COMMAND...
    local what=$1 folder=$2 code
    shift 2
    echo "a film" | "$root/bin/lora" "$@" >figures 2>log
    code=$?
    grep -v ' arithmetic ' log | sed 's/XXH3 [0-9a-f]*, and [0-9a-f]* then/XXH3 A, and B then/' >said
    [ $code = 2 ] || fail "$what ended with $code: $(cat said)"
    said "$what" "error: the base is not the one that the adapter was trained on: its weights or its config.json differ (XXH3 A, and B then)
  at: $folder
  try: name that base (--model=DIR); --other_base takes this one all the same"
}
is_other "eval of a base that was edited" "$work/base" eval based --data.test=other.tsv
is_other "predict of a base that was edited" "$work/base" predict --adapter=based
is_other "its checkpoint" "$work/base" predict --adapter="$(echo based/checkpoint-*)"
is_other "a base of equal shape" "$root/tests/golden/bert-multilabel/model" eval mine --data.test=other.tsv \
    --model="$root/tests/golden/bert-multilabel/model"
evaluates 0 "a base that was edited, all the same" based --data.test=other.tsv --other_base
"$root/bin/lora" predict --adapter=mine --model=base --other_base run.yaml >/dev/null 2>log || fail "predict --other_base"
cp -r mine copied && rm copied/lora_state.json
evaluates 0 "an adapter of which nothing is known" copied --model=base --data.test=other.tsv
echo '{' >copied/lora_state.json
evaluates 2 "a damaged lora_state.json" copied --data.test=other.tsv
grep -q "^  at: copied/lora_state.json" said || fail "a damaged lora_state.json said: $(cat said)"
rm copied/lora_state.json
flip copied/adapter_model.safetensors
evaluates 0 "an adapter that was exchanged" copied --data.test=other.tsv
grep -q "copied/adapter_model.safetensors is not the adapter that the run wrote: its SHA-256 is " said ||
    fail "an adapter that was exchanged: $(cat said)"

"$root/bin/lora" inspect copied >figures 2>&1 || fail "inspect: $(cat figures)"
grep -q "^exchanged  *copied/adapter_model.safetensors is not the adapter" figures || fail "inspect: $(head figures)"
"$root/bin/lora" inspect mine | grep -q '^exchanged' && fail "inspect of an adapter as it was written"
flip mine/adapter_model.safetensors
"$root/bin/lora" train run.yaml --ranks=1 >log 2>&1 || fail "a complete run: $?"
grep -q "mine/adapter_model.safetensors is not the adapter that the run wrote.*; --overwrite trains it again" log ||
    fail "a complete run says nothing of its adapter"
flip mine/adapter_model.safetensors

# ---- no adapter there

mkdir empty begun begun/checkpoint-7 begun/checkpoint-12
touch begun/run.yaml
evaluates 2 "an empty folder beside a run file" empty
said "an empty folder" "error: there is no adapter in this folder: it has no adapter_config.json
  at: empty
  try: name a folder that lora train (train.output_dir) or PEFT's save_pretrained wrote"
evaluates 2 "a run that has not ended" begun
said "a run that has not ended" "error: the run in this folder has not come to its end, and has no adapter yet
  at: begun
  try: take its newest checkpoint, begun/checkpoint-12, or go on with it"
evaluates 2 "a misspelt folder" run.yaml --adapter=mien
said "a misspelt folder" "error: there is no such folder
  at: mien
  try: did you mean 'mine'?"
evaluates 2 "a folder that is nowhere" run.yaml --adapter=nowhere
said "a folder that is nowhere" "error: there is no such folder
  at: nowhere
  try: an adapter is the folder that lora train (train.output_dir) or PEFT's save_pretrained wrote"
evaluates 2 "a misspelt run" mien/
said "a misspelt run" "error: there is no such file or folder
  at: mien/
  try: did you mean 'mine'?"
evaluates 2 "a run that is nowhere" nowhere
said "a run that is nowhere" "error: there is no such file or folder
  at: nowhere
  try: give a run file, or the folder of a run (train.output_dir)"
evaluates 2 "a misspelt run file" rnu.yaml
said "a misspelt run file" "error: there is no such file or folder
  at: rnu.yaml
  try: did you mean 'run.yaml'?"
evaluates 2 "an adapter of others" "$case_dir/init"
said "an adapter of others" "error: there is no run.yaml in this folder: lora train did not write it
  at: $case_dir/init
  try: lora eval RUN.yaml --adapter=$case_dir/init"
echo "a film" | "$root/bin/lora" predict --adapter=empty >figures 2>said
[ $? = 2 ] && grep -q '^error: there is no adapter in this folder' said || fail "lora predict: $(cat said)"

# ---- class numbers that begin with 1 stay what they are

rows numbers 3 1 2
rows less 2 1
"$root/bin/lora" train run.yaml --ranks=1 --data.train=numbers.tsv --train.output_dir=numbers >log 2>&1 || fail "numbers: $?"
grep -q '^labels: \["1", "2", "3"\]$' numbers/run.yaml || fail "numbers: $(grep ^labels numbers/run.yaml)"
evaluates 0 "class numbers, by the run" numbers --data.test=less.tsv
samples "class numbers" 24
mv figures right
evaluates 0 "class numbers, by the run file" run.yaml --adapter=numbers --data.test=less.tsv
cmp -s right figures || fail "1, 2 are other classes to the run file than to the run"

# ---- other labels, and labels that are all alike

rows renamed good fine bad
evaluates 2 "other labels" mine --data.test=renamed.tsv
said "other labels" "error: 'fine' is not one of the 3 labels
  at: $work/renamed.tsv:3
  try: the labels are bad, good, ok (or their numbers from 0); set \`labels:\` in the run file"
# OUT [option...]: a server of the run file; $ps, $address
serve() {
    local out=$1
    shift
    rm -f port
    "$root/bin/lora_ps" run.yaml --train.output_dir="$out" --port-file="$work/port" "$@" >>log 2>&1 &
    ps=$!
    await 20 test -s port
    address=$(cat port)
}
serve differs --train.max_steps=1000000 --train.logging_steps=1000 --train.eval_strategy=no --train.save_strategy=no
mpirun -n 1 "$root/bin/lora_worker" --ps.address="$address" >>log 2>&1 &
first=$!
await 30 grep -q "3 labels found in the data: bad, good, ok" log
mpirun -n 1 "$root/bin/lora_worker" --ps.address="$address" --data.train="$work/renamed.tsv" >second 2>&1
code=$?
[ $code = 2 ] || fail "a worker with other labels ended with $code: $(cat second)"
grep -q "^error: 'fine' is not one of the 3 labels" second || fail "a worker with other labels said: $(cat second)"
kill -0 $ps || fail "a worker with other labels ended the server"
kill $ps $first
wait $ps $first 2>/dev/null
rows alike good
serve alike --data.train="$work/alike.tsv"
mpirun -n 1 "$root/bin/lora_worker" --ps.address="$address" >second 2>&1
code=$?
[ $code = 2 ] || fail "labels that are all alike ended with $code: $(cat second)"
grep -A 2 '^error' second >said
said "labels that are all alike" "error: all labels are 'good': there is nothing to tell apart
  at: $work/alike.tsv
  try: name the labels in the run file (labels: [a, b]), or look at the column (data.label)"
kill $ps
wait $ps 2>/dev/null
[ ! -e alike ] || fail "a run that never began left $(ls alike)"

# ---- a run begins with the adapter of another: its settings and labels, or a refusal

sed -i '/^lora:/d' run.yaml
train() { # CODE WHAT OPTION...
    local code=$1 what=$2 got
    shift 2
    "$root/bin/lora" train run.yaml --ranks=1 --lora.init_adapter=mine "$@" >log 2>&1
    got=$?
    [ $got = "$code" ] || fail "$what ended with $got instead of $code"
}
train 0 "a run that begins with an adapter" --train.output_dir=goes_on
grep -q "as lora.init_adapter has them: lora.r 4, lora.lora_alpha 8.0, lora.target_modules \[query, value\]" log ||
    fail "a run that begins with an adapter"
grep -q '^labels: \[bad, good, ok\]$' goes_on/run.yaml || fail "its labels: $(grep ^labels goes_on/run.yaml)"
train 0 "the same command" --train.output_dir=goes_on
grep -q "the run in this folder is complete" log || fail "the same command begins another run"
train 2 "another rank" --train.output_dir=other --lora.r=16
grep -v ' arithmetic ' log >said
said "another rank" "error: the adapter to begin with has other settings: lora.r (16 here, 4 there)
  at: --lora.init_adapter
  try: leave out of the run file what the adapter says itself; without lora.init_adapter a run begins with fresh values"
train 2 "other modules" --train.output_dir=other --lora.target_modules=query
grep -q "try: .*other than its own are lora.target_modules (\[query\] here, \[query, value\] there)" log || fail "other modules"
[ ! -e other ] || fail "a refused run left $(ls other)"

# ---- what cannot be written is said, not lost

if [ -w /dev/full ]; then
    for words in "eval mine" "train run.yaml --print-config" "--version" "train --help" "inspect mine"; do
        "$root/bin/lora" $words >/dev/full 2>log && fail "lora $words into a full disk ended with 0"
        grep -q "error: cannot write to standard output: No space left on device" log || fail "lora $words: $(cat log)"
    done
fi
