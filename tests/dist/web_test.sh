#!/bin/bash
# The status page, /metrics, /healthz and the JSON behind them: their numbers are those of metrics.jsonl, a restarted
# server goes on at the same place, and nobody from elsewhere gets in.
. "$(dirname "$0")/lib.sh"
steps=60
reference "$work/one"
want=$(sha "$work/one")
start_ps "$work/short" --ps.http=127.0.0.1:0
start_job 1
ends_with 0 "a server with a status page" wait $ps
wait $job || true
grep -q "status page at http://127.0.0.1:[1-9]" "$work/log" || fail "no word of where the page is"
same_bits "$work/short" "a status page"

steps=1000000 # until it is stopped
refused() { # PATTERN COMMAND...
    local pattern=$1 got=0
    shift
    "$@" >"$work/said" 2>&1 || got=$?
    [ $got = 2 ] && tr '\n' ' ' <"$work/said" | grep -q -- "$pattern" || fail "'$*' ended with $got: $(cat "$work/said")"
}
ps_of() {
    refused "$1" "$root/bin/lora_ps" "$case_dir/run.yaml" --train.output_dir="$work/none" --ps.http="$2"
}
ps_of "others can reach '0.0.0.0:8080', and the status page asks for no key.*ps.insecure: true" 0.0.0.0:8080
ps_of "'localhost' is no HOST:PORT for ps.http" localhost
[ ! -e "$work/none/wal" ] || fail "a server that did not start has left a log"

free_port
web=127.0.0.1:$port
start_ps "$work/run" --ps.http=$web --train.save_strategy=steps --train.save_steps=100
cat >"$work/look.py" <<'EOF'
import json, re, sys, urllib.error, urllib.request
base, folder = "http://" + sys.argv[1], sys.argv[2]
def get(path, headers={}, method="GET"):
    try:
        r = urllib.request.urlopen(urllib.request.Request(base + path, headers=headers, method=method), timeout=20)
        return r.status, r.read(), r.headers
    except urllib.error.HTTPError as e:
        return e.code, e.read(), e.headers
def must(ok, what):
    if not ok:
        sys.exit("  FAILED: " + what)
code, text, _ = get("/healthz")
must((code, text) == (200, b"ok\n"), f"/healthz says {code} {text}")
status = json.loads(get("/status.json")[1])
code, part, headers = get("/metrics.jsonl", {"Range": "bytes=10-29"})
file = open(folder + "/metrics.jsonl", "rb").read()
must(code == 206 and part == file[10:30] and headers["Content-Range"].startswith("bytes 10-29/"), f"a part is {code} {part}")
must(get("/metrics.jsonl", {"Range": "bytes=99999999-"})[0] == 416, "a part behind the end is no 416")
must(get("/metrics.jsonl")[1].startswith(file[:len(file)]), "/metrics.jsonl is not the file")
must(get("/nothing")[0] == 404 and get("/status.json", method="POST")[0] == 405, "404 or 405 are others")
must(b"<title>" in get("/")[1] and "default-src 'none'" in get("/")[2]["Content-Security-Policy"], "there is no page")
lines = [json.loads(l) for l in file.decode().split("\n")[:-1]]
last = next(l for l in lines if l["step"] == status["last"]["step"])
must(all(last[k] == status["last"][k] for k in status["last"]), f"{last} is not {status['last']}")
# Prometheus: a HELP and a TYPE before each name, once; numbers are those of a line of metrics.jsonl
text, kinds, values = get("/metrics")[1].decode(), {}, {}
must(text.endswith("\n"), "/metrics does not end in a newline")
for line in text.splitlines():
    if line.startswith("# HELP "):
        continue
    if m := re.fullmatch(r"# TYPE ([a-z_]+) (counter|gauge)", line):
        must(m[1] not in kinds, f"{m[1]} comes twice")
        kinds[m[1]] = m[2]
        continue
    m = re.fullmatch(r'([a-z_]+)(\{[a-z_]+="(?:[^"\\\n]|\\.)*"(?:,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})? (\S+)', line)
    must(m and m[1] in kinds and (kinds[m[1]] == "counter") == m[1].endswith("_total"), f"no sample: {line}")
    values[m[1]] = float(m[3])
must(any((values["lora_loss"], values["lora_learning_rate"], values["lora_gradient_norm"]) ==
         (l["loss"], l["learning_rate"], l["grad_norm"]) for l in map(json.loads, open(folder + "/metrics.jsonl"))),
     "no line has the loss of /metrics")
must(values["lora_workers"] == 1 and values["lora_worker_memory_bytes"] > 1e6 and values["lora_degraded"] == 0, "the workers")
print(status["step"])
EOF
start_job 2
await 30 reached "$work/run" 300
before=$(python3 "$work/look.py" $web "$work/run") || fail "$before"

# the page in a browser, before and behind a restart: its newest lines are lines of the file
page_has_lines() {
    timeout 60 chromium --headless=old --no-sandbox --disable-gpu --virtual-time-budget=3000 --dump-dom "http://$web/" \
        >"$work/dom" 2>/dev/null || fail "chromium ended with $?"
    python3 - "$work/dom" "$work/run/metrics.jsonl" <<'EOF' || fail "the page's lines are none of metrics.jsonl"
import html, json, re, sys
rows = [json.loads(html.unescape(r)) for r in re.findall(r'data-line="([^"]*)"', open(sys.argv[1]).read())]
lines = [json.loads(l) for l in open(sys.argv[2]).read().split("\n")[:-1]]
sys.exit(not (len(rows) == 12 and all(r in lines for r in rows)))
EOF
}
if command -v chromium >/dev/null; then
    page_has_lines
else
    echo "  without chromium: the page is not looked at"
fi
kill -9 $ps
wait $ps 2>/dev/null
start_ps "$work/run" --ps.address="$address" --ps.http=$web --train.save_strategy=steps --train.save_steps=100
await 30 reached "$work/run" $((before + 20))
await 20 python3 "$work/look.py" $web "$work/run"
! command -v chromium >/dev/null || page_has_lines

# a port that is taken is an error, before anybody works
refused_code=0
"$root/bin/lora_ps" "$case_dir/run.yaml" --train.output_dir="$work/second" --ps.http=$web >"$work/said" 2>&1 || refused_code=$?
[ $refused_code = 1 ] && grep -q "cannot listen at $web: Address already in use" "$work/said" || fail "a port that is taken: $refused_code $(cat "$work/said")"
"$root/bin/lora" stop "$work/run" >/dev/null || fail "it does not stop"
ends_with 143 "the server" wait $ps
wait $job || true
