#!/bin/bash
# `lora predict` of every golden case of decoders, and of models of two stacks, writes what Transformers' greedy search does with the trained adapter.
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
    columns="--data.prompt=prompt --data.completion=completion"
    [[ $name != *-seq2seq ]] || columns="--data.prompt=source --data.completion=target --data.max_length=40"
    "$root/bin/lora" predict "$case/dev.jsonl" --adapter="$case/expected" --model="$case/model" \
        $columns --data.max_new_tokens=16 >"$work/texts" 2>"$work/log" ||
        fail "lora predict of $name ended with $?"
    same_texts "$golden" "$work/texts" >"$work/log" || fail "$name writes other texts"
done
