#!/bin/bash
# What models of each family can do (families.c tries it) is what README's table says, and README names all families and no other.
#   WRITE=1 tests/dist/families_test.sh      writes the table into README.md instead
. "$(dirname "$0")/lib.sh"

cd "$root" || exit 1
"$build/tests/dist/families" "$work" >"$work/families" 2>"$work/log" || fail "a family does not do what it should"
python3 - "$work/families" README.md "${WRITE:-}" >"$work/log" <<'END' || fail "README's table of families is not what was seen: WRITE=1 $0"
import difflib, json, re, sys
rows = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
path, write = sys.argv[2:]
TASKS = {"SEQ_CLS": "S", "TOKEN_CLS": "T", "QUESTION_ANS": "Q", "FEATURE_EXTRACTION": "F", "CAUSAL_LM": "C", "SEQ_2_SEQ_LM": "2", "IMAGE_CLS": "I"}
CELLS = ("merge", "plan", "bf16", "int8", "nf4", "pipeline", "serve", "onnx", "gguf")
reasons = []


def cell(row, name):
    if row[name] is True:
        return "yes"
    reason = re.sub(r" \(model_type '[^']*'\)| has no ONNX form here", "", row[name])
    reason = re.sub(r"(a model of type|model_type) '[^']*'", "the family", reason)
    if reason not in reasons:
        reasons.append(reason)
    return "no: %d" % (reasons.index(reason) + 1)


groups = {}
for row in rows:
    tasks = " ".join(letter for task, letter in TASKS.items() if task in row["tasks"])
    groups.setdefault((tasks, *(cell(row, name) for name in CELLS)), []).append(f"{row['title']} (`{row['family']}`)")
table = ["| families (`model_type`) | tasks | " + " | ".join(CELLS) + " |", "|---" * (len(CELLS) + 2) + "|"]
table += ["| " + ", ".join(names) + " | " + " | ".join(cells) + " |" for cells, names in groups.items()]
table += ["", "Tasks: " + ", ".join(f"{letter} {task}" for task, letter in TASKS.items()) + ". What is refused is refused by name: " +
          "; ".join(f"({i + 1}) {reason}" for i, reason in enumerate(reasons)) + "."]
text = open(path, encoding="utf-8").read()
begin, end = "<!-- families: WRITE=1 tests/dist/families_test.sh -->\n", "<!-- end of families -->\n"
first, rest = text.split(begin)
there, last = rest.split(end)
wanted = "\n" + "\n".join(table) + "\n\n"
named = re.search(r"pretrained Hugging Face model \((.*?)\)\s+to your data", first, re.S)[1]
titles = [row["title"] for row in rows]
off = sorted(set(re.split(r",\s+", " ".join(named.split()))) ^ set(titles))
if write:
    open(path, "w", encoding="utf-8").write(first + begin + wanted + end + last)
else:
    print("\n".join(difflib.unified_diff(there.split("\n"), wanted.split("\n"), "README", "seen", lineterm="", n=0)))
    print("named at README's beginning or here alone:", ", ".join(off))
    sys.exit(there != wanted or bool(off))
END
