#!/bin/bash
# `lora predict` with several adapters over one base: each row has the answer of its own adapter, alone.
. "$(dirname "$0")/lib.sh"
golden=$root/tests/golden

# CASE ADAPTERS TEXT FIELD OPTIONS...: rows of all adapters in turn beside each adapter's own answers
check() {
    local name=$1 field=$4
    local several=()
    for one in $2; do several+=(--adapter="$one=$golden/$name/$one"); done
    python3 - "$2" "$3" "$work" <<'END'
import json, sys
names, texts = sys.argv[1].split(), sys.argv[2].split("|")
with open(sys.argv[3] + "/rows.jsonl", "w", encoding="utf-8") as rows:
    for i in range(12):
        json.dump({"text": texts[i % len(texts)], "adapter": names[i * 5 % len(names)]}, rows)
        rows.write("\n")
END
    "$root/bin/lora" predict --model="$golden/$name/model" "${several[@]}" "${@:5}" "$work/rows.jsonl" >"$work/mixed" 2>"$work/log" ||
        fail "$name: several adapters"
    for one in $2; do
        "$root/bin/lora" predict --model="$golden/$name/model" --adapter="$golden/$name/$one" "${@:5}" "$work/rows.jsonl" \
            >"$work/$one" 2>"$work/log" || fail "$name: $one alone"
    done
    python3 - "$field" "$work" "$2" >"$work/log" <<'END' || fail "$name: a row has another answer than its adapter's"
import json, sys
field, work, names = sys.argv[1], sys.argv[2], sys.argv[3].split()
lines = lambda name: [json.loads(x) for x in open(f"{work}/{name}", encoding="utf-8")]
alone, mixed, rows = {n: lines(n) for n in names}, lines("mixed"), lines("rows.jsonl")
differ = 0
for i, (row, got) in enumerate(zip(rows, mixed, strict=True)):
    want = alone[row["adapter"]][i]
    near = all(abs(a - b) < 1e-5 for a, b in zip(got["logits"], want["logits"])) if field == "logits" else got[field] == want[field]
    if not near or got["adapter"] != row["adapter"]:
        sys.exit(f"row {i}: {got}, not {want}")
    differ += any(alone[n][i][field] != want[field] for n in names)
sys.exit(differ == 0 and "all adapters say the same: that shows nothing")
END
}
check combine "a b cat linear" "What colour is the river?|river|Say how the engine seemed:" text --data.text=text --data.max_new_tokens=12
check bert-seqcls "init expected" "the garden is red|a film|dull and cold" logits --logits

refused() {
    "$root/bin/lora" predict --model="$golden/combine/model" "${@:2}" >"$work/log" 2>"$work/error"
    [ $? = 2 ] && grep -q -- "$1" "$work/error" || fail "not refused with '$1': $(cat "$work/error")"
}
both=(--adapter=a="$golden/combine/a" --adapter=b="$golden/combine/b")
echo '{"text": "river", "adapter": "c"}' >"$work/wrong.jsonl"
refused "'c' is the name of no adapter" "${both[@]}" --data.text=text "$work/wrong.jsonl"
echo '{"text": "river"}' >"$work/wrong.jsonl"
refused "does not say which adapter" "${both[@]}" --data.text=text "$work/wrong.jsonl"
echo river >"$work/lines"
refused "do not say which of several" "${both[@]}" "$work/lines"
refused "several adapters need a name each" --adapter="$golden/combine/a" --adapter="$golden/combine/b" "$work/lines"
refused "two adapters are called 'a'" --adapter=a="$golden/combine/a" --adapter=a="$golden/combine/b" "$work/lines"

# `lora eval`: figures by name, each as its adapter's alone
case_dir=$golden/bert-seqcls
for one in init expected; do
    "$root/bin/lora" eval "$case_dir/run.yaml" --adapter="$case_dir/$one" >"$work/$one.json" 2>"$work/log" || fail "lora eval of $one"
done
"$root/bin/lora" eval "$case_dir/run.yaml" --adapter=a="$case_dir/init" --adapter=b="$case_dir/expected" >"$work/both.json" 2>"$work/log" ||
    fail "lora eval of two adapters"
python3 - "$work" >"$work/log" 2>&1 <<'END' || fail "two adapters have other figures than each alone"
import json, sys
init, expected, both = (json.load(open(f"{sys.argv[1]}/{name}.json")) for name in ("init", "expected", "both"))
assert both == {"a": init, "b": expected} and init != expected, both
END
evaluates() { # PATTERN ADAPTERS...
    "$root/bin/lora" eval "$case_dir/run.yaml" "${@:2}" >"$work/log" 2>"$work/error"
    [ $? = 2 ] && grep -q -- "$1" "$work/error" && [ ! -s "$work/log" ] || fail "not refused with '$1': $(cat "$work/error")"
}
evaluates "several adapters need a name each" --adapter="$case_dir/init" --adapter="$case_dir/expected"
evaluates "two adapters are called 'a'" --adapter=a="$case_dir/init" --adapter=a="$case_dir/expected"
evaluates "there is no adapter" --adapter=a="$case_dir/init" --adapter=b="$work"

# `lora eval --by_row`: figures of each are those that it has alone on its rows; the base is one of them
rows() { # CASE FILE
    python3 - "$golden/$1/$2" "$work" <<'END'
import json, os, sys
path, work = sys.argv[1:]
end, whom = os.path.splitext(path)[1], ("a", "b", "b", "__base__")
lines = open(path, encoding="utf-8").read().splitlines()
head, lines = (lines[:1], lines[1:]) if end == ".tsv" else ([], lines)
def named(line, name):
    return f"{line}\t{name}" if end == ".tsv" else json.dumps({**json.loads(line), "adapter": name})
def write(name, rows):
    with open(f"{work}/{name}{end}", "w", encoding="utf-8") as file:
        file.writelines(row + "\n" for row in rows)
write("mixed", [named(line, "adapter") for line in head] + [named(line, whom[i % 4]) for i, line in enumerate(lines)])
for name in set(whom):
    write(name, head + [line for i, line in enumerate(lines) if whom[i % 4] == name])
END
}
by_row() { # CASE FILE
    local case_dir=$golden/$1 end=${2##*.} name
    rows "$1" "$2"
    local both=(--adapter=a="$case_dir/init" --adapter=b="$case_dir/expected" --adapter=unused="$case_dir/init" --by_row)
    "$root/bin/lora" eval "$case_dir/run.yaml" "${both[@]}" --data.test="$work/mixed.$end" >"$work/both.json" 2>"$work/log" ||
        fail "lora eval --by_row of $1"
    for name in a=--adapter="$case_dir/init" b=--adapter="$case_dir/expected" __base__=--train.seed=42; do
        "$root/bin/lora" eval "$case_dir/run.yaml" "${name#*=}" --data.test="$work/${name%%=*}.$end" >"$work/${name%%=*}.json" \
            2>"$work/log" || fail "lora eval of the rows of ${name%%=*}"
    done
    python3 - "$work" >"$work/log" 2>&1 <<'END' || fail "$1 by row has other figures than each alone"
import json, sys
both, *each = (json.load(open(f"{sys.argv[1]}/{name}.json")) for name in ("both", "a", "b", "__base__"))
assert both == {"a": each[0], "b": each[1], "__base__": each[2], "unused": {"eval_samples": 0}}, (both, each)
assert each[0]["eval_samples"] > 0 and each[1]["eval_loss"] != each[0]["eval_loss"]
END
}
by_row bert-seqcls dev.tsv
by_row gpt2-clm dev.jsonl
case_dir=$golden/bert-seqcls
both=(--adapter=a="$case_dir/init" --adapter=b="$case_dir/expected")
evaluates "it has no 'adapter'" "${both[@]}" --by_row
printf 'text\tlabel\tadapter\na film\tneutral\tb\na film\tneutral\tc\n' >"$work/wrong.tsv"
evaluates "wrong.tsv:3" "${both[@]}" --by_row --data.test="$work/wrong.tsv"
evaluates "'c' is the name of no adapter" "${both[@]}" --by_row --data.test="$work/wrong.tsv"
evaluates "by_row is for several adapters" --adapter="$case_dir/init" --by_row
evaluates "no adapter can be called '__base__'" --adapter=__base__="$case_dir/init" --adapter=b="$case_dir/expected"
evaluates "not those that a run held back" "${both[@]}" --by_row --data.validation=null --data.validation_split=0.5
