#!/bin/bash
# Requests of all kinds of damage, 1,400, into servers of texts, classes and embeddings under the address and
# undefined-behaviour sanitizers: they answer, they live, and what they took they give back (leaks are looked for at the end).
. "$(dirname "$0")/../dist/lib.sh"
golden=$root/tests/golden
seed=${SEED:-$RANDOM}
export LORA_API_KEY=secret

# MODEL CLIENT...: a server of this golden case, and what attacks it
attack() {
    local name=$1
    "$build/lora" serve --port=0 --model="$golden/$name/model" --adapter=mine="$golden/$name/expected" \
        --adapters_dir="$golden" >"$work/out" 2>"$work/log" &
    server=$!
    await 60 grep -q "^listening on" "$work/out"
    for what in "${@:2}"; do
        # shellcheck disable=SC2086
        python3 "$root/tests/support/serve_attack.py" "$(sed 's/^listening on //' "$work/out")" secret $what >"$work/said" 2>&1 ||
            { cat "$work/said" >>"$work/log"; fail "$name: $what"; }
        cat "$work/said"
    done
    kill $server
    wait $server || fail "the server ended with $?"
    ! grep -q "ERROR: \|runtime error" "$work/log" || fail "a sanitizer found something"
}
attack gpt2-text "malformed mine 600 $seed" "leave mine"
attack bert-seqcls "malformed mine 400 $seed"
attack bert-embed-mnr "malformed mine 400 $seed"
