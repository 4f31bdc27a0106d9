"""Data sets as rows of JSON. `lora import` runs this text with an interpreter that has the library `datasets`:
arguments are the output, the configuration, the split ("": all), then what is read. Exit codes are those of `lora`."""
import sys

sys.path[:] = [folder for folder in sys.path if folder]  # files of the working folder are no libraries

import datetime
import decimal
import json
import math
import os
import warnings

warnings.filterwarnings("ignore")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # read when the library is loaded
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
try:
    import datasets
except ImportError as error:
    print(f"error: {sys.executable} cannot load the library datasets: {error}\n"
          f"  try: {sys.executable} -m pip install datasets, or leave --python away", file=sys.stderr)
    sys.exit(2)

NO_TEXT = tuple(getattr(datasets, name) for name in ("Image", "Audio", "Video", "Pdf", "Nifti") if hasattr(datasets, name))


def fail(what, where=None, hint=None, code=2):
    print("error:", what, file=sys.stderr)
    if where:
        print("  at:", where, file=sys.stderr)
    if hint:
        print("  try:", hint, file=sys.stderr)
    sys.exit(code)


# ---- opening -----------------------------------------------------------------------------------


def open_files(kind, files):
    try:
        return {"train": datasets.load_dataset(kind, data_files=files, split="train", streaming=True)}
    except Exception as error:  # of pyarrow, whatever the version calls it
        fail(f"not a whole {kind} file: {first_line(error)}", " ".join(files))


def open_folder(folder):
    """What save_to_disk wrote, or a folder of Parquet and Arrow files."""
    if any(os.path.exists(os.path.join(folder, name)) for name in ("dataset_dict.json", "state.json", "dataset_info.json")):
        got = datasets.load_from_disk(folder)
        return dict(got) if isinstance(got, datasets.DatasetDict) else {str(got.split or "train"): got}
    try:
        return dict(datasets.load_dataset(folder, streaming=True))
    except Exception as error:
        fail(f"no data set is in this folder: {first_line(error)}", folder)


def open_hub(name, config):
    try:
        got = datasets.load_dataset(name, config or None, streaming=True)
    except ValueError as error:
        text = str(error)
        if "Config name is missing" in text or "BuilderConfig" in text:
            names = datasets.get_dataset_config_names(name)
            fail("the data set has several configurations" if not config else f"no configuration '{config}'", name,
                 "--config=NAME, one of: " + ", ".join(names))
        fail(first_line(error), name)
    except (ConnectionError, OSError) as error:
        missing = isinstance(error, FileNotFoundError)
        fail(f"no such file, and the hub has no such data set or cannot be reached: {first_line(error)}" if missing
             else f"the hub cannot be reached: {first_line(error)}", name,
             "check the name; where there is no network, bring the data set's Parquet files", 2 if missing else 1)
    return dict(got)


def open_all(sources, config):
    """{split: rows}"""
    for ending, kind in ((".parquet", "parquet"), (".arrow", "arrow")):
        if all(name.lower().endswith(ending) for name in sources):
            for name in sources:
                if not os.path.isfile(name):
                    fail("no such file", name)
            return open_files(kind, sources)
    if len(sources) > 1:
        fail("several sources that are not all .parquet or all .arrow", " ".join(sources), "one name, folder or kind of file at a time")
    name = sources[0]
    if os.path.isdir(name):
        return open_folder(name)
    if os.path.exists(name):
        fail("neither Parquet nor Arrow by its name", name, ".csv, .tsv, .jsonl, .json, .conll and .txt are read as they are")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        fail("no such file", name)
    return open_hub(name, config)


def first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


# ---- values --------------------------------------------------------------------------------------


class Writer:
    """Rows as lines; what JSON has no word for is counted."""

    def __init__(self, features):
        self.features = features
        self.not_finite = 0

    def value(self, feature, value):
        if value is None:
            return None
        if isinstance(feature, datasets.ClassLabel):
            return feature.names[value] if isinstance(value, int) and value >= 0 else None if value == -1 else value
        if isinstance(feature, dict):
            return {key: self.value(feature[key], item) for key, item in value.items()}
        inner = getattr(feature, "feature", feature[0] if isinstance(feature, list) else None)
        if inner is not None and isinstance(value, dict):  # a list of records, which comes as a record of lists
            return {key: [self.value(inner[key], one) for one in item] for key, item in value.items()}
        if inner is not None:
            return [self.value(inner, item) for item in value]
        return self.plain(value)

    def plain(self, value):
        if isinstance(value, float) and not math.isfinite(value):
            self.not_finite += 1
            return None
        if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
            return value.isoformat()
        if isinstance(value, (datetime.timedelta, decimal.Decimal)):
            return str(value)
        if hasattr(value, "tolist"):  # of numpy
            return self.plain(value.tolist())
        if isinstance(value, (list, tuple)):
            return [self.plain(item) for item in value]
        if isinstance(value, dict):
            return {key: self.plain(item) for key, item in value.items()}
        if value is None or isinstance(value, (str, int, float, bool)):
            return value
        raise TypeError(type(value).__name__)

    def row(self, row):
        out = {}
        for key, value in row.items():
            try:
                out[key] = self.value(self.features.get(key) if self.features else None, value)
            except TypeError as error:
                fail(f"column '{key}' holds {error}, which is no text", None, f"--drop={key} leaves it out")
        return out


# ---- writing ---------------------------------------------------------------------------------------


def is_text(feature):
    return isinstance(feature, datasets.Value) and feature.dtype in ("string", "large_string", "string_view")


def write(rows, path, drop):
    """The number of rows, and their features; PATH.tmp holds them."""
    rows = rows if rows.features or not hasattr(rows, "_resolve_features") else rows._resolve_features()
    features = rows.features or {}
    left_out = [name for name, feature in features.items() if name in drop or isinstance(feature, NO_TEXT)]
    for name in left_out:
        print(f"note: column '{name}' ({type(features[name]).__name__}) is left out", file=sys.stderr)
    if left_out:
        rows = rows.remove_columns(left_out)
        features = datasets.Features({name: feature for name, feature in features.items() if name not in left_out})
    writer, count = Writer(features), 0
    with open(path + ".tmp", "w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(writer.row(row), ensure_ascii=False, allow_nan=False) + "\n")
            count += 1
            if count % 10000 == 0 and sys.stderr.isatty():
                print(f"\r{path}: {count} rows", end="", file=sys.stderr)
    if sys.stderr.isatty() and count >= 10000:
        print("\r\x1b[K", end="", file=sys.stderr)
    if writer.not_finite:
        print(f"note: {writer.not_finite} numbers that are not finite are null now", file=sys.stderr)
    if count == 0:
        fail("there are no rows in it", path)
    return count, features


def classes(feature):
    """(names, whether a list of them), or None."""
    inner = getattr(feature, "feature", None) if not isinstance(feature, datasets.ClassLabel) else feature
    return (inner.names, inner is not feature) if isinstance(inner, datasets.ClassLabel) else None


def suggest(files, features):
    """What the run file says of these files, on stdout."""
    keys = []
    for key, names in (("train", ("train",)), ("validation", ("validation", "valid", "dev", "val")), ("test", ("test",))):
        keys += [f"{key}: {json.dumps(files[name], ensure_ascii=False)}" for name in names if name in files][:1]
    keys = keys or [f"train: {json.dumps(next(iter(files.values())), ensure_ascii=False)}"]
    texts = [name for name, feature in features.items() if is_text(feature)]
    labels = [(name, *found) for name, found in ((name, classes(feature)) for name, feature in features.items()) if found]
    task = None
    if labels and labels[-1][2] and "tokens" in features:
        task = "TOKEN_CLS"
        keys += ["tokens: tokens", f"tags: {json.dumps(labels[-1][0])}"]
    elif labels and texts:
        task = "SEQ_CLS"
        keys += [f"text: {json.dumps(texts[0])}"] + [f"text_pair: {json.dumps(name)}" for name in texts[1:2]]
        keys += [f"label: {json.dumps(labels[0][0])}"]
    if task:
        print(f"task_type: {task}")
        print(f"labels: {json.dumps(labels[-1][1] if task == 'TOKEN_CLS' else labels[0][1], ensure_ascii=False)}")
    else:
        print(f"# columns: {', '.join(features)}")
    print(f"data: {{{', '.join(keys)}}}")


def main(out, config, split, drop, *sources):
    splits = open_all([os.path.expanduser(source) if source.startswith("~") else source for source in sources], config)
    if split and split not in splits:
        fail(f"no split '{split}'", " ".join(sources), "--split=NAME, one of: " + ", ".join(splits))
    wanted = {split: splits[split]} if split else splits
    stem = out.removesuffix(".jsonl")
    files, counts, features = {}, {}, None
    try:
        for name, rows in wanted.items():
            files[name] = out if len(wanted) == 1 else f"{stem}-{name}.jsonl"
            counts[name], features = write(rows, files[name], drop.split(",") if drop else [])
        for name, file in files.items():
            os.replace(file + ".tmp", file)
            print(f"{file}: {counts[name]} rows", file=sys.stderr)
        if features:
            with open(f"{stem}.features.json", "w", encoding="utf-8") as file:
                json.dump(features.to_dict(), file, ensure_ascii=False, indent=2)
            suggest(files, features)
    except datasets.table.CastError:
        fail("the files have different columns", " ".join(sources))
    except OSError as error:
        fail(first_line(error), getattr(error, "filename", None), code=1)
    except (ValueError, RuntimeError) as error:  # of what is read
        fail(first_line(error), " ".join(sources))
    finally:
        for file in files.values():
            if os.path.exists(file + ".tmp"):
                os.unlink(file + ".tmp")


def end(code):
    """At once: threads of the libraries that still run abort an interpreter which ends as usual ("terminate called …"), and the
    exit code would be a lie."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError as error:
        code = 1
        os.write(2, f"error: {first_line(error)}\n".encode())
    os._exit(code)


try:
    main(*sys.argv[1:])
except SystemExit as error:
    end(error.code)
end(0)
