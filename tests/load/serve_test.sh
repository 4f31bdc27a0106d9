#!/bin/bash
# 200 clients for two minutes at `lora serve`, half of which leave in the middle: no leak of memory or descriptors, each text is that of `lora predict`;
# prints p50 and p99. SECONDS_EACH, CLIENTS: other numbers.
# Alone: it takes all cores.
. "$(dirname "$0")/../dist/lib.sh"
golden=$root/tests/golden
export LORA_API_KEY=secret
printf '%s\n' 'hello there' 'the red garden' a 'which clock is it' 'blue' 'Say how the engine seemed:' >"$work/prompts"
for one in expected init; do
    "$root/bin/lora" predict --adapter="$golden/gpt2-text/$one" --model="$golden/gpt2-text/model" \
        --data.max_new_tokens=16 "$work/prompts" >"$work/$one" 2>>"$work/log" || fail "lora predict of $one"
done
"$root/bin/lora" serve --port=0 --model="$golden/gpt2-text/model" --adapter=mine="$golden/gpt2-text/expected" \
    --adapter=start="$golden/gpt2-text/init" >"$work/out" 2>"$work/log" &
server=$!
await 20 grep -q "^listening on" "$work/out"
python3 "$root/tests/support/serve_attack.py" "$(sed 's/^listening on //' "$work/out")" secret load mine,start \
    "${SECONDS_EACH:-120}" "${CLIENTS:-200}" "$work/prompts" "$work/expected,$work/init" $server || fail "under load"
kill $server
wait $server || fail "the server ended with $?"
