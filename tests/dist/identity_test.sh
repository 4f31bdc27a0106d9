#!/bin/bash
# Whose run, data and checkpoints these are: who belongs to another run is refused, never taken for its own.
. "$(dirname "$0")/lib.sh"
says() { # PATTERN WHAT
    tr '\n' ' ' <"$work/log" | grep -q -- "$1" || fail "$2: no word of '$1'"
}
refused() { # WHAT PATTERN COMMAND...
    local what=$1 pattern=$2 got=0
    shift 2
    : >"$work/log"
    "$@" >"$work/said" 2>&1 || got=$?
    cat "$work/said" >>"$work/log" # in one piece: a server writes there, too
    [ $got = 4 ] || fail "$what ended with $got instead of 4"
    says "$pattern" "$what"
}
worker() { # [option...]: one rank, in the foreground
    mpirun -n 1 "$root/bin/lora_worker" --ps.address="$address" "$@"
}
long=100000 short=200 # steps of a run that is broken off, and of one that ends
steps=$short
reference "$work/plain"
plain=$(sha "$work/plain")
start_ps "$work/seed43" --train.seed=43
ends_with 0 "a worker" worker >>"$work/log" 2>&1
ends_with 0 "its server" wait $ps
seed43=$(sha "$work/seed43")
[ "$plain" != "$seed43" ] || fail "a seed changes nothing"
sed '2s/neutral/positive/' "$case_dir/train.tsv" >"$work/other.tsv" # as many examples, as many tokens

# ---- another run comes up at the address of one whose server was killed

# WHAT OUT [option...]: the worker $old of $work/old leaves, and a new one works for the new run, which has $want
replaced() {
    local what=$1 out=$2
    shift 2
    kill -9 $ps
    wait $ps 2>/dev/null
    start_ps "$out" --ps.address="$address" "$@"
    [ -z "$frozen" ] || kill -CONT $frozen
    ends_with 4 "a worker of the run before ($what)" wait $old
    says "error: this worker belongs to run [0-9a-f]\{16\}, and the server at this address now has run " "$what"
    says "start the worker again" "$what"
    ends_with 0 "a new worker ($what)" worker >>"$work/log" 2>&1
    ends_with 0 "the new server ($what)" wait $ps
    same_bits "$out" "$what"
}
old_run() { # COMMAND...: of a worker, in the background
    : >"$work/log"
    rm -rf "$work/old"
    steps=$long start_ps "$work/old"
    "$@" >>"$work/log" 2>&1 &
    old=$!
    await 30 reached "$work/old" 5
    frozen=
}
own_file() {
    mpirun -n 1 "$root/bin/lora_worker" "$case_dir/run.yaml" --ps.address="$address" "${bits[@]}" --train.max_steps=$long
}
want=$seed43
old_run worker
replaced "the folder overwritten with another seed" "$work/old" --train.seed=43 --overwrite
old_run worker
frozen=$(pgrep -P "$(pgrep -P $old)")
kill -STOP $frozen || fail "no worker to freeze"
replaced "a worker frozen meanwhile" "$work/new" --train.seed=43
want=$plain
old_run own_file
replaced "a worker with a run file of its own" "$work/shorter"
start_ps "$work/other"  --data.train="$work/other.tsv"
ends_with 0 "a worker" worker >>"$work/log" 2>&1
ends_with 0 "its server" wait $ps
want=$(sha "$work/other")
[ "$want" != "$plain" ] || fail "other data change nothing"
old_run worker
replaced "the same seed with other data" "$work/other2" --data.train="$work/other.tsv"

# ---- other data, settings or models than the run's

want=$plain
: >"$work/log"
steps=$long start_ps "$work/joined"
start_job 1
await 30 reached "$work/joined" 5
host=$(hostname)
refused "a worker with other data" \
    "error: other training data: XXH3 [0-9a-f]\{16\} of 200 examples on $host, but XXH3 [0-9a-f]\{16\} of 200 examples on $host, which began the run; it reads data.train: $work/other.tsv" \
    worker --data.train="$work/other.tsv"
refused "a worker with other validation data" "error: other validation data: XXH3 .* of 200 examples .*; it reads data.validation: $work/other.tsv" worker --data.validation="$work/other.tsv"
refused "a worker with another seed" "error: another configuration: train.seed (42 here, 7 there)" worker --train.seed=7
refused "a worker with another dropout" "error: another configuration: model_config " \
    worker --model_config.hidden_dropout_prob=0.2
cp -r "$case_dir/model" "$work/model"
sed -i 's/"layer_norm_eps": 1e-12/"layer_norm_eps": 1e-11/' "$work/model/config.json"
cmp -s "$work/model/config.json" "$case_dir/model/config.json" && fail "the config.json is the same"
refused "a worker with another config.json" "error: another base model: XXH3 [0-9a-f]\{16\} on $host, but XXH3 " \
    worker --model="$work/model"
kill $ps
wait $ps $job

# model and data may lie elsewhere
cp "$case_dir/model/config.json" "$work/model"
cp "$case_dir/train.tsv" "$work/copy.tsv"
start_ps "$work/elsewhere"
ends_with 0 "a worker whose files lie elsewhere" worker --model="$work/model" --data.train="$work/copy.tsv" >>"$work/log" 2>&1
ends_with 0 "its server" wait $ps
same_bits "$work/elsewhere" "files that lie elsewhere"

# one job on two machines, the second with other data: nobody begins, and the run is still free
two_hosts() {
    mpirun --mca plm_rsh_agent "$work/agent" --mca oob_tcp_if_include lo --mca btl_tcp_if_include lo --mca btl self,vader,tcp \
        --host one:1,two:1 -n 2 "$root/bin/lora_worker" --ps.address="$address"
}
cat >"$work/agent" <<END
#!/bin/bash
host=\$1
shift
exec unshare --uts --mount sh -c "hostname \$host; [ \$host = one ] || mount --bind $work/other.tsv $work/copy.tsv; export LORA_CACHE=$work/cache-\$host; \$*"
END
chmod +x "$work/agent"
if [ "$("$work/agent" two cat "$work/copy.tsv" 2>/dev/null | cmp - "$work/other.tsv" 2>&1)" = "" ]; then
    start_ps "$work/two" --data.train="$work/copy.tsv"
    refused "a job with other data on its second machine" \
        "error: other training data: XXH3 [0-9a-f]\{16\} of 200 examples on [a-z]*, but XXH3 [0-9a-f]\{16\} of 200 examples on [a-z]*, which " two_hosts
    grep -q "on one, but .* on two,\|on two, but .* on one," "$work/log" || fail "the machines are not named"
    kill -0 $ps 2>/dev/null || fail "the server ended with the job that it refused"
    ends_with 0 "a job with one set of data" worker --data.train="$work/other.tsv" >>"$work/log" 2>&1
    ends_with 0 "its server" wait $ps
    want=$(sha "$work/other")
    same_bits "$work/two" "a job that was refused before"
    want=$plain
else
    echo "  left out: two machines (needs root that may use unshare)"
fi

# ---- checkpoints that are another run's, or nobody's

often="--train.save_strategy=steps --train.save_steps=20"
broken_off() { # OUT STEP [option...]: killed behind a step
    local out=$1 step=$2
    shift 2
    steps=$long start_ps "$out" $often "$@"
    start_job 1
    await 30 reached "$out" $step
    kill -9 $ps
    wait $ps 2>/dev/null
    kill $job
    wait $job 2>/dev/null
}
server_ends() { # CODE PATTERN WHAT [option...]
    local code=$1 pattern=$2 what=$3
    shift 3
    : >"$work/log"
    ends_with $code "a server ($what)" timeout 60 "$root/bin/lora_ps" "$case_dir/run.yaml" "${bits[@]}" $often "$@" \
        >>"$work/log" 2>&1
    says "$pattern" "$what"
}
content() {
    find "$1" -type f -exec sha256sum {} + | sort | sha256sum
}

# the folder of --overwrite, killed behind the removal of the log, as earlier versions could leave it
broken_off "$work/left" 45
rm -r "$work/left/wal"
before=$(content "$work/left")
for rate in 0.02 0.05; do
    server_ends 2 "error: there are checkpoints in this folder, but no log .*at: .*/checkpoint-[0-9]* .*--overwrite" \
        "checkpoints without a log" --train.output_dir="$work/left" --train.max_steps=$long --train.learning_rate=$rate
    [ "$(content "$work/left")" = "$before" ] || fail "a folder that was refused was changed"
done

# a checkpoint of another run, newer than all of this one
steps=$short
start_ps "$work/calm" $often
start_job 1
ends_with 0 "an undisturbed run" wait $ps
wait $job
broken_off "$work/donor" 105 --train.seed=43
for into in before behind; do # this run's first checkpoint
    : >"$work/log"
    at=10
    [ $into = before ] || at=45
    start_ps "$work/into-$into" $often
    start_job 1
    await 30 reached "$work/into-$into" $at
    kill -9 $ps
    wait $ps 2>/dev/null
    rm -rf "$work/into-$into"/checkpoint-*.tmp
    cp -r "$work/donor/checkpoint-100" "$work/into-$into/checkpoint-190"
    start_ps "$work/into-$into" --ps.address="$address" $often
    ends_with 0 "the server" wait $ps
    ends_with 0 "its worker" wait $job
    says "a checkpoint is passed over: it is another run's path=[^ ]*checkpoint-190/" "a checkpoint copied in"
    same_bits "$work/into-$into" "a checkpoint copied in $into its own ones"
done

# run.yaml changed by hand, and the run file with it
broken_off "$work/edited" 25
sed -i 's/learning_rate: 0.02/learning_rate: 0.05/' "$work/edited/run.yaml"
server_ends 2 "error: the run in this folder began with another configuration .*try: put run.yaml back" \
    "a run.yaml that was edited" --train.output_dir="$work/edited" --train.max_steps=$long --train.learning_rate=0.05
sed -i 's/learning_rate: 0.05/learning_rate: 0.02/; s/micro_batches: 8/micro_batches: 4/' "$work/edited/run.yaml"
server_ends 2 "error: the run in this folder has 8 micro-batches a step, not 4" "micro-batches that were edited" \
    --train.output_dir="$work/edited" --train.max_steps=$long --parallel.micro_batches=4
