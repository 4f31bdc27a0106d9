#!/bin/bash
# A model of 3.4 GB, fp32, over 4 ranks: each is in a memory cgroup of 40% of it, reads its stage alone, and holds no more
# than a quarter, 10%, and what it computes with. One rank with the whole model is killed in such a cgroup. The adapters
# of 4 stages and of 1 are the same, bit by bit.
place=${TMPDIR:-/tmp}
. "$(dirname "$0")/../dist/lib.sh"
group=/sys/fs/cgroup/memory/lora-large-$$
[ "$(id -u)" = 0 ] && mkdir "$group" 2>/dev/null || skip "there is no memory cgroup (version 1) to write into"
at_leave() { rmdir "$group"/*/ "$group" 2>/dev/null; }
# room for the windows: a /dev/shm of this test's own
if [ -z "${LARGE_SHM:-}" ]; then
    rmdir "$group"
    LARGE_SHM=1 exec unshare -m bash -c 'mount -t tmpfs -o size=5g tmpfs /dev/shm && exec bash "$0"' "$0"
fi
"$build/tests/dist/make_model" "$work/model" llama || fail "make_model ended with $?"
cp "$root"/tests/golden/llama-clm/model/{tokenizer.json,tokenizer_config.json,special_tokens_map.json} "$work/model"
model=$(stat -c %s "$work/model/model.safetensors")
limit=$((model * 40 / 100))
case_dir=$root/tests/golden/llama-clm
bits=(--model="$work/model" --lora.init_adapter=null --lora.r=8 --train.max_steps=2 --train.batch_size=8
    --parallel.micro_batches=8 --train.eval_strategy=no --parallel.threads=1)

steps=2

# a rank in a cgroup of its own
cat >"$work/caged" <<END
#!/bin/bash
cage=$group/\$OMPI_COMM_WORLD_RANK
mkdir -p \$cage && echo $limit >\$cage/memory.limit_in_bytes && echo \$\$ >\$cage/cgroup.procs
exec "$root/bin/lora_worker" "\$@"
END
chmod +x "$work/caged"
run() { # OUT RANKS STAGES PROGRAM; $address
    start_ps "$1"
    mpirun -n "$2" "$4" --ps.address="$address" --parallel.pipeline="$3" >"$work/log" 2>&1 &
    job=$!
}
# most resident memory of each rank so far, MB: its own, and of the shared windows (mapped files are only read)
watch_ranks() {
    local pid
    while kill -0 $job 2>/dev/null; do
        for pid in $(pgrep -P $job -x lora_worker); do
            awk -v p=$pid '/^(RssAnon|RssShmem):/ { sum += $2 } END { print p, int(sum / 1000) }' /proc/$pid/status 2>/dev/null
        done
        sleep 0.2
    done | sort -k1,1 -k2,2n | awk '{ most[$1] = $2 } END { for (p in most) print most[p] }' | sort -n
}
run "$work/four" 4 4 "$work/caged"
mb=$(watch_ranks)
wait $job || fail "4 stages in cgroups of $((limit / 1000000)) MB ended with $?"
wait $ps || fail "the server ended with $?"
grep "stage " "$work/log" | sed 's/^.*info//'
grep -q "stage *1 of 4: blocks 0..2, " "$work/log" && grep -q "stage *4 of 4: blocks 11..13, " "$work/log" ||
    fail "the blocks are not dealt 3, 4, 4, 3"
read -r read_most read_all < <(sed -n 's/^.*stage.*read \([0-9.]*\) MB/\1/p' "$work/log" |
    awk '{ sum += $1; most = $1 > most ? $1 : most } END { printf "%d %d\n", most, sum }')
[ "$read_all" -le $((model / 1000000 + 4)) ] && [ "$read_most" -le $((model * 26 / 100000000)) ] ||
    fail "$read_most MB were read for a stage, $read_all MB in all, of $((model / 1000000)) MB"
most=$(tail -n 1 <<<"$mb")
allowed=$((model * 110 / 400000000 + 150)) # a quarter and 10%; activations of 4 micro-batches, messages, libraries
echo "  memory of the ranks:" $mb "MB of $((model / 1000000)) MB, allowed $allowed MB; read: $read_most MB a stage at the most"
[ "$(wc -l <<<"$mb")" = 4 ] && [ "$most" -le $allowed ] || fail "a rank has $most MB, not $allowed"

run "$work/caged-one" 1 1 "$work/caged"
ends_with 137 "a rank with the whole model in that cgroup" wait $job
kill $ps
wait $ps
run "$work/one" 1 1 "$root/bin/lora_worker"
wait $job || fail "one rank ended with $?"
wait $ps || fail "the server ended with $?"
[ "$(sha "$work/one")" = "$(sha "$work/four")" ] || fail "4 stages give another adapter than one"

# room for a stage, but not for both
mount -o remount,size=2g /dev/shm
run "$work/narrow" 2 2 "$root/bin/lora_worker"
ends_with 1 "two stages of 1.7 GB in a /dev/shm of 2 GB" wait $job
grep -q "/dev/shm has room for 2147.5 MB, the ranks of this node share 34" "$work/log" || fail "it does not say what is missing"
kill $ps
wait $ps
