#!/bin/bash
# Labels that only the data name: one list for all who train, evaluate and predict, however they are started.
. "$(dirname "$0")/lib.sh"
export LC_ALL=C
says() { # PATTERN WHAT
    tr '\n' ' ' <"$work/log" | grep -q -- "$1" || fail "$2: no word of '$1'"
}
# NAME LABEL...: 24 rows whose labels take turns
rows() {
    local name=$1 i
    shift
    printf 'text\tlabel\n' >"$work/$name.tsv"
    for ((i = 0; i < 24; i++)); do
        printf 'a film number %d of the %d. kind\t%s\n' $i $((i % $#)) "${@:i % $# + 1:1}" >>"$work/$name.tsv"
    done
}
# The run file of the README: no labels, a split, two micro-batches a step so that all ways give the same bits.
cat >"$work/run.yaml" <<END
model: $case_dir/model
task_type: SEQ_CLS
data: {train: labelled.tsv, validation_split: 0.25, text: text, label: label, max_length: 32}
lora: {r: 4, lora_alpha: 8, lora_dropout: 0.1, target_modules: [query, value]}
train: {output_dir: train, batch_size: 4, num_train_epochs: 4, learning_rate: 5e-3, logging_steps: 1}
parallel: {micro_batches: 2}
END
run=$work/run.yaml
rows labelled 'so "good"' 'C:\new' bad
cd "$work" || exit 1

# OUT [option...]: a server of the run file; $ps, $address
serve() {
    local out=$1 port
    shift
    rm -f "$work/port"
    free_port
    "$root/bin/lora_ps" "$run" --train.output_dir="$work/$out" --ps.address="tcp://127.0.0.1:$port" --port-file="$work/port" "$@" >>"$work/log" 2>&1 &
    ps=$!
    await 20 test -s "$work/port"
    address=$(cat "$work/port")
}
# WHAT: the server and its jobs "$@" end well
all_end() {
    local what=$1 job
    shift
    ends_with 0 "the server ($what)" wait $ps
    for job; do
        ends_with 0 "a job ($what)" wait "$job"
    done
}

# ---- every way to start it gives the same adapter

"$root/bin/lora" train "$run" --ranks=2 >"$work/log" 2>&1 || fail "lora train ended with $?"
want=$(sha "$work/train")
says "3 labels found in the data: C:.new, bad, so \"good\"" "lora train"
[ "$(grep -c '^labels: \["C:\\\\new", bad, "so \\"good\\""\]$' "$work/train/run.yaml")" = 1 ] || fail "run.yaml: $(grep ^labels "$work/train/run.yaml")"

: >"$work/log"
many=--train.num_train_epochs=100 # it goes on until the second job is there, too
"$root/bin/lora" train "$run" $many --train.output_dir="$work/many" --ranks=2 >"$work/log" 2>&1 || fail "lora train ended with $?"
serve jobs $many
start_job 1
first=$job
start_job 1
all_end "two jobs by hand" $first $job
[ "$(sha "$work/jobs")" = "$(sha "$work/many")" ] || fail "lora_ps with two jobs changes the adapter"
cmp <(grep ^labels train/run.yaml) <(grep ^labels jobs/run.yaml) || fail "other labels"

serve own # a run file that the worker has itself, as the server's
mpirun -n 2 "$root/bin/lora_worker" "$run" --train.output_dir="$work/own" --ps.address="$address" >>"$work/log" 2>&1
all_end "workers with a run file"
same_bits "$work/own" "workers with a run file"

mpirun -n 1 "$root/bin/lora_worker" "$run" --train.output_dir="$work/alone" >>"$work/log" 2>&1 || fail "one process ended with $?"
same_bits "$work/alone" "a worker with a server of its own"

printf '#!/bin/sh\nshift\nexec sh -c "$*"\n' >"$work/rsh"
chmod +x "$work/rsh"
printf 'here slots=1\nthere slots=1\n' >"$work/hosts"
free_port
LORA_RSH=$work/rsh LORA_ADDRESS=tcp://127.0.0.1:$port "$root/launch/hosts" "$work/hosts" "$run" \
    --train.output_dir="$work/two" >>"$work/log" 2>&1 || fail "launch/hosts ended with $?"
same_bits "$work/two" "launch/hosts"

# ---- a run that one way began goes on in another

# SIGNAL OUT: how a run ends that is broken off at step 2
begun() {
    [ "$(grep -c '"loss"' "$work/$1/metrics.jsonl" 2>/dev/null)" -ge 2 ]
}
slow=(--data.train="$work/long.tsv") # long enough to be broken off
cp labelled.tsv long.tsv
for ((i = 0; i < 200; i++)); do
    tail -n 24 labelled.tsv
done >>long.tsv
serve long "${slow[@]}"
start_job 2
all_end "the whole run" $job
want=$(sha "$work/long")
"$root/bin/lora" train "$run" "${slow[@]}" --train.output_dir="$work/one" --ranks=1 >>"$work/log" 2>&1 &
pid=$!
await 30 begun one
kill -TERM $pid
ends_with 143 "lora train, broken off" wait $pid
serve one "${slow[@]}"
start_job 2
all_end "a run of lora train under lora_ps" $job
same_bits "$work/one" "lora train, then lora_ps and mpirun"
serve other "${slow[@]}"
start_job 2
await 30 begun other
kill -9 $ps
wait $ps 2>/dev/null
kill $job
wait $job 2>/dev/null
"$root/bin/lora" train "$run" "${slow[@]}" --train.output_dir="$work/other" --ranks=1 >>"$work/log" 2>&1 || fail "it does not go on"
same_bits "$work/other" "lora_ps and mpirun, then lora train"

# ---- who waits for the server keeps the labels that it found

: >"$work/log"
serve again "${slow[@]}"
start_job 1
await 30 begun again
kill -9 $ps
wait $ps 2>/dev/null
serve again "${slow[@]}" --ps.address="$address"
all_end "a server that was killed" $job

# ---- evaluation and prediction

# NAME COMMAND...: a figure of the JSON that it prints
figure() {
    local name=$1
    shift
    "$@" 2>"$work/log" >"$work/figures" || fail "ended with $?: $*"
    sed -n "s/.*\"$name\": \([0-9.e-]*\).*/\1/p" "$work/figures"
}
last=$(sed -n 's/.*"eval_loss": *\([0-9.e-]*\).*/\1/p' train/metrics.jsonl | tail -n 1)
by_file=$(figure eval_loss "$root/bin/lora" eval "$run" --adapter=train)
says "held-back 25% of data.train: 6 of 24 rows, seed 42 ($work/labelled.tsv)" "lora eval run.yaml"
[ "$(figure eval_samples "$root/bin/lora" eval train)" = 6 ] || fail "lora eval FOLDER took other rows"
[ "$(figure eval_loss "$root/bin/lora" eval train)" = "$by_file" ] || fail "the folder's evaluation is another than the run file's"
awk -v a="$last" -v b="$by_file" 'BEGIN { exit !(a > 0 && (a - b) ^ 2 < 1e-12) }' || fail "training said $last, lora eval $by_file"
checkpoint=$(ls -d train/checkpoint-* | head -n 1)
figure eval_loss "$root/bin/lora" eval "$checkpoint" >/dev/null
rows two 'so "good"' 'C:\new' # a class is missing, and the others come in another order
[ "$(figure eval_samples "$root/bin/lora" eval train --data.test="$work/two.tsv")" = 24 ] || fail "data.test was not taken"
says "data.test: 24 rows ($work/two.tsv)" "lora eval --data.test"
"$root/bin/lora" predict --adapter=train labelled.tsv >"$work/lines" 2>"$work/log" || fail "predict ended with $?"
[ "$(grep -c '"C:\\\\new":.*"bad":.*"so \\"good\\"":' "$work/lines")" = 24 ] || fail "predict has other labels: $(head -n 1 "$work/lines")"
ends_with 2 "an evaluation of nothing" "$root/bin/lora" eval train --data.validation_split=null 2>"$work/log"
says "there is no validation data to evaluate.*validation_split" "an evaluation of nothing"

# ---- the names of the adapter's outputs are the adapter's

cp -r train copy # as a checkpoint that is copied away: labels.json is all that says them
rm copy/run.yaml
echo 'a film' | "$root/bin/lora" predict --adapter=train 2>/dev/null >said || fail "predict ended with $?"
echo 'a film' | "$root/bin/lora" predict --adapter=copy 2>/dev/null | cmp -s - said || fail "another answer without run.yaml"
grep -q 'so ."good' said || fail "no label's name in the answer"
for adapter in train copy; do
    swapped=('--labels=[bad, "C:\\new", "so \"good\""]')
    pattern="error: the adapter's labels stand in another order: 'bad' is number 0 here, 1 there.*at: --labels"
    echo 'a film' >line.txt
    ends_with 2 "predict of $adapter" "$root/bin/lora" predict --adapter=$adapter "${swapped[@]}" line.txt 2>"$work/log"
    says "$pattern" "predict of $adapter with labels in another order"
    ends_with 2 "eval of $adapter" "$root/bin/lora" eval "$run" --adapter=$adapter "${swapped[@]}" 2>"$work/log"
    says "$pattern" "eval of $adapter with labels in another order"
    ends_with 2 "a run from $adapter" "$root/bin/lora" train "$run" --ranks=1 --train.output_dir="$work/from" \
        --lora.init_adapter="$work/$adapter" "${swapped[@]}" >"$work/log" 2>&1
    says "$pattern" "a run from $adapter with labels in another order"
done
