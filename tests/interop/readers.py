"""Files of rows beside the libraries that people read them with: Python's csv and json, and `datasets` from PyPI.

readers.py DRIVER WORK [TEXTS]: DRIVER prints the rows of a file (rows_driver.c), WORK is a folder of the test's own,
TEXTS a folder of real texts (sst2, imdb, ...). Run from the repository's root."""
import csv
import gzip
import json
import os
import random
import subprocess
import sys

import datasets

DRIVER, WORK, *TEXTS = sys.argv[1:]
csv.field_size_limit(1 << 30)
failures = []


def check(ok, what):
    if not ok:
        failures.append(what)
        print("WRONG:", what)


def ours(path, text="text", pair="-", label="label"):
    got = subprocess.run([DRIVER, path, text, pair, label], capture_output=True)
    if got.returncode:
        return got.stderr.decode()
    return [json.loads(line) for line in got.stdout.decode().split("\n") if line]


def same(path, want, what, *columns):
    got = ours(path, *columns)
    if isinstance(got, str):
        return check(False, f"{what}: {got}")
    differ = [(g, w) for g, w in zip(got, want) if g != w]
    check(len(got) == len(want) and not differ, f"{what}: {len(got)} rows of {len(want)}, {len(differ)} differ, the first {differ[:1]}")


def path_of(name):
    return os.path.join(WORK, name)


# ---- csv and tsv ---------------------------------------------------------------------------------


def random_cell(chance, letters, most=12):
    return "".join(chance.choice(letters) for _ in range(chance.randrange(most)))


def tables(count):
    """What csv.writer writes is what it was given; what it reads of any bytes is what we read."""
    chance = random.Random(5)
    for i in range(count):
        kind = chance.choice(("csv", "tsv"))
        how = chance.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC))
        end = chance.choice(("\n", "\r\n"))
        rows = [[random_cell(chance, 'ab ,\t"\n\u00e9') for _ in range(2)] for _ in range(chance.randrange(1, 9))]
        with open(path_of("t." + kind), "w", newline="", encoding=chance.choice(("utf-8", "utf-8-sig"))) as file:
            writer = csv.writer(file, delimiter="," if kind == "csv" else "\t", quoting=how, lineterminator=end)
            writer.writerows([["text", "label"], *rows])
        same(path_of("t." + kind), [[t, None, l] for t, l in rows], f"table {i} ({kind}, {how}): {rows}")
    for i in range(count):
        body = 'text,label\n' + "".join(random_cell(chance, 'a ",\n\r') + chance.choice(",,,\n") for _ in range(12))
        with open(path_of("r.csv"), "w", newline="") as file:
            file.write(body)
        with open(path_of("r.csv"), newline="") as file:
            want = [row for row in csv.reader(file)][1:]
        open_quote = ours(path_of("r.csv"))
        got = [row if isinstance(row, list) else None for row in open_quote] if isinstance(open_quote, list) else open_quote
        closed = not any("closed" in row["error"] for row in open_quote if isinstance(row, dict)) if isinstance(open_quote, list) else True
        want = [[row[0], None, row[1]] if len(row) == 2 else None for row in want if row]
        check(got == want or not closed, f"bytes {i}: {body!r}: {got} instead of {want}")


def plain_tables(count):
    """Files as GLUE's: sentences with quotes anywhere, written without quoting."""
    chance = random.Random(6)
    words = ['"', '"', '""', "the", "said", "'", ",", "."]
    for i in range(count):
        rows = [[" ".join(chance.choices(words, k=chance.randrange(1, 6))) for _ in range(2)] for _ in range(40)]
        with open(path_of("p.tsv"), "w") as file:
            file.write("text\tlabel\n" + "".join("\t".join(row) + "\n" for row in rows))
        same(path_of("p.tsv"), [[t, None, l] for t, l in rows], f"plain table {i}")


# The files of GLUE as they are: their header, what stands in the columns before the sentences, where quotes stand.
GLUE = {"MRPC": (["\ufeffQuality", "#1 ID", "#2 ID", "#1 String", "#2 String"], "#1 String", "#2 String", "Quality"),
        "RTE": (["index", "sentence1", "sentence2", "label"], "sentence1", "sentence2", "label"),
        "QNLI": (["index", "question", "sentence", "label"], "question", "sentence", "label"),
        "QQP": (["id", "qid1", "qid2", "question1", "question2", "is_duplicate"], "question1", "question2", "is_duplicate"),
        "SNLI": (["index", "captionID", "gold_label", "sentence1", "sentence2"], "sentence1", "sentence2", "gold_label")}
SAID = ['"%s', '%s"', '"%s"', '"%s," he said', 'He said: "%s"', '"%s" and "%s"', '"" %s', "%s 'so'", "%s", "%s", "``%s''", ' %s ', '"', '""']


def glue_files(count):
    """Sentences that begin with a quote, end in one, or are in quotes: letters, and no TAB is swallowed."""
    chance = random.Random(9)
    for i in range(count):
        for name, (header, text, pair, label) in GLUE.items():
            rows = []
            for number in range(chance.choice((3, 40, 400))):
                cells = {column.lstrip("\ufeff"): str(number * 7 + at) for at, column in enumerate(header)}
                for column in text, pair:
                    how, words = chance.choice(SAID), random_cell(chance, "the \u00e9,.;$%-()", 40)
                    cells[column] = how.replace("%s", words) or "."
                cells[label] = chance.choice(("entailment", "not_entailment") if name in ("RTE", "QNLI") else ("0", "1"))
                rows.append(cells)
            path = path_of(f"glue-{i}-{name}.tsv")
            with open(path, "w", encoding="utf-8", newline="") as file:
                file.writelines("\t".join(row) + "\n" for row in [header, *([*cells.values()] for cells in rows)])
            theirs = datasets.load_dataset("csv", data_files=path, sep="\t", quoting=csv.QUOTE_NONE, keep_default_na=False,
                                           features=datasets.Features({column: datasets.Value("string") for column in rows[0]}),
                                           encoding="utf-8-sig", split="train", cache_dir=path_of("cache"))
            check([*theirs] == rows, f"{name} {i}: `datasets` reads other rows than were written")
            same(path, [[row[text], row[pair], row[label]] for row in theirs], f"{name} {i}", text, pair, label)


# ---- json ------------------------------------------------------------------------------------------


def objects(count):
    chance = random.Random(7)
    for i in range(count):
        rows = [{"text": random_cell(chance, 'a\\"\n\0{}[],\u00e9\U0001F600'), "more": [{"x": [1, "]"]}, 10 ** chance.randrange(40)],
                 "label": chance.choice((True, False, 10 ** 30, -7, 0.1, 1e22, 5e-324, "name", 2.0))} for _ in range(5)]
        want = [[row["text"], None, str(row["label"])] for row in rows]
        for ascii in True, False:
            with gzip.open(path_of("o.jsonl.gz"), "wt", encoding="utf-8") as file:
                file.writelines(json.dumps(row, ensure_ascii=ascii) + "\n" for row in rows)
            same(path_of("o.jsonl.gz"), want, f"objects {i} a line each")
            with open(path_of("o.json"), "w", encoding="utf-8") as file:
                json.dump(rows, file, ensure_ascii=ascii, indent=chance.choice((None, 0, 4)))
            same(path_of("o.json"), want, f"objects {i} in a list")


# ---- Parquet, Arrow, folders of `datasets` ---------------------------------------------------------


def bring(*words):
    return subprocess.run(["bin/lora", "import", "--python=" + sys.executable, *words], capture_output=True, text=True)


def named(feature, value):
    """Classes by their names, all else as `datasets` gives it."""
    if isinstance(feature, datasets.ClassLabel):
        return feature.int2str(value) if value is not None and value >= 0 else None
    if isinstance(feature, datasets.List):
        return value if value is None else [named(feature.feature, item) for item in value]
    return value


def same_rows(path, data, what):
    with open(path, encoding="utf-8", newline="\n") as file:
        got = [json.loads(line) for line in file]
    want = [{key: named(data.features[key], value) for key, value in row.items()} for row in data]
    differ = [(g, w) for g, w in zip(got, want) if g != w]
    check(len(got) == len(want) and not differ, f"{what}: {len(got)} rows of {len(want)}, {len(differ)} differ, the first {differ[:1]}")


def imported(data, name):
    """As Parquet, as Arrow and as a folder."""
    data.to_parquet(path_of(name + ".parquet"))
    data.save_to_disk(path_of(name))
    arrow = [os.path.join(path_of(name), file) for file in sorted(os.listdir(path_of(name))) if file.endswith(".arrow")]
    for source, kind in ([path_of(name + ".parquet")], "parquet"), (arrow, "arrow"), ([path_of(name)], "folder"):
        out = path_of(f"{name}-{kind}.jsonl")
        got = bring(*source, out)
        check(got.returncode == 0, f"import of {name}.{kind}: {got.stderr}")
        if got.returncode == 0:
            same_rows(out, data, f"{name}.{kind}")
            with open(out.replace(".jsonl", ".features.json")) as file:
                check(datasets.Features.from_dict(json.load(file)) == data.features, f"features of {name}.{kind}")
    return got


def made_sets():
    text, whole = datasets.Value("string"), datasets.Value("int64")
    reviews = datasets.Dataset.from_dict(
        {"text": ["a \u0000 b", "", 'so "good"\n\t', "\u6f22\u5b57"], "label": [1, 0, None, -1], "n": [2 ** 63 - 1, -1, None, 0]},
        features=datasets.Features({"text": text, "label": datasets.ClassLabel(names=["neg", "pos"]), "n": whole}))
    got = imported(reviews, "reviews")
    check('labels: ["neg", "pos"]' in got.stdout and 'label: "label"' in got.stdout, f"what to write for reviews: {got.stdout}")
    tags = datasets.Features({"tokens": datasets.List(text), "tags": datasets.List(datasets.ClassLabel(names=["O", "B-PER"]))})
    got = imported(datasets.Dataset.from_dict({"tokens": [["Zo\u00eb", "sings"], ["."]], "tags": [[1, 0], [0]]}, features=tags), "sentences")
    check("task_type: TOKEN_CLS" in got.stdout and 'labels: ["O", "B-PER"]' in got.stdout, f"what to write for sentences: {got.stdout}")
    imported(datasets.Dataset.from_list([{"instruction": "Add.", "input": "1 2", "output": "3"}, {"instruction": "Say hi.", "input": "",
                                                                                                 "output": "hi"}]), "instructions")
    talks = [{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "there"}]}]
    imported(datasets.Dataset.from_list(talks), "talks")
    datasets.DatasetDict(train=reviews, test=reviews.select([0])).save_to_disk(path_of("both"))
    check(bring(path_of("both"), path_of("both.jsonl")).returncode == 0, "import of two splits")
    same_rows(path_of("both-train.jsonl"), reviews, "the split train")
    same_rows(path_of("both-test.jsonl"), reviews.select([0]), "the split test")


def expect_refused(what, word, *arguments):
    got = bring(*arguments)
    check(got.returncode == 2 and word in got.stderr, f"{what}: {got.returncode} {got.stderr}")
    check(not os.path.exists(path_of("no.jsonl")) and not os.path.exists(path_of("no.jsonl.tmp")), f"{what}: something is left behind")


def refusals():
    out = path_of("no.jsonl")
    with open(path_of("reviews.parquet"), "rb") as whole, open(path_of("cut.parquet"), "wb") as cut:
        cut.write(whole.read()[:300])
    expect_refused("half a file", "not a whole parquet file", path_of("cut.parquet"), out)
    expect_refused("a split that is not there", "one of: train, test", path_of("both"), out, "--split=dev")
    expect_refused("files of two kinds", "different columns", path_of("reviews.parquet"), path_of("sentences.parquet"), out)
    expect_refused("a file that is read anyway", "are read as they are", path_of("o.json"), out)
    expect_refused("no file", "no such file", path_of("gone.arrow"), out)


def read_conll(path):
    """Sentences between blank lines, the word first and its tag last."""
    with open(path, encoding="utf-8") as file:
        blocks = [[line.split() for line in block.splitlines()] for block in file.read().strip().split("\n\n")]
    return [{"tokens": [line[0] for line in block], "tags": [line[-1] for line in block]} for block in blocks]


def adapter_of(case, train, *keys):
    """The digest of the adapter that three steps on the file give."""
    out = path_of("run")
    words = [f"--data.train={train}", "--data.validation=null", "--lora.init_adapter=null", "--train.eval_strategy=no",
             "--train.save_strategy=no", "--train.max_steps=3", f"--train.output_dir={out}", *keys]
    got = subprocess.run(["bin/lora", "train", f"tests/golden/{case}/run.yaml", "--overwrite", "--ranks=1", *words], capture_output=True)
    check(got.returncode == 0, f"training on {train}: {got.stderr[-300:]}")
    with open(out + "/summary.json") as file:
        return json.load(file)["adapter_sha256"]


def same_adapters():
    """Rows learnt from files of every kind, and from what was Parquet or Arrow, give the same bytes."""
    rows = [{"text": f'the {word} garden, "{i}"', "label": "abc"[label]} for i, word in enumerate(("red", "blue")) for label in (0, 1, 2)]
    with open(path_of("h.jsonl"), "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    with open(path_of("h.json"), "w") as file:
        json.dump(rows, file)
    for kind, delimiter in ("csv", ","), ("tsv", "\t"):
        with open(path_of("h." + kind), "w", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows([("text", "label"), *(row.values() for row in rows)])
    for i, row in enumerate(rows):
        os.makedirs(path_of("h/" + row["label"]), exist_ok=True)
        with open(path_of(f"h/{row['label']}/{i}.txt"), "w") as file:
            file.write(row["text"])
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["a", "b", "c"])})
    imported(datasets.Dataset.from_list([dict(row, label="abc".index(row["label"])) for row in rows], features=features), "hub")
    ordered = path_of("ordered.jsonl")  # as a folder of classes has them
    with open(ordered, "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in sorted(rows, key=lambda row: row["label"]))
    for kinds in ("h.jsonl", "h.json", "h.csv", "h.tsv", "hub-parquet.jsonl", "hub-arrow.jsonl", "hub-folder.jsonl"), ("ordered.jsonl", "h"):
        sums = {name: adapter_of("bert-seqcls", path_of(name), "--labels=null") for name in kinds}
        check(len(set(sums.values())) == 1, f"the same rows give other adapters: {sums}")

    conll = "tests/golden/bert-tokcls/train.conll"
    rows = read_conll(conll)
    names = sorted({tag for row in rows for tag in row["tags"]})
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), "tags": datasets.List(datasets.ClassLabel(names=names))})
    numbers = [{"tokens": row["tokens"], "tags": [names.index(tag) for tag in row["tags"]]} for row in rows]
    imported(datasets.Dataset.from_list(numbers, features=features), "conll")
    sums = {adapter_of("bert-tokcls", path) for path in (conll, path_of("conll-parquet.jsonl"), path_of("conll-arrow.jsonl"))}
    check(len(sums) == 1, "sentences that were Parquet give another adapter")


# ---- real texts ----------------------------------------------------------------------------------


def real_texts(folder):
    for name, text, pair, label, how in (("sst2/train.tsv", "sentence", "-", "label", csv.QUOTE_NONE),
                                         ("imdb/train.tsv", "text", "-", "label", csv.QUOTE_NONE),
                                         ("chnsenticorp/train.tsv", "text_a", "-", "label", csv.QUOTE_NONE),
                                         ("stsb/train.tsv", "sentence1", "sentence2", "score", csv.QUOTE_NONE),
                                         ("e2e/devset.csv", "mr", "-", "ref", csv.QUOTE_MINIMAL)):
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            continue
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t" if name.endswith("tsv") else ",", quoting=how))
        same(path, [[row[text], row.get(pair), row[label]] for row in rows], name, text, pair, label)
        print(f"{name}: {len(rows)} rows")
        if text != "mr" and pair == "-":
            numbers = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(num_classes=2)})
            columns = {"text": [row[text] for row in rows], "label": [int(row[label]) for row in rows]}
            imported(datasets.Dataset.from_dict(columns, features=numbers), name.split("/")[0])
    for name in "instruct_small/instruction-data.json", "instruct_small/instruction-data-with-preference.json":
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                rows = json.load(file)
            same(path, [[row["output"], row["input"], row["instruction"]] for row in rows], name, "output", "input", "instruction")
            imported(datasets.Dataset.from_list(rows), os.path.basename(name).removesuffix(".json"))
            print(f"{name}: {len(rows)} rows")


datasets.disable_progress_bars()
tables(300)
plain_tables(60)
glue_files(6)
objects(60)
made_sets()
refusals()
same_adapters()
if TEXTS:
    real_texts(TEXTS[0])
print(f"{len(failures)} failures")
sys.exit(bool(failures))
