#!/bin/bash
# `lora serve`: every route, wrong requests, clients that leave or are slow, the queue's end, SIGTERM under load; each
# text is that of `lora predict`.
. "$(dirname "$0")/lib.sh"
golden=$root/tests/golden
export LORA_API_KEY=secret

# ARGUMENTS: a server, $url and $server
serve() {
    "$root/bin/lora" serve --port=0 "$@" >"$work/out" 2>>"$work/log" &
    server=$!
    await 20 grep -q "^listening on" "$work/out"
    url=$(sed 's/^listening on //' "$work/out")
}

# what a client asks, and what one does that must be borne
client() { # PROGRAM ARGUMENTS
    python3 "$root/tests/support/$1.py" "$url" secret "${@:2}" >"$work/said" 2>&1 || {
        cat "$work/said" >>"$work/log"
        fail "$1 $2"
    }
}
ask() {
    client serve_client "$@"
}
attack() {
    client serve_attack "$@"
}

# STATUS: how the server ends
ended() {
    wait $server
    [ $? = "$1" ] || fail "the server ended otherwise than with $1"
}

texts=(--model="$golden/gpt2-text/model" --adapter=mine="$golden/gpt2-text/expected")
serve "${texts[@]}" --adapters_dir="$golden"
ask routes model mine "$golden/gpt2-text/expected"
attack leave mine
attack slow mine
attack crowd mine 1100
# SIGTERM: who is on the way gets an answer
python3 - "$url" $server >"$work/drained" 2>&1 <<'END' || fail "SIGTERM cut a request off: $(cat "$work/drained")"
import http.client, json, os, signal, sys, time, urllib.request
key = {"Authorization": "Bearer secret"}
c = http.client.HTTPConnection(sys.argv[1].removeprefix("http://"))
c.request("POST", "/v1/completions", json.dumps({"model": "mine", "prompt": ["a"] * 32, "max_tokens": 60, "ignore_eos": True}), key)
until = time.time() + 3
while time.time() < until:
    text = urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/metrics", headers=key)).read().decode()
    if any(line.split()[1] != "0" for line in text.splitlines() if line.startswith(("lora_requests_running ", "lora_requests_waiting "))):
        break
    time.sleep(0.001)
os.kill(int(sys.argv[2]), signal.SIGTERM)
sys.exit(c.getresponse().status != 200)
END
ended 0

# texts beside each other, of two adapters, are those of lora predict
serve "${texts[@]}" --adapter=start="$golden/gpt2-text/init"
printf 'hello there\nthe red garden\na\n' >"$work/prompts"
for one in expected init; do
    "$root/bin/lora" predict --adapter="$golden/gpt2-text/$one" --model="$golden/gpt2-text/model" \
        --data.max_new_tokens=16 "$work/prompts" >"$work/$one" 2>>"$work/log" || fail "lora predict of $one"
done
attack load mine,start 4 40 "$work/prompts" "$work/expected,$work/init" $server
kill $server
ended 0

# who sends no whole request in time
serve "${texts[@]}" --body_timeout=1
attack dribble mine 1
kill $server
ended 0

# a queue that is full
serve "${texts[@]}" --max_lanes=1 --max_queue=2
python3 - "$url" >"$work/full" 2>&1 <<'END' || fail "a full queue: $(cat "$work/full")"
import concurrent.futures, json, sys, urllib.error, urllib.request
def one(n):
    body = {"model": "mine", "prompt": "a", "max_tokens": 60, "temperature": 0, "ignore_eos": True}
    try:
        return urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/v1/completions", json.dumps(body).encode(), {"Authorization": "Bearer secret"})).status
    except urllib.error.HTTPError as e:
        error = json.load(e)["error"]
        assert e.code == 429 and error["code"] == "queue_full" and e.headers["Retry-After"], (e.code, error)
        return e.code
with concurrent.futures.ThreadPoolExecutor(40) as pool:
    got = list(pool.map(one, range(200)))
print(got)
sys.exit(not (200 in got and 429 in got))
END
kill -INT $server
ended 0

serve --model="$golden/bert-seqcls/model" --adapter=mine="$golden/bert-seqcls/expected"
ask classes mine
kill $server
ended 0

# embeddings are those of lora embed
printf 'hello there\nthe red garden\nSay how the engine seemed\n' >"$work/texts"
"$root/bin/lora" embed --adapter="$golden/bert-embed-mnr/expected" --model="$golden/bert-embed-mnr/model" "$work/texts" \
    >"$work/embedded" 2>>"$work/log" || fail "lora embed"
serve --model="$golden/bert-embed-mnr/model" --adapter=mine="$golden/bert-embed-mnr/expected" --cors_origin=https://a.example
ask vectors mine "$work/texts" "$work/embedded"
kill $server
ended 0

# refusals before anything is served
refused() {
    "$root/bin/lora" serve --port=0 "${@:2}" >>"$work/log" 2>"$work/error"
    [ $? = 2 ] || fail "lora serve ${*:2} is not refused"
    grep -q -- "$1" "$work/error" || fail "lora serve ${*:2}: $(cat "$work/error")"
}
unset LORA_API_KEY
refused "nothing is to be served"
refused "is not NAME=DIR" --adapter=mine
refused "there is no API key" "${texts[@]}" --host=0.0.0.0
refused "the name 'mine' is taken" "${texts[@]}" --adapter=mine="$golden/gpt2-text/expected"
refused "is no origin" "${texts[@]}" --cors_origin=a.example
refused "the adapter is for SEQ_CLS" "${texts[@]}" --adapter=other="$golden/bert-seqcls/expected"
