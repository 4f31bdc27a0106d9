#!/usr/bin/env python3
"""Folders whose files say more, or other things, than tokenizer.json, beside AutoTokenizer.

    tokenizer_folders.py [--count=N] [--seed=N] [--lora=bin/lora] [--keep=FOLDER]
    tokenizer_folders.py --fixtures --count=60 > tests/worker/tokenizer/fixtures/tokenizer/folders.jsonl

Each folder is one of the small golden tokenizers with random edits: special tokens named or listed in
tokenizer_config.json, special_tokens_map.json or added_tokens.json, do_lower_case and the like against
tokenizer.json, another tokenizer_class, no config.json, the older vocabulary files alone. Ids and types of texts and
pairs, cut and whole, must be AutoTokenizer's; what AutoTokenizer cannot open may be refused. LlamaTokenizer is
loaded as PreTrainedTokenizerFast, since its class drops the normalizer of tokenizer.json (worker/tokenizer/class.c).
Exit code 1 and the folders that differ, if any do.
"""
import argparse
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.path.pop(0)  # tokenizers.py of this folder has the module's name
import transformers  # noqa: E402

kinds = importlib.util.module_from_spec(spec := importlib.util.spec_from_file_location("kinds", os.path.join(os.path.dirname(__file__), "tokenizers.py")))
spec.loader.exec_module(kinds)

GOLDEN = "tests/golden/tokenizers"
NAMES = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]
NEW = ["<tok>", "[NEW]", "<|im|>", "Ünï", "film", "ab cd", "[E1]", "[/E1]", "<pad>", "lower", "GARDEN", "the"]
CLASSES = {"bert-cased": ["BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "ElectraTokenizerFast"],
           "bert-uncased": ["BertTokenizer", "DistilBertTokenizerFast", "MobileBertTokenizer"],
           "gpt2": ["GPT2Tokenizer", "GPT2TokenizerFast"], "roberta": ["RobertaTokenizer", "RobertaTokenizerFast", "BartTokenizer"],
           "qwen2": ["Qwen2Tokenizer", "Qwen2TokenizerFast"], "llama": ["PreTrainedTokenizerFast"]}
TYPES = {"bert-cased": "bert", "bert-uncased": "distilbert", "gpt2": "gpt2", "roberta": "roberta", "qwen2": "qwen2", "llama": "mistral"}
TEXTS = ["the food was bad", "a film <tok> b", "Hello World, café ÉCOLE", "  two  spaces ", "", " ", "中文 字", "afilm[NEW]garden", "filmfilm film",
         "[CLS] x [SEP] y [MASK] [PAD]", "<s>a</s> <mask> <unk><pad>", "<|endoftext|>so <|im_end|>", "x <|im|> y<|im|>z", "Ünï ünï ÜNÏ",
         "ab cd ab  cd", "[E1] garden [/E1] GARDEN Garden", "lower LOWER lowerlower", "thethe The the", "don't I'LL", "\n[NEW]\n"]


def added(content, special=False, **flags):
    return {"content": content, "lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": special, **flags}


def typed(content, **flags):
    return {"__type": "AddedToken", **added(content, True, **flags)}


FAST, EOT = {"tokenizer_class": "PreTrainedTokenizerFast"}, "<|endoftext|>"
UNIGRAM = {"version": "1.0", "added_tokens": [{"id": i, **added(t, True)} for i, t in enumerate(["<s>", "<pad>", "</s>", "<unk>"])],
           "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None, "truncation": None, "padding": None,
           "model": {"type": "Unigram", "unk_id": 3, "vocab": [[t, -i / 2] for i, t in enumerate(
               ["<s>", "<pad>", "</s>", "<unk>", "\u2581", "\u2581the", "\u2581food", "the", "food", "t", "h", "e", "f", "o", "d"])]}}
CHARSMAP = {"type": "Precompiled", "precompiled_charsmap": kinds.charsmap({"\ufb01": "fo", "\u00e9": "e"})}
XLM = {"vocab.txt": None, "special_tokens_map.json": None, "tokenizer_config.json": {"tokenizer_class": "XLMRobertaTokenizer"}}


def whole(kind, **parts):
    with open(os.path.join(GOLDEN, kind, "tokenizer.json"), encoding="utf-8") as file:
        return {**json.load(file), **parts}


def metaspace(scheme):
    """Llama's golden tokenizer, with the newer way to put a space."""
    return whole("llama", normalizer=None, pre_tokenizer={"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": False})


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "food", "##s", "a"]

# A folder for each rule of worker/tokenizer/special_tokens.c, class.c and folder.c: the files that are not the golden
# folder's (a text: as it stands), and texts that the rule decides the ids of.
RULES = [
    # special, or normalized and so also found in other letters
    ("bert-uncased", {"tokenizer_config.json": {**FAST, "pad_token": typed("<Tok>")}, "special_tokens_map.json": None,
                      "added_tokens.json": {"<Tok>": 600}}, ["a <TOK> b <Tok>"]),
    ("bert-uncased", {"tokenizer_config.json": {**FAST, "extra_special_tokens": ["<Tok>"]}, "special_tokens_map.json": None,
                      "added_tokens.json": {"<Tok>": 600, "<Own>": 601}}, ["a <TOK> b <Tok>", "a <OWN> <Own>"]),
    ("bert-uncased", {"tokenizer_config.json": {**FAST, "split_special_tokens": True}, "added_tokens.json": {"<tok>": 600}}, ["a <tok> b [SEP]"]),
    # named, listed, more of them
    ("gpt2", {"tokenizer_config.json": {**FAST, "split_special_tokens": True, "pad_token": {**added("<tok>"), "__type": "AddedToken"},
                                        "extra_special_tokens": [{**added("<own>"), "__type": "AddedToken"}]}, "special_tokens_map.json": None},
     ["a <tok> b", "a <own> b"]),
    ("gpt2", {"tokenizer_config.json": {**FAST, "eos_token": typed(EOT, lstrip=True, rstrip=True),
                                        "added_tokens_decoder": {"600": added("<tok>", True)}}, "special_tokens_map.json": None}, [f"a  {EOT}  b"]),
    ("gpt2", {"tokenizer_config.json": {**FAST, "pad_token": "<tok>", "sep_token": typed("<sep>"), "added_tokens_decoder": {
        "600": added("<tok>", True, lstrip=True), "601": added("<sep>", True, rstrip=True)}}}, ["a  <tok>  b", "a  <sep>  b"]),
    ("gpt2", {"tokenizer_config.json": {**FAST, "image_token": "<img>", "eot_token": typed("<eot>"), "extra_special_tokens": ["<a>"]}},
     ["a <img> b <eot><a>"]),
    ("gpt2", {"tokenizer_config.json": {**FAST, "split_special_tokens": True, "extra_special_tokens": {"img": "<tok>"},
                                        "pad_token": "<pad>", "added_tokens_decoder": {
                                            "600": added("<tok>"), "601": added("<pad>"), "602": added("<own>")}}}, ["a<tok>b", "a<pad>b", "a<own>b"]),
    # what tokenizer.json adds, listed with another flag
    *[("gpt2", {"tokenizer_config.json": {"tokenizer_class": name, "added_tokens_decoder": {"0": added(EOT, True, **{flag: True})}}},
       [f"a  {EOT}  b", f"a{EOT}b", f"a {EOT} b"]) for flag in ("lstrip", "rstrip", "single_word") for name in ("PreTrainedTokenizerFast",)],
    ("bert-uncased", {"tokenizer_config.json": {**FAST, "added_tokens_decoder": {"0": added("[PAD]", True, normalized=True)}}}, ["a [PAD] [pad] b"]),
    ("bert-uncased", {"tokenizer_config.json": {**FAST, "added_tokens_decoder": {"0": added("[PAD]")}, "split_special_tokens": True,
                                                "pad_token": None}, "special_tokens_map.json": None}, ["a [PAD] b [SEP]"]),
    # the lists of more special tokens
    ("gpt2", {"tokenizer_config.json": {**FAST, "additional_special_tokens": ["<a>"]},
              "special_tokens_map.json": {"additional_special_tokens": ["<b>"]}}, ["x<a>y<b>z"]),
    ("gpt2", {"tokenizer_config.json": {**FAST, "additional_special_tokens": ["<a>"], "extra_special_tokens": ["<b>"]}}, ["x<a>y<b>z"]),
    ("gpt2", {"tokenizer_config.json": {**FAST, "extra_special_tokens": ["<a>"]},
              "special_tokens_map.json": {"extra_special_tokens": ["<b>"]}}, ["x<a>y<b>z"]),
    # classes
    ("qwen2", {"tokenizer_config.json": {"tokenizer_class": "Qwen2Tokenizer", "pad_token": typed("<tok>", lstrip=True),
                                         "extra_special_tokens": [typed("<own>", rstrip=True)]}, "special_tokens_map.json": None}, ["a  <tok>  b", "a  <own>  b"]),
    ("qwen2", {"tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer"}, "config.json": {"model_type": "qwen2"}}, ["caf\u0065\u0301 in 12345 days"]),
    ("bert-cased", {"tokenizer_config.json": {}, "config.json": {"model_type": "gpt2", "tokenizer_class": "BertTokenizer"}}, ["The Garden"]),
    ("bert-cased", {"tokenizer_config.json": {}, "config.json": {"model_type": "electra"}}, ["The Garden"]),
    ("roberta", {"tokenizer_config.json": {"tokenizer_class": "LongformerTokenizer", "add_prefix_space": True}}, ["the garden"]),
    ("gpt2", {"tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": True}}, ["the food"]),
    ("llama", {"tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False},
               "config.json": {"model_type": "mistral"}}, ["the food"]),
    *[("llama", {"tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "legacy": legacy, "added_tokens_decoder": {
        "600": added("<new>", True)}}}, ["the food<new>the food"]) for legacy in (True, False)],
    *[("bert-cased", {"tokenizer.json": UNIGRAM, "vocab.txt": None, "special_tokens_map.json": None, "tokenizer_config.json": {
        "tokenizer_class": "XLMRobertaTokenizer", "cls_token": cls, **more}}, ["the food", "the x food"])
      for cls, more in (("<s>", {}), ("<pad>", {}), ("<s>", {"add_prefix_space": False}))],
    ("bert-cased", {"tokenizer.json": UNIGRAM, "vocab.txt": None, "special_tokens_map.json": None, "tokenizer_config.json": {},
                    "config.json": {"model_type": "xlm-roberta"}}, ["the food"]),
    *[(kind, {"tokenizer.json": whole(kind, normalizer={"type": "Lowercase"}), "tokenizer_config.json": {}, "config.json": {"model_type": model}},
       ["The Food, 12345 caf\u00e9", "caf\u0065\u0301"]) for kind, model in (("qwen2", "qwen3"), ("gpt2", "opt"))],
    ("gpt2", {"tokenizer.json": None, "tokenizer_config.json": {}, "special_tokens_map.json": None, "config.json": {"model_type": "opt"}}, ["The Food"]),
    ("qwen2", {"tokenizer.json": None, "tokenizer_config.json": {}, "special_tokens_map.json": None, "config.json": {"model_type": "qwen3"}}, ["The Food"]),
    ("llama", {"tokenizer_config.json": {"tokenizer_class": "CodeLlamaTokenizer"}, "special_tokens_map.json": None},
     ["the food\u2581<PRE>", "\u2581<EOT>", "the food\u2581<MID>\u2581<SUF>"]),
    # Metaspace that puts no space, in the file and by the class
    *[("llama", {"tokenizer.json": metaspace(scheme), "tokenizer_config.json": {"tokenizer_class": name, **more}}, ["the food", " the  food<s>the"])
      for scheme, name, more in (("never", "PreTrainedTokenizerFast", {}), ("always", "PreTrainedTokenizerFast", {}),
                                 ("never", "LlamaTokenizer", {"add_prefix_space": False}), ("first", "LlamaTokenizer", {"add_prefix_space": False}),
                                 ("never", "LlamaTokenizer", {"add_prefix_space": True, "legacy": False}))],
    # of the file's normalizer XLM-R keeps the Precompiled alone
    *[("bert-cased", {"tokenizer.json": {**UNIGRAM, "normalizer": normalizer}, **XLM}, ["the \ufb01od", "th\u00e9 food", "THE food"])
      for normalizer in (CHARSMAP, {"type": "Sequence", "normalizers": [CHARSMAP, {"type": "Lowercase"}]},
                         {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, CHARSMAP]}, {"type": "Lowercase"})],
    # what tokenizer.json adds and names or lists again
    *[("bert-cased", {"tokenizer.json": {**UNIGRAM, "added_tokens": UNIGRAM["added_tokens"] + [{"id": 15, **added("[E]")}]}, "vocab.txt": None,
                      "special_tokens_map.json": None, "tokenizer_config.json": {
                          **FAST, "split_special_tokens": True, **more, "added_tokens_decoder": {"15": added("[E]", special)}}}, ["the[E]food"])
      for special, more in ((True, {}), (False, {"pad_token": "[E]"}))],
    # the older files, with the line ends of Windows
    ("bert-cased", {"tokenizer.json": None, "vocab.txt": "".join(w + "\r\n" for w in WORDS),
                    "tokenizer_config.json": {"tokenizer_class": "BertTokenizer"}}, ["the foods a", "[MASK] the"]),
]


def write_files(folder, files):
    for name, value in files.items():
        path = os.path.join(folder, name)
        if value is not None:
            with open(path, "w", encoding="utf-8", newline="") as file:
                file.write(value if isinstance(value, str) else json.dumps(value))
        elif os.path.exists(path):
            os.remove(path)


def rule_folder(rule, folder):
    """As make_folder, with the texts in the place of TEXTS."""
    kind, files, texts = rule
    shutil.copytree(os.path.join(GOLDEN, kind), folder)
    write_files(folder, files)
    return kind, files, texts


def flags(rng, special):
    return dict(lstrip=rng.random() < 0.3, rstrip=rng.random() < 0.3, single_word=rng.random() < 0.2,
                normalized=rng.random() < 0.5, special=special)


def token(rng, known):
    return rng.choice(NEW if rng.random() < 0.7 else known)


def edit_names(rng, config, known):
    for _ in range(rng.randint(0, 2)):
        name = rng.choice(NAMES + ["image_token", "eot_token"])
        if name == "unk_token" and rng.random() < 0.8:
            continue  # a new one has no place in WordPiece
        what = token(rng, known)
        full = {"__type": "AddedToken", "content": what, **flags(rng, True)}
        config[name] = rng.choice([what, what, full] + ([None] if name in ("bos_token", "pad_token", "mask_token") else []))
    if rng.random() < 0.4:
        listed = [token(rng, known) for _ in range(rng.randint(0, 3))]
        config[rng.choice(["additional_special_tokens", "extra_special_tokens"])] = list(dict.fromkeys(listed))


def edit_settings(rng, config):
    for key, values in dict(do_lower_case=[True, False], strip_accents=[True, False, None], tokenize_chinese_chars=[True, False],
                            add_prefix_space=[True, False], truncation_side=["left", "right"], padding_side=["left"],
                            split_special_tokens=[True, False], model_max_length=[10**30, 512], trim_offsets=[True, False]).items():
        if rng.random() < 0.25:
            config[key] = rng.choice(values)


def edit_decoder(rng, config, whole, known):
    """added_tokens_decoder: what tokenizer.json adds, or some of it, and new tokens with ids that follow or do not."""
    kind = rng.random()
    if kind < 0.5:
        return
    listed = {str(a["id"]): {k: v for k, v in a.items() if k != "id"} for a in whole["added_tokens"]}
    if kind > 0.9 and listed:
        listed.pop(rng.choice(list(listed)))
    following = len(whole["model"]["vocab"]) + 5 * (rng.random() < 0.2)
    for i in range(rng.randint(0, 3)):
        listed[str(following + i)] = {"content": token(rng, known), **flags(rng, rng.random() < 0.6)}
    config["added_tokens_decoder"] = listed


def edit_older(rng, files, whole, known):
    """special_tokens_map.json and added_tokens.json, which are read where there is no added_tokens_decoder."""
    if rng.random() < 0.3:
        named = files.setdefault("special_tokens_map.json", {})
        for _ in range(rng.randint(0, 2)):
            what = token(rng, known)
            named[rng.choice(["bos_token", "eos_token", "pad_token"])] = rng.choice([what, {"content": what, **flags(rng, True)}])
        if rng.random() < 0.5:
            named["additional_special_tokens"] = list(dict.fromkeys(token(rng, known) for _ in range(2)))
    if rng.random() < 0.3:
        first = len(whole["model"]["vocab"])
        files["added_tokens.json"] = {t: first + i for i, t in enumerate(dict.fromkeys(token(rng, NEW) for _ in range(rng.randint(1, 3))))}


def edit_whole(rng, whole):
    if rng.random() < 0.2:
        whole["truncation"] = dict(direction=rng.choice(["Left", "Right"]), max_length=64, strategy="LongestFirst", stride=0)
    if rng.random() < 0.15:
        whole["post_processor"] = None
    if rng.random() < 0.2 and whole["added_tokens"]:
        whole["added_tokens"].pop()
    if rng.random() < 0.2:
        size = len(whole["model"]["vocab"])
        if all(a["id"] < size for a in whole["added_tokens"]):
            whole["added_tokens"].append({"id": size, "content": "[E1]", **flags(rng, rng.random() < 0.5)})


def make_folder(rng, folder, whole_too=True):
    """Writes the folder; its kind, and the files that are not the golden folder's: null where one is taken away."""
    kind = rng.choice(list(CLASSES))
    shutil.copytree(os.path.join(GOLDEN, kind), folder)
    read = lambda name: json.load(open(os.path.join(folder, name), encoding="utf-8"))
    whole, config, files = read("tokenizer.json"), read("tokenizer_config.json"), {}
    if os.path.exists(os.path.join(folder, "special_tokens_map.json")):
        files["special_tokens_map.json"] = read("special_tokens_map.json")
    known = [t for t in list(whole["model"]["vocab"])[:300] if t.isalpha() or t[0] in "<["]
    config["tokenizer_class"] = rng.choice(CLASSES[kind] * 3 + ["PreTrainedTokenizerFast", "NoSuchTokenizer"])
    edit_names(rng, config, known)
    edit_settings(rng, config)
    edit_decoder(rng, config, whole, known)
    edit_older(rng, files, whole, known)
    files["tokenizer_config.json"] = config
    if whole_too:
        edit_whole(rng, whole)
        files["tokenizer.json"] = whole
    if rng.random() < 0.6:
        files["config.json"] = {"model_type": TYPES[kind]}
        if rng.random() < 0.3:
            del config["tokenizer_class"]
        if rng.random() < 0.1:
            files["tokenizer_config.json"] = None
    if kind != "llama" and rng.random() < 0.15 and config.get("tokenizer_class") != "NoSuchTokenizer":
        files["tokenizer.json"] = None
    write_files(folder, files)
    return kind, files


def theirs(folder, length, texts=TEXTS):
    """Ids and types of the texts and of pairs; None: it cannot be opened, or cannot encode."""
    try:
        real = transformers.AutoTokenizer.from_pretrained(folder)
        out = []
        for i, text in enumerate(texts):
            for given in ((text,), (text, texts[i - 1])):
                # Lists, as data sets are encoded: a single call takes an empty second text for none.
                one = real(*[[part] for part in given], **(dict(truncation=True, max_length=length) if length else {}))
                out.append((given, one["input_ids"][0], one.get("token_type_ids", [None])[0]))
        return out
    except Exception as fault:
        return f"{type(fault).__name__}: {fault}"


def ours(lora, folder, length, texts=TEXTS):
    lines = "".join(json.dumps(given) + "\n" for i, text in enumerate(texts) for given in (text, [text, texts[i - 1]]))
    run = subprocess.run([lora, "encode", "--model=" + folder, "--json"] + ([f"--max_length={length}"] if length else []),
                         input=lines, capture_output=True, text=True)
    if run.returncode != 0:
        return run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def compare(want, have):
    """What differs; None: nothing. A refusal is right only where Transformers fails too."""
    if isinstance(want, str):
        return None
    if isinstance(have, str):
        return f"refused: {have!r}"
    for (given, ids, types), one in zip(want, have):
        if one["input_ids"] != ids:
            return f"{given!r}: Transformers {ids}, here {one['input_ids']}"
        if one.get("token_type_ids") != types:
            return f"{given!r}: types of Transformers {types}, here {one.get('token_type_ids')}"
    return None


def fixtures(first, count):
    """A line a folder: {"kind", "files", "max_length", "cases": [{"texts", "ids", "types"}, ...]}."""
    for seed in range(first, first + count):
        rng = random.Random(seed)
        with tempfile.TemporaryDirectory() as work:
            folder = os.path.join(work, "m")
            kind, files = make_folder(rng, folder, False)
            length = rng.choice([0, 0, 7, 12])
            want = theirs(folder, length)
            if isinstance(want, str):
                continue
            cases = [dict(texts=given, ids=ids, types=types) for given, ids, types in rng.sample(want, 12)]
            print(json.dumps(dict(kind=kind, files=files, max_length=length, cases=cases), separators=(",", ":")))
    for rule in RULES:
        with tempfile.TemporaryDirectory() as work:
            folder = os.path.join(work, "m")
            kind, files, texts = rule_folder(rule, folder)
            want = theirs(folder, 0, texts)
            if isinstance(want, str):
                raise SystemExit(f"{files}: {want}")
            cases = [dict(texts=given, ids=ids, types=types) for given, ids, types in want]
            print(json.dumps(dict(kind=kind, files=files, max_length=0, cases=cases), separators=(",", ":")))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lora", default="bin/lora")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--fixtures", action="store_true")
    parser.add_argument("--keep", help="where folders that differ are kept")
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    if options.fixtures:
        fixtures(options.seed, options.count)
        return 0
    different = opened = refused = 0
    for i, rule in enumerate(RULES):
        with tempfile.TemporaryDirectory() as work:
            folder = os.path.join(work, "m")
            kind, _, texts = rule_folder(rule, folder)
            fault = compare(theirs(folder, 0, texts), ours(options.lora, folder, 0, texts))
            if fault:
                different += 1
                print(f"rule {i}, {kind}: {fault}")
    for seed in range(options.seed, options.seed + options.count):
        rng = random.Random(seed)
        with tempfile.TemporaryDirectory() as work:
            folder = os.path.join(work, "m")
            kind, _ = make_folder(rng, folder)
            length = rng.choice([0, 0, 7, 12])
            want, have = theirs(folder, length), ours(options.lora, folder, length)
            opened += not isinstance(want, str)
            refused += isinstance(want, str) and isinstance(have, str)
            fault = compare(want, have)
            if fault:
                different += 1
                print(f"seed {seed}, {kind}, length {length}: {fault}")
                if options.keep:
                    shutil.copytree(folder, os.path.join(options.keep, str(seed)), dirs_exist_ok=True)
    print(f"{options.count} folders: Transformers opens {opened}, {different} differ; {refused} of the others are refused here too")
    return 1 if different or opened < options.count / 2 else 0


sys.exit(main())
