#!/bin/bash
# The same rows in files of every kind give the same adapter and the same answers; labels that only the data knows,
# whatever letters they are made of; what cannot be learnt from is refused at its line.
. "$(dirname "$0")/lib.sh"

# rows.jsonl, .json, .csv, .tsv, packed ones, a folder a class; two labels of odd letters
python3 - "$work" <<'END_OF_PYTHON'
import csv, gzip, json, os, sys
os.chdir(sys.argv[1])
texts = ['the "red" garden', " a bridge, blue ", "winter", 'said "no"', "map\u00eb of\tthe jacket", "first\nsecond", "dull, dull", "x"]
rows = [(t, "C:\\new" if i < 4 else 'so "good"') for i, t in enumerate(texts)]
objects = [{"text": t, "label": l} for t, l in rows]
lines = "".join(json.dumps(o) + "\n" for o in objects)
open("rows.jsonl", "w").write(lines)
gzip.open("rows.jsonl.gz", "wt").write(lines)
json.dump(objects, open("rows.json", "w"), indent=2, ensure_ascii=False)
for kind, how in ("csv", csv.QUOTE_MINIMAL), ("tsv", csv.QUOTE_MINIMAL), ("all.tsv", csv.QUOTE_ALL), ("bom.csv", csv.QUOTE_ALL):
    with open("rows." + kind, "w", newline="", encoding="utf-8-sig" if kind == "bom.csv" else "utf-8") as file:
        writer = csv.writer(file, delimiter="," if kind.endswith("csv") else "\t", quoting=how)
        writer.writerows([("text", "label"), *rows])
for i, (text, label) in enumerate(rows):
    os.makedirs("rows/" + label, exist_ok=True)
    with open(f"rows/{label}/{i}.txt", "w", newline="") as file:
        file.write(text)
END_OF_PYTHON

# FILE NAME [option...]: one epoch on the file
learn() {
    "$root/bin/lora" train "$case_dir/run.yaml" --ranks=1 --labels=null --data.train="$1" --data.validation=null --data.text=text \
        --data.label=label --lora.init_adapter=null --train.eval_strategy=no --train.save_strategy=no --train.num_train_epochs=2 \
        --train.max_steps=-1 --train.batch_size=4 --train.output_dir="$work/$2" --overwrite "${@:3}" >"$work/log" 2>&1
}

learn "$work/rows.jsonl" jsonl || fail "training on .jsonl ended with $?"
want=$(sha "$work/jsonl")
"$root/bin/lora" predict --adapter="$work/jsonl" "$work/rows.jsonl" >"$work/answers" 2>>"$work/log" || fail "predict of .jsonl ended with $?"
[ "$(wc -l <"$work/answers")" = 8 ] || fail "not an answer a row"
python3 -c 'import json, sys
for line in open(sys.argv[1]): assert set(json.loads(line)["probabilities"]) == {"C:\\new", "so \"good\""}, line' "$work/answers" ||
    fail "other labels than those of the data"
cp "$work/rows.csv" "$work/CAPITALS.CSV"
cp "$work/rows.jsonl.gz" "$work/capitals.Jsonl.GZ"
for file in CAPITALS.CSV capitals.Jsonl.GZ rows.json rows.csv rows.tsv rows.all.tsv rows.bom.csv rows.jsonl.gz rows; do
    learn "$work/$file" other || fail "training on $file ended with $?"
    same_bits "$work/other" "$file"
    "$root/bin/lora" predict --adapter="$work/jsonl" "$work/$file" 2>>"$work/log" | cmp -s - "$work/answers" || fail "other answers on $file"
done
printf 'winter\nthe "red" garden' >"$work/lines.txt"
gzip -k "$work/lines.txt"
"$root/bin/lora" predict --adapter="$work/jsonl" "$work/lines.txt" >"$work/lines" 2>>"$work/log"
[ "$(wc -l <"$work/lines")" = 2 ] || fail "a .txt file is not its lines"
"$root/bin/lora" predict --adapter="$work/jsonl" "$work/lines.txt.gz" 2>>"$work/log" | cmp -s - "$work/lines" || fail "a packed .txt file is not its lines"
"$root/bin/lora" predict --adapter="$work/jsonl" <"$work/lines.txt" 2>>"$work/log" | sed 's/"probabilities.*//' |
    cmp -s - <(sed 's/"probabilities.*//' "$work/lines") || fail "standard input is not its lines"

# several labels a row, in both ways of writing them, without a key that says so
printf '{"text": "red", "label": [1, 0, 1]}\n{"text": "blue", "label": [0, 0, 1]}\n' >"$work/many.jsonl"
learn "$work/many.jsonl" many || fail "training on lists of 0 and 1 ended with $?"
grep -q '^problem_type: multi_label_classification' "$work/many/run.yaml" && grep -q '^labels: 3' "$work/many/run.yaml" || fail "no three labels"
printf '{"text": "red", "label": ["b c", "a"]}\n{"text": "blue", "label": []}\n' >"$work/names.jsonl"
learn "$work/names.jsonl" names || fail "training on lists of names ended with $?"
echo winter | "$root/bin/lora" predict --adapter="$work/names" 2>>"$work/log" | grep -q '"a":.*"b c":' || fail "no labels by name"

# NAME TEXT PATTERN [option...]: refused before anything starts
refused() {
    printf "$2" >"$work/$1"
    ends_with 2 "training on $1" learn "$work/$1" refused "${@:4}"
    tr '\n' ' ' <"$work/log" | grep -q -- "$3" || fail "no word of '$3'"
    ! grep -q "server listens" "$work/log" || fail "the server was started for $1"
}
refused a.csv 'text,label\na,1.5\nb,2.25\n' "numbers with decimals, as 1.5.*problem_type: regression"
refused comma.csv 'text,label\na,"1,5"\nb,2\n' "numbers with decimals, as 1,5.*with a point.*problem_type: regression"
refused comma.csv 'text,label\na,"1,5"\nb,2\n' "'1,5' is not a number.*comma.csv:2.*with a point" --problem_type=regression
ends_with 2 "misspelt data" learn "$work/comma.cvs" refused
grep -q "did you mean '$work/comma.csv'" "$work/log" || fail "no word of what misspelt data may be"
refused b.csv 'text,label\na,x\nb,x\n' "all labels are 'x'"
refused c.csv 'text,label\na,x\nb,"y\n' "never closed.*c.csv:3"
refused d.csv 'text,label\na,x\nb,y,z\n' "3 columns, the header 2.*d.csv:3"
refused e.csv 'good film,1\nbad film,0\n' "no column 'text'.*put a line with their names above it"
refused f.jsonl '{"text": "a", "label": "x"}\n{"text": "a", "label": ""}\n' "label is empty.*f.jsonl:2"
refused g.jsonl '{"text": "a", "label": "x"}\n{"text": "a" "label": "y"}\n' "not a JSON object.*g.jsonl:2"
refused h.json '[{"text": "a", "label": "x"},\n\n{"text": "a", "label": }]' "not a JSON object.*h.json:3"
refused I.PARQUET 'PAR1' "not read directly.*lora import $work/I.PARQUET I.jsonl"
refused i.parquet 'PAR1' "not read directly.*lora import $work/i.parquet i.jsonl"
ends_with 2 "a name of the hub" learn "$work/somebody/reviews" refused
grep -q "lora import somebody/reviews reviews.jsonl" "$work/log" || fail "no command for a name of the hub"
learn "$work/a.csv" values --problem_type=regression --labels=1 || fail "a regression ended with $?"

# what is not there is told before anything is fetched
import_refused() { # PATTERN WORD...
    local code=0
    LORA_CACHE="$work/none" timeout 10 "$root/bin/lora" import "${@:2}" >"$work/log" 2>&1 || code=$?
    [ $code = 2 ] && tr '\n' ' ' <"$work/log" | grep -q -- "$1" || fail "lora import ${*:2}: $code, $(cat "$work/log")"
    [ ! -e "$work/none" ] || fail "lora import ${*:2} made an environment"
}
import_refused "no such file or folder *at: $work/rows.parquet" "$work/rows.parquet" "$work/out.jsonl"
import_refused "no such file or folder.*did you mean '$work/comma.csv'" "$work/coma.csv" "$work/out.jsonl"
import_refused "neither Parquet nor Arrow by its name *at: $work/b.csv" "$work/b.csv" "$work/out.jsonl"
import_refused "no such folder *at: $work/no-folder" somebody/reviews "$work/no-folder/out.jsonl"

# lora import: its program as it stands, with a library that is not there; files of the working folder are no libraries
cat >"$work/python" <<'END_OF_WRAPPER'
#!/bin/sh
exec python3 -c 'import sys; sys.modules["datasets"] = None; program = sys.argv.pop(1); sys.path.insert(0, ""); exec(program)' "$2" "$@"
END_OF_WRAPPER
chmod +x "$work/python"
echo 'raise SystemExit(9)' >"$work/decimal.py"
bring() {
    (cd "$work" && "$root/bin/lora" import --python=./python "$@") >"$work/log" 2>&1
}
ends_with 2 "an interpreter without the library" bring i.parquet b.jsonl
grep -q "cannot load the library datasets" "$work/log" || fail "no word about the library"
ends_with 2 "an output of another name" bring a.parquet b.csv
grep -q "'b.csv' does not end in .jsonl" "$work/log" || fail "no word about the output"
ends_with 2 "nothing to read" bring b.jsonl

# and with one whose threads abort an interpreter that ends as usual
cat >"$work/python" <<'END_OF_WRAPPER'
#!/bin/sh
program=$2
shift 2
exec python3 -c 'import atexit, os, sys, types
class Rows(list):
    features, split = {}, "train"
made = sys.modules["datasets"] = types.ModuleType("datasets")
made.DatasetDict, made.table = dict, types.SimpleNamespace(CastError=ValueError)
made.load_from_disk = lambda folder: Rows([{"text": "a"}, {"text": "b"}] if folder.endswith("/saved") else [])
made.ClassLabel = made.Value = int
atexit.register(os.abort)
program = sys.argv.pop(1)
exec(program)' "$program" "$@"
END_OF_WRAPPER
mkdir -p "$work/saved" "$work/hollow"
touch "$work/saved/state.json" "$work/hollow/state.json"
bring "$work/saved" b.jsonl || fail "a library that aborts at the end: $?, $(cat "$work/log")"
[ "$(wc -l <"$work/b.jsonl")" = 2 ] && grep -q "b.jsonl: 2 rows" "$work/log" || fail "not two rows"
ends_with 2 "no rows, and a library that aborts" bring "$work/hollow" c.jsonl
grep -q "error: there are no rows in it" "$work/log" || fail "no word about no rows"
