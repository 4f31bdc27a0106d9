#!/bin/bash
# A model that no process holds whole is asked: each rank of an mpirun holds a stage of it, and what lora_worker --evaluate
# and --predict say is, byte for byte, what `lora eval` and `lora predict` say in one process. Where there is no room for
# the whole, these say what would do it.
. "$(dirname "$0")/lib.sh"
golden=$root/tests/golden

# RANKS WORDS...: both give the same answers, of one line at least; $work/log has what the ranks said besides
same_answers() { # RANKS eval|predict WORDS...; from $work/in
    local ranks=$1 what=$2 verb=--predict
    shift 2
    [ $what = eval ] && verb=--evaluate
    "$root/bin/lora" $what "$@" <"$work/in" >"$work/one" 2>"$work/log" || fail "lora $what $* ended with $?"
    mpirun -n "$ranks" "$root/bin/lora_worker" $verb "$@" <"$work/in" >"$work/stages" 2>"$work/log" ||
        fail "$ranks ranks $verb $* ended with $?"
    [ -s "$work/one" ] || fail "lora $what $* says nothing"
    cmp -s "$work/one" "$work/stages" || fail "$ranks ranks $verb $*: other answers"
}
printf 'a small film\nwhat\na cat sits on the mat and sleeps\n' >"$work/in"
for name in bert-multilabel vit-imgcls bert-tokcls; do
    ranks=2
    [ $name = bert-multilabel ] && ranks=3
    same_answers $ranks eval "$golden/$name/run.yaml" --adapter="$golden/$name/expected"
done
same_answers 2 predict --adapter="$golden/bert-seqcls/expected" --model="$golden/bert-seqcls/model" --logits
writes=(--data.prompt=prompt --data.completion=completion --data.max_new_tokens=8)
for name in llama-clm gpt2-clm; do
    of=(--adapter="$golden/$name/expected" --model="$golden/$name/model")
    same_answers 2 eval "$golden/$name/run.yaml" "${of[0]}" --data.generate=true "${writes[@]}"
    grep -q eval_bleu "$work/stages" || fail "$name: no texts were written"
    same_answers 2 predict "${of[@]}" "${writes[@]}" "$golden/$name/dev.jsonl"
    same_answers 2 predict "${of[@]}" --data.max_new_tokens=8 --data.do_sample=true # from standard input, line by line
done
[ "$(wc -l <"$work/stages")" = 3 ] || fail "three lines have $(wc -l <"$work/stages") answers"

# there is no room for the whole
of=(--adapter="$golden/llama-clm/expected" --model="$golden/llama-clm/model")
some=0.15MB # the whole is 0.235 MB, a stage 0.118
"$root/bin/lora" predict "${of[@]}" --parallel.memory=$some <"$work/in" >"$work/one" 2>"$work/log"
[ $? = 2 ] && grep -q "try: mpirun -n [34] .* lora_worker --evaluate (or --predict)" "$work/log" ||
    fail "no word of what would do it"
mpirun -n 2 "$root/bin/lora_worker" --predict "${of[@]}" --parallel.memory=$some <"$work/in" >"$work/stages" 2>"$work/log" ||
    fail "a stage has no room where the whole has none, and ended with $?"

# what cannot be done is said once, and with the command's code
refused() { # PATTERN RANKS WORDS...
    local pattern=$1 ranks=$2
    shift 2
    mpirun -n "$ranks" "$root/bin/lora_worker" "$@" </dev/null >"$work/stages" 2>"$work/log"
    [ $? = 2 ] || fail "$*: does not end with 2"
    [ "$(grep -c -- "$pattern" "$work/log")" = 1 ] || fail "$*: not one word of '$pattern'"
}
refused "there is no such file or folder" 2 --predict "${of[@]}" nothing.jsonl
refused "the model has 2 blocks, not enough for 3 stages" 3 --predict "${of[@]}"
refused "a model in 2 stages answers with one adapter" 2 --predict --adapter=a="$golden/llama-clm/expected"
refused "an argument is missing" 2 --evaluate
refused "is not cut into stages" 2 --evaluate "$golden/bart-seq2seq/run.yaml"
