#!/bin/bash
# What a person sees of a run: a bar that fits terminals of all widths, also when they change, one short line
# an evaluation, three lines at the end, and the cursor on a new line at Ctrl-C. In a file: no control characters.
. "$(dirname "$0")/lib.sh"

# NAME COLUMNS [screen.py's option...] -- [key...]: the screen of a run is in $work/log
see() {
    local out=$work/$1 columns=$2 how=()
    shift 2
    while [ "$1" != -- ]; do
        how+=("$1")
        shift
    done
    shift
    python3 "$root/tests/dist/screen.py" "$columns" "${how[@]}" "$root/bin/lora" train "$case_dir/run.yaml" --ranks=2 \
        --train.output_dir="$out" "$@" >"$work/log" 2>&1 || fail "the screen of $columns columns"
    tail -n 1 "$work/log" >"$work/end"
    sed -i '$d' "$work/log"
    longest=$(awk '{ if (length($0) > n) n = length($0) } END { print n }' "$work/log")
    bars=$(grep -cE '^(\[[#.]+\] )?[0-9]+/[0-9]+' "$work/log")
}
lines() { # PATTERN: how many lines of the screen have it
    grep -cE -- "$1" "$work/log"
}

for columns in 44 80 200; do
    see "w$columns" $columns --
    [ "$bars" = 1 ] || fail "$columns columns: $bars bars are left on the screen"
    bar=$(grep -E '^\[#+\] 52/52 loss [0-9.]+( [0-9]+ tokens/s)? 0:00:00 left$' "$work/log") ||
        fail "$columns columns: no whole bar"
    [ ${#bar} -lt $columns ] || fail "$columns columns: a bar of ${#bar}"
    grep -q ' 0 0$' "$work/end" || fail "$columns columns: $(cat "$work/end")"
done
[ "$(lines '^[0-9:.]+ ps info  eval step=[0-9]+ loss=[0-9.]+ accuracy=[0-9.]+ f1=[0-9.]+$')" = 4 ] ||
    fail "not a short line an evaluation"
tail -n 4 "$work/log" | tr '\n' '|' | grep -Eq '\] 52/52 .* left\|trained 52 steps \(4 epochs\): loss [0-9.]+; evaluation at step 52: loss [0-9., a-z]+\|[0-9.]+ s, [0-9]+ tokens/s; .* up, .* down; memory .*\|the adapter is in .*; next: .*lora predict --adapter=.*dev.tsv\|$' ||
    fail "the end is not three lines"
next=$(sed -n 's/.*; next: //p' "$work/log")
[ "$(cd "$root" && eval "$next" 2>/dev/null | grep -c '"label"')" = "$(($(wc -l <"$case_dir/dev.tsv") - 1))" ] ||
    fail "the next command does not answer each row"

# the terminal becomes narrower under a bar: no piece of the wide one stays
see narrow 120 --narrow=50 -- --train.num_train_epochs=60 --train.eval_strategy=no
[ "$bars" = 1 ] || fail "a narrower terminal: $bars bars are left on the screen"
! grep -q 'tokens/s [0-9:]* left$' "$work/log" || fail "the bar is as wide as before"

# Ctrl-C, once and twice, before the server has heard the first one and behind it: the cursor is on a new line, and
# what the terminal prints of one key on the bar's
for how in "44 --interrupt=left" "80 --interrupt=[#" "80 --interrupt=[# --twice="{0,0.02,0.04,0.06}; do
    see stopped $how -- --train.num_train_epochs=3000 --train.eval_strategy=no
    # a second key behind the last word is printed by the terminal alone: nobody of the run is there to move the cursor
    [[ $how = *--twice=0.0[246] && $(tail -n 2 "$work/log" | tr '\n' '|') = *"the same command goes on|^C|" ]] && rm -rf "$work/stopped" && continue
    [[ $how = *--twice* ]] || ! grep -q '^\^\?C' "$work/log" || fail "Ctrl-C: ${how}: $(grep -n 'C$' "$work/log")"
    grep -q " 0 130$" "$work/end" || fail "Ctrl-C: the cursor and the code are $(cat "$work/end")"
    rm -rf "$work/stopped"
done

# an evaluation says how far it is, as its chunks come in: 4 of some tenths of a second, two at a time
{
    head -n 1 "$case_dir/dev.tsv"
    for ((i = 0; i < 2000; i++)); do tail -n +2 "$case_dir/dev.tsv"; done
} >"$work/long.tsv"
tokens=$((2000 * $(tail -n +2 "$case_dir/dev.tsv" | wc -w) / 3))
see evaluated 80 "--interrupt=13/13 evaluating 2/" -- --train.num_train_epochs=1 --data.validation="$work/long.tsv" --parallel.micro_batch_tokens=$tokens
grep -q " 0 130$" "$work/end" || fail "Ctrl-C within an evaluation: the cursor and the code are $(cat "$work/end")"

# in a file
"$root/bin/lora" train "$case_dir/run.yaml" --ranks=2 --train.output_dir="$work/file" >"$work/log" 2>&1 ||
    fail "a run ended with $?"
! LC_ALL=C grep -q '[^ -~]' "$work/log" || fail "a control character in the log: $(LC_ALL=C grep -n '[^ -~]' "$work/log" | cat -v | head -3)"
[ "$(lines 'ps info  train step=')" = 52 ] || fail "not a line a logged step"

# the folder: names of the labels, code that loads the adapter, a picture that is XML
[ "$(python3 -c 'import json, sys; print(*json.load(open(sys.argv[1])))' "$work/file/labels.json")" = "negative neutral positive" ] ||
    fail "labels.json: $(cat "$work/file/labels.json")"
python3 - "$work/file" <<'PY' || fail "the card's code or picture is none"
import ast, re, sys, xml.dom.minidom
card = open(sys.argv[1] + "/README.md").read()
code = re.search("```python\n(.*?)```", card, re.S)[1]
assert len(ast.parse(code).body) == 4 and "import" in code.split("\n")[0] and sys.argv[1] in code, code
assert "![loss by step](loss.svg)" in card and "negative, neutral, positive" in card
picture = xml.dom.minidom.parse(sys.argv[1] + "/loss.svg")
lines = [[tuple(map(float, p.split(","))) for p in l.getAttribute("points").split()]
         for l in picture.getElementsByTagName("polyline")]
assert [len(l) for l in lines] == [52, 4], [len(l) for l in lines]
assert all(64 <= x <= 704 and 28 <= y <= 316 for l in lines for x, y in l)
PY
