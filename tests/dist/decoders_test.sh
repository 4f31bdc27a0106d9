#!/bin/bash
# `lora predict` of every decoder's golden case writes what Transformers' greedy search does with the trained adapter.
. "$(dirname "$0")/lib.sh"

# rows whose choice was no near draw
same_texts() { # WANTED GOT
    python3 - "$@" <<'END'
import json, sys
want, got = ([json.loads(line) for line in open(path, encoding="utf-8")] for path in sys.argv[1:])
rows = [w for w in want if w["margin"] > 1e-3]
off = [w["row"] for w in rows if got[w["row"]]["text"] != w["text"]]
print(f"{len(rows)} rows, off: {off}")
sys.exit(len(rows) < 30 or bool(off))
END
}

for golden in "$root"/tests/golden/*/expected/generate.jsonl; do
    case=${golden%/expected/*}
    name=$(basename "$case")
    "$root/bin/lora" predict "$case/dev.jsonl" --adapter="$case/expected" --model="$case/model" \
        --data.prompt=prompt --data.completion=completion --data.max_new_tokens=16 >"$work/texts" 2>"$work/log" ||
        fail "lora predict of $name ended with $?"
    same_texts "$golden" "$work/texts" >"$work/log" || fail "$name writes other texts"
done
