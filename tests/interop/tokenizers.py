#!/usr/bin/env python3
"""Compares `lora encode` with AutoTokenizer: ids, types, offsets, words, decoded text.

    tokenizers.py MODEL... [--files FILE...] [--bytes=N] [--random=N [--pairs] [--seed=N]] [--lora=bin/lora]
    tokenizers.py --tables > worker/tokenizer/unicode_tables.c
    tokenizers.py --categories > worker/tokenizer/unicode_categories.c
    tokenizers.py --compositions > worker/tokenizer/unicode_compositions.c
    tokenizers.py --fixtures=4 > tests/worker/tokenizer/fixtures/tokenizer/kinds.jsonl

MODEL is a folder with tokenizer.json, vocab.txt or vocab.json, or a tokenizer.json; FILE a text, a
line at a time (--bytes: only so much of it). --random adds lines of random Unicode.
Exit code 1 and the first lines that differ, if any do.
"""
import argparse
import base64
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unicodedata

sys.path.pop(0)  # this file has the module's name
import tokenizers  # noqa: E402
from tokenizers import decoders, normalizers, pre_tokenizers, processors  # noqa: E402


def as_it_stands(folder, work):
    """A copy that Transformers opens by its tokenizer.json: those two classes would drop the normalizer (class.c)."""
    copy = shutil.copytree(folder, os.path.join(work, "as_it_stands"), dirs_exist_ok=True)
    path = os.path.join(copy, "tokenizer_config.json")
    config = json.load(open(path, encoding="utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    json.dump(config, open(path, "w", encoding="utf-8"))
    return copy


# They build the library's tokenizer anew: ids are those of tokenizer.json, offsets (no post-processor that trims them, another
# <mask>) or what is special are not. Here tokenizer.json is what it says.
ANEW = ("GPTNeoXTokenizer", "GemmaTokenizer", "MPNetTokenizer")


def open_real(model, work, by_class=False):
    """What AutoTokenizer makes of a folder; of a file what the library does. The run's settings cut and pad."""
    if os.path.isdir(model):
        import transformers

        real = transformers.AutoTokenizer.from_pretrained(model)
        if type(real).__name__ in ANEW and not by_class:
            real = transformers.AutoTokenizer.from_pretrained(as_it_stands(model, work))
        if type(real).__name__ in ("LlamaTokenizer", "DebertaV2Tokenizer"):
            real = transformers.AutoTokenizer.from_pretrained(as_it_stands(model, work))
        real = real._tokenizer
    else:
        real = tokenizers.Tokenizer.from_file(model)
    real.no_truncation()
    real.no_padding()
    return real


SPACES = [" "] * 8 + ["  ", "   ", "\n", "\n\n", " \n ", "\t", "\r\n", "\u3000", "\u00a0", "\x85", "\u2028", "\u180e", "\u200b", "\u2581"]
WORDS = ["[CLS]", "[SEP]", "[MASK]", "[UNK]", "[PAD]", "##ing", "İ", "Σς", "ẞ", "e\u0301\u0323", "\ufb01", " ", "<|endoftext|>", "<s>",
         "</s>", " <mask> ", "<unk>", "<pad>", "<|im_end|>", "<|eot_id|>", "<|end|>  ", "<extra_id_0>", "'s", "'LL", "'\u017f", "'re", "'T",
         "<0x0A>", "hello", "Hello world", " don't", "1234567", "3.14", "中文字符", "привет мир", "안녕", "日本語", "مرحبا", "नमस्ते", "😀👍🏽", "👨‍👩‍👧",
         "...", "!!!", "http://a.b/c?d=e&f", "ＦＵＬＬ", "①②", "ﬁ", "Å", "が", "か\u3099"]


def random_lines(count, seed=7):
    """Letters of all scripts, marks in runs, controls, line ends, special tokens."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    pools = [(0x20, 0x7E)] * 4 + [(0, 0x10FFFF), (0, 0xFFFF), (0x80, 0x24F), (0x300, 0x36F), (0x370, 0x58F),
             (0x590, 0x8FF), (0x900, 0xDFF), (0xE00, 0x109F), (0x1100, 0x11FF), (0x1AB0, 0x1DFF),
             (0x1E00, 0x20FF), (0x2000, 0x206F), (0x3000, 0x33FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),
             (0xF900, 0xFFFF), (0x10400, 0x11FFF), (0x1D000, 0x1FFFF), (0x20000, 0x2FFFF), (0, 0x1F)]
    for _ in range(count):
        out = []
        for _ in range(rng.randint(1, 12)):
            first, last = rng.choice(pools)
            if rng.random() < 0.25:
                out.append(rng.choice(WORDS))
            for _ in range(rng.randint(1, 6)):
                c = rng.randint(first, last)
                if not 0xD800 <= c <= 0xDFFF:
                    out.append(chr(c))
            if rng.random() < 0.4:
                out.append(rng.choice(SPACES))
        yield "".join(out)


def lines_of(path, most):
    with open(path, "rb") as file:
        data = file.read(most) if most else file.read()
    if most:
        data = data[: data.rfind(b"\n") + 1]
    lines = data.decode("utf-8").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
         "config.json")


def folder_of(model, work):
    """A model folder with the tokenizer alone; of a file that, whatever lies beside it."""
    if os.path.isdir(model):
        for name in FILES:
            if os.path.exists(os.path.join(model, name)):
                shutil.copy(os.path.join(model, name), work)
    else:
        shutil.copy(model, os.path.join(work, "tokenizer.json"))
    return work


def ours(lora, folder, lines, work):
    path = os.path.join(work, "lines.txt")
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    run = subprocess.run([lora, "encode", "--model=" + folder, "--json", "--offsets", "--decode", path], stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in run.stdout.split(b"\n") if line]


def compare(lora, model, name, lines):
    texts = lines
    with tempfile.TemporaryDirectory() as work:
        real, of_class = open_real(model, work), open_real(model, work, by_class=True)
        got = ours(lora, folder_of(model, work), texts, work)
    different = abs(len(got) - len(texts))
    decoded = real.decode_batch([one["input_ids"] for one in got])
    for i, (want, again, have) in enumerate(zip(real.encode_batch(texts), of_class.encode_batch(texts), got)):
        both = {"input_ids": want.ids, "token_type_ids": want.type_ids, "offsets": [list(o) for o in want.offsets],
                "words": [-1 if w is None else w for w in want.word_ids], "text": decoded[i]}
        wrong = [key for key in both if have.get(key, both[key]) != both[key]]
        if again.ids != have["input_ids"]:
            both["input_ids"], wrong = again.ids, ["input_ids"]
        if wrong:
            different += 1
            if different <= 5:
                key = wrong[0]
                print(f"  line {i + 1}: {ascii(lines[i])}\n    {key}: wanted {ascii(both[key])}\n    {key}: got    {ascii(have[key])}")
    print(f"{model}: {name}: {len(texts)} lines, {different} differ", flush=True)
    return different


def ranges_of(name, holds):
    return set_of(name, ranges(c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF and holds(chr(c))))


def ranges(characters):
    """[[first, last]] of ascending code points."""
    out = []
    for c in characters:
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def set_of(name, ranges, unlike=None):
    """C of a set; with `unlike` the ranges are where it differs from that one."""
    return (f"static const UnicodeRange {name}_ranges[] = {{\n" + wrapped(f"{{ 0x{a:X}, 0x{b:X} }}," for a, b in ranges) + "\n};\n"
            f"const UnicodeSet unicode_{name} = {{ {name}_ranges, sizeof({name}_ranges) / sizeof({name}_ranges[0]), "
            + (f"&unicode_{unlike}" if unlike else "NULL") + " };\n")


def wrapped(rows):
    lines, line = [], "   "
    for row in rows:
        if len(line) + 1 + len(row) > 100:
            lines.append(line)
            line = "   "
        line += " " + row
    return "\n".join(lines + [line])


def pieces(how, c):
    """Of "aca", by a pre-tokenizer."""
    return len(how.pre_tokenize_str("a" + c + "a"))


def is_numeric(c, digits=pre_tokenizers.Digits(individual_digits=True)):
    return pieces(digits, c) == 3


def is_word(c, words=pre_tokenizers.Whitespace()):
    return pieces(words, c) == 1


def tables():
    def bert(**on):
        settings = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
        return normalizers.BertNormalizer(**{**settings, **on})

    clean, accents, marks, nfd = bert(clean_text=True), bert(strip_accents=True), normalizers.StripAccents(), normalizers.NFD()
    punctuation = pre_tokenizers.Punctuation()
    # A mark of class 1 goes before a higher one, and one of class 1 before a mark of class 220.
    ordered = lambda c: nfd.normalize_str(c) == c and (
        nfd.normalize_str("a" + c + "\u0334") == "a\u0334" + c and c != "\u0334" or nfd.normalize_str("a\u0323" + c) == "a" + c + "\u0323")
    # Characters that decompose into ordered marks are asked for the parts of them.
    print("/* Made by tests/interop/tokenizers.py --tables; do not edit. */")
    print("/* clang-format off */")
    print('#include "worker/tokenizer/unicode_tables.h"\n')
    print(ranges_of("other", lambda c: c not in "\0\ufffd" and clean.normalize_str(c) == ""))
    print(ranges_of("punctuation", lambda c: pieces(punctuation, c) == 3))
    print(ranges_of("nonspacing", lambda c: accents.normalize_str(c) == "" or c in "\u0344\u0f73\u0f75\u0f81"))
    print(ranges_of("mark", lambda c: marks.normalize_str(c) == ""))
    print(ranges_of("numeric", is_numeric))
    print(ranges_of("word", is_word))
    print(ranges_of("ordered", ordered))
    # Precompiled takes a cluster of characters by the replacement of its first: here 'a' is the only one, and becomes 'X'.
    units = [0] * 1024
    units[0], units[256 ^ ord("a")], units[256 ^ ord("a") ^ 512] = 256 << 10, ord("a") | 1 << 8 | 512 << 10, 1 << 31
    clusters = normalizers.Precompiled(struct.pack("<I1024I", 4096, *units) + b"X\0")
    print(ranges_of("joining", lambda c: clusters.normalize_str("a" + c) == "X"), end="")


CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co Cn".split()


def categories():
    """General categories as the regular expressions of Split and Replace see them."""
    text = "".join(chr(c) for c in range(1, 0x110000) if not 0xD800 <= c <= 0xDFFF)
    place = lambda i: i + 1 if i + 1 < 0xD800 else i + 0x801
    rows, words = [(0, 0, "Cc"), (0xD800, 0xDFFF, "Cs")], []
    for name in CATEGORIES:
        split = pre_tokenizers.Split(tokenizers.Regex(f"\\P{{{name}}}+"), "removed")
        rows += [(place(a), place(b - 1), name) for _, (a, b) in split.pre_tokenize_str(text)]
    for _, (a, b) in pre_tokenizers.Split(tokenizers.Regex("\\W+"), "removed").pre_tokenize_str(text):
        words.append((place(a), place(b - 1)))
    print("/* Made by tests/interop/tokenizers.py --categories; do not edit. */")
    print("/* clang-format off */")
    print('#include "worker/tokenizer/unicode_tables.h"\n')
    assert unicodedata.unidata_version == "14.0.0", "PCRE2's Unicode is asked of Python's"
    newer = []
    for a, b, name in sorted(row for row in rows if row[2] not in ("Cn", "Cs")):
        for c in (c for c in range(a, b + 1) if unicodedata.category(chr(c)) != name):
            if newer and newer[-1][1:] == [c - 1, name]:
                newer[-1][1] = c
            else:
                newer.append([c, c, name])
    print("const UnicodeCategory unicode_newer[] = {")
    print(wrapped(f"{{ 0x{a:X}, 0x{b:X}, \"{name}\" }}," for a, b, name in newer))
    print("};\nconst size_t unicode_newer_count = sizeof(unicode_newer) / sizeof(unicode_newer[0]);\n")
    of = {"L": set(), "N": set(), "w": set()}
    for a, b, name in rows:
        of.setdefault(name[0], set()).update(range(a, b + 1))
    for a, b in words:
        of["w"].update(range(a, b + 1))
    print(set_of("regex_letter", ranges(sorted(of["L"]))))
    for name, holds, unlike, other in (("regex_number", "N", "numeric", is_numeric), ("regex_word", "w", "word", is_word)):
        characters = (c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF)
        print(set_of(name, ranges(c for c in characters if (c in of[holds]) != other(chr(c))), unlike), end="\n" if holds == "N" else "")


def compositions():
    """Pairs that NFC joins, Hangul's syllables left out."""
    nfc, nfd, rows = normalizers.NFC(), normalizers.NFD(), []
    for c in range(0xC0, 0x110000):
        if 0xAC00 <= c <= 0xD7A3 or 0xD800 <= c <= 0xDFFF:
            continue
        parts = nfd.normalize_str(chr(c))
        if parts == chr(c) or nfc.normalize_str(chr(c)) != chr(c):
            continue
        first = nfc.normalize_str(parts[:-1])
        assert len(first) == 1, hex(c)
        rows.append((ord(first), ord(parts[-1]), c))
    print("/* Made by tests/interop/tokenizers.py --compositions; do not edit. */")
    print("/* clang-format off */")
    print('#include "worker/tokenizer/unicode_tables.h"\n')
    print("const UnicodePair unicode_pairs[] = {")
    print(wrapped(f"{{ 0x{a:X}, 0x{b:X}, 0x{c:X} }}," for a, b, c in sorted(rows)))
    print("};\nconst size_t unicode_pair_count = sizeof(unicode_pairs) / sizeof(unicode_pairs[0]);")


def charsmap(changes):
    """A precompiled_charsmap (Darts' double array, then strings) that makes these changes."""
    units, used, strings, places = [0] * 65536, {0}, b"", {}
    for old, text in changes.items():
        places[old.encode()] = len(strings)
        strings += text.encode() + b"\0"

    def fill(at, prefix):
        labels = sorted({key[len(prefix)] for key in places if key.startswith(prefix) and len(key) > len(prefix)})
        leaf = prefix in places
        base = next(b for b in range(256, 65536, 256) if not used & {b ^ label for label in labels + [0] * leaf})
        used.update(base ^ label for label in labels + [0] * leaf)
        units[at] |= (at ^ base) << 10 | leaf << 8
        if leaf:
            units[base] = places[prefix] | 1 << 31
        for label in labels:
            units[base ^ label] |= label
            fill(base ^ label, prefix + bytes([label]))

    fill(0, b"")
    size = (max(used) | 255) + 1
    return base64.b64encode(struct.pack(f"<I{size}I", 4 * size, *units[:size]) + strings).decode()


def byte_alphabet():
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


def bpe(letters, merges, first=("<unk>", "<s>", "</s>"), **more):
    tokens = list(first) + [c for c in letters if c not in first]
    prefix = more.get("continuing_subword_prefix") or ""
    for a, b in merges:
        whole = a + b[len(prefix):]
        if whole not in tokens:
            tokens.append(whole)
    return {**dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=False,
                   byte_fallback=False, ignore_merges=False), **more, "vocab": {t: i for i, t in enumerate(tokens)},
            "merges": [list(m) for m in merges]}


MERGES = [("a", "b"), ("ab", "ab"), ("T", "o"), ("To", "k"), ("l", "l"), ("1", "2"), ("b", "a"), ("o", "k")]
BYTES = ["<0x%02X>" % b for b in range(256)]


def models(letters):
    """Byte-level, SentencePiece's, with affixes; Unigram; WordLevel."""
    space = byte_alphabet()[32]
    marked = [("\u2581", "a"), ("\u2581", "\u2581"), ("\u2581", "T"), ("\u2581T", "ok")]
    plain = [c for c in letters if c not in "é中É²"]
    scores = {"<unk>": 0.0, "<s>": 0.0, "\u2581": -2.5, "ab": -3.0, "abab": -4.1, "\u2581ab": -3.1, "Tok": -5.0, "\u2581Tok": -5.5, "12": -6.0,
              "\u2581a": -3.5, "ba": -3.3, "``": -7.0, **{c: -6.0 - i / 32 for i, c in enumerate(plain)}}
    unigram = lambda **more: dict(type="Unigram", unk_id=0, byte_fallback=False, vocab=[list(row) for row in scores.items()], **more)
    return dict(
        bytes=bpe(byte_alphabet().values(), [(space, "a"), (space, space), (space + "a", "b"), ("Ã", "©")] + MERGES),
        whole=bpe(byte_alphabet().values(), [(space, "a")] + MERGES, ignore_merges=True),
        marks=bpe(["\u2581", *plain, *BYTES], marked + MERGES, unk_token="<unk>", fuse_unk=True, byte_fallback=True),
        fused=bpe(["\u2581", *plain], marked + MERGES, unk_token="<unk>", fuse_unk=True),
        single=bpe(["\u2581", *plain], marked + MERGES + [("a", "\u2581"), ("b", "\u2581")], unk_token="<unk>"),
        silent=bpe(plain, MERGES),
        affix=bpe([*plain, *["##" + c for c in plain], *[c + "</w>" for c in plain], *["##" + c + "</w>" for c in plain]],
                  [("a", "##b"), ("ab", "##ab"), ("##a", "##b"), ("T", "##o"), ("##o", "##k</w>")], unk_token="<unk>",
                  continuing_subword_prefix="##", end_of_word_suffix="</w>"),
        unigram=unigram(),
        spelled={**unigram(), "byte_fallback": True, "vocab": [list(row) for row in scores.items()] + [[b, -9.0] for b in BYTES]},
        words=dict(type="WordLevel", unk_token="<unk>", vocab={t: i for i, t in enumerate(["<unk>", "<s>", "</s>", "ab", "a", "b", "Tok", ".", "12"])}),
    )


LLAMA3_SPLIT = ("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
                "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")


def kinds():
    """Every kind of normalizer, pre-tokenizer, model, post-processor and decoder, and added tokens' flags."""
    form = lambda name, **more: dict(type=name, **more)
    bert = lambda **on: form("BertNormalizer", **{**dict(clean_text=True, handle_chinese_chars=True,
                                                         strip_accents=None, lowercase=True), **on})
    replace = lambda a, b: form("Replace", pattern={"String": a}, content=b)
    regex = lambda a, b: form("Replace", pattern={"Regex": a}, content=b)
    sequence = lambda key, *parts: {"type": "Sequence", key: list(parts)}
    level = lambda prefix=False, use=True, trim=True: form("ByteLevel", add_prefix_space=prefix, trim_offsets=trim, use_regex=use)
    meta = lambda scheme="always", split=True: form("Metaspace", replacement="\u2581", prepend_scheme=scheme, split=split)
    split = lambda pattern, behavior="Isolated", invert=False: form("Split", pattern=pattern, behavior=behavior, invert=invert)
    behaviors = ("Removed", "Isolated", "Contiguous", "MergedWithPrevious", "MergedWithNext")
    for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel"):
        yield dict(normalizer=form(name))
    for left in (True, False):
        for right in (True, False):
            yield dict(normalizer=form("Strip", strip_left=left, strip_right=right))
    for off in ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"):
        yield dict(normalizer=bert(**{off: False}), pre_tokenizer=form("BertPreTokenizer"))
    yield dict(normalizer=bert(lowercase=False, strip_accents=True), pre_tokenizer=form("BertPreTokenizer"))
    yield dict(normalizer=replace("ab", "ba"))
    yield dict(normalizer=replace(" ", ""))
    yield dict(normalizer=regex(" +|b*", "<"))
    yield dict(normalizer=regex("\\s+|[^\\w\\s]\\p{L}?", "é中"))
    yield dict(normalizer=form("Prepend", prepend="中é"))
    changes = {"\ufb01": "fi", "\u3000": " ", "\t": " ", "e\u0301": "é", "\u200b": "", "b": "", "Tok": "ok", "\u1112\u1161": "中", "İ": "i",
               "\u0001": "", "Ⅷ": "VIII", "\r\n": "\n", ".": "...", "\u0301": "ab"}
    yield dict(normalizer=form("Precompiled", precompiled_charsmap=charsmap(changes)))
    yield dict(normalizer=sequence("normalizers", form("Precompiled", precompiled_charsmap=charsmap(changes)), form("NFD"), form("StripAccents"),
                                   form("Strip", strip_left=True, strip_right=True), regex(" {2,}", " ")), pre_tokenizer=meta("first"), model="unigram")
    yield dict(normalizer=sequence("normalizers", form("NFKD"), form("StripAccents"), sequence(
        "normalizers", form("Lowercase"), replace("``", '"')), form("NFC")), pre_tokenizer=form("Whitespace"))
    for behavior in behaviors:
        yield dict(pre_tokenizer=form("Punctuation", behavior=behavior))
        for invert in (False, True):
            yield dict(pre_tokenizer=split({"Regex": "ab|\\s|[.,]"}, behavior, invert))
        yield dict(pre_tokenizer=split({"String": "ab"}, behavior))
        yield dict(pre_tokenizer=split({"Regex": "b*"}, behavior))
    for pattern in ("\\p{Lu}+|\\P{L}", "[^\\W\\p{Ll}]+", "\\d|\\w\\b", "(?i:tok|\\u00e9)", "[\\p{M}\\p{Zs}]+", "^.|.$", "\\h+(?=\\S)"):
        yield dict(pre_tokenizer=split({"Regex": pattern}, "Isolated"))
    for individual in (True, False):
        yield dict(pre_tokenizer=form("Digits", individual_digits=individual))
    for name in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer"):
        yield dict(pre_tokenizer=form(name))
    yield dict(pre_tokenizer=form("CharDelimiterSplit", delimiter="a"))
    yield dict(pre_tokenizer=sequence("pretokenizers", form("WhitespaceSplit"), form("Punctuation", behavior="Isolated"),
                                      form("Digits", individual_digits=False)))
    cls = dict(cls=["[CLS]", 1], sep=["[SEP]", 2])
    yield dict(post_processor=form("BertProcessing", **cls), pre_tokenizer=form("BertPreTokenizer"))
    yield dict(post_processor=sequence("processors", form("BertProcessing", **cls)))
    for normalizer in (None, form("Lowercase"), bert()):
        for flag in ("single_word", "lstrip", "rstrip"):
            for normalized in (True, False):
                yield dict(normalizer=normalizer, pre_tokenizer=form("BertPreTokenizer"), added=[
                    ("Tok", normalized, {flag: True}), ("Tokab", normalized, {}), ("b A", True, {flag: True}),
                    ("<x>", not normalized, {"lstrip": True, "rstrip": True})])
    cls = dict(cls=["<s>", 1], sep=["</s>", 2])
    mask = [("<mask>", False, {"lstrip": True}), ("Tok", True, {"rstrip": True})]
    for prefix in (False, True):
        for trim in (False, True):
            roberta = form("RobertaProcessing", trim_offsets=trim, add_prefix_space=prefix, **cls)
            yield dict(model="bytes", pre_tokenizer=level(prefix), post_processor=roberta, decoder=level(), added=mask)
        for use in (False, True):
            yield dict(model="whole", normalizer=form("NFC"), pre_tokenizer=level(prefix, use), post_processor=level(prefix), decoder=level(), added=mask)
    for pattern in (LLAMA3_SPLIT, LLAMA3_SPLIT.replace("{1,3}", "")):
        yield dict(model="whole", pre_tokenizer=sequence("pretokenizers", split({"Regex": pattern}), level(False, False)), decoder=level(),
                   post_processor=sequence("processors", level(True, True, False), form(
                       "TemplateProcessing", single=[{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                       pair=[{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                       special_tokens={"<s>": dict(id="<s>", ids=[1], tokens=["<s>"]), "</s>": dict(id="</s>", ids=[2, 1], tokens=["</s>", "<s>"])})))
    yield dict(model="bytes", normalizer=form("ByteLevel"), decoder=level())
    yield dict(model="bytes", pre_tokenizer=sequence("pretokenizers", form("WhitespaceSplit"), level(True, False), form("Digits", individual_digits=True)),
               post_processor=level(True), decoder=level())
    llama = sequence("normalizers", form("Prepend", prepend="\u2581"), replace(" ", "\u2581"))
    spaces = sequence("decoders", replace("\u2581", " "), form("ByteFallback"), form("Fuse"), form("Strip", content=" ", start=1, stop=0))
    for model in ("marks", "fused", "single"):
        yield dict(model=model, normalizer=llama, decoder=spaces, added=mask)
        yield dict(model=model, pre_tokenizer=meta("first", False), decoder=sequence("decoders", form("Fuse"), form("Strip", content="b", start=0, stop=2)))
    for model in ("unigram", "spelled"):
        for scheme in ("always", "first", "never"):
            yield dict(model=model, pre_tokenizer=meta(scheme, scheme != "never"), added=mask, decoder=meta(scheme))
        yield dict(model=model, pre_tokenizer=sequence("pretokenizers", form("WhitespaceSplit"), meta()), decoder=sequence(
            "decoders", form("ByteFallback"), meta("never")))
    yield dict(model="silent", pre_tokenizer=form("WhitespaceSplit"))
    yield dict(model="affix", pre_tokenizer=form("Whitespace"), decoder=form("BPEDecoder", suffix="</w>"))
    yield dict(model="affix", pre_tokenizer=form("WhitespaceSplit"), decoder=sequence(
        "decoders", form("BPEDecoder", suffix="</w>"), form("Replace", pattern={"Regex": "#+"}, content=""), form("Fuse"), form("Strip", content="a", start=2, stop=1)))
    yield dict(model="words", pre_tokenizer=form("Whitespace"))
    for cleanup in (True, False):
        yield dict(pre_tokenizer=form("BertPreTokenizer"), decoder=form("WordPiece", prefix="##", cleanup=cleanup))


def kind_texts(rng, count):
    alphabet = list("abAB ab  .,'`12 ") + ["Tok", "Tokab", "tok", "<x>", "b A", "``", "é", "É", "e\u0301", "\u0323", "\u0301", "İ",
                                             "ß", "Σ", "中", "Ⅷ", "²", "\u00a0", "\u3000", "\t", "\n", "\u200b", "\u0001", "\ufb01",
                                             "가", "\u1112\u1161", "_", "-", "—", "$", "١", "\u0903", "\U0001d15e", "\u1df6", "<mask>", " 'll", "'S",
                                             "abab", "\r\n", "\u2581", "<0x41>", "<s>", "aaaaaaaaaaaaaaaaaaaaaaaaaaaab", "\u10d4d", "\u0897"]
    for _ in range(count):
        yield "".join(rng.choice(alphabet) for _ in range(rng.randint(1, 14)))


def decoded(real, ids):
    try:
        return real.decode(ids)
    except BaseException as fault:  # Strip panics on a token shorter than what it strips
        if type(fault).__name__ != "PanicException":
            raise
        return None


def fixtures(count, seed):
    """A line a tokenizer: {"tokenizer": tokenizer.json, "cases": [{text, ids, offsets, words, decoded}, ...]}."""
    rng = random.Random(seed)
    for kind in kinds():
        texts = list(kind_texts(rng, count))
        letters = sorted(set("".join(texts)) | set("abcdefghijklmnopqrstuvwxyzT12\"") | set(
            normalizers.NFKD().normalize_str("".join(texts)) + normalizers.NFC().normalize_str("".join(texts)).lower()))
        letters = [c for c in letters if c != "\0"]
        tokens = ["[UNK]", "[CLS]", "[SEP]", "ab", "##ab"] + letters + ["##" + c for c in letters]
        wordpiece = dict(type="WordPiece", unk_token="[UNK]", continuing_subword_prefix="##",
                         max_input_chars_per_word=10, vocab={t: i for i, t in enumerate(tokens)})
        model = models([c for c in letters if c not in ("\u2581",)]).get(kind.pop("model", None), wordpiece)
        size = len(model["vocab"])
        added = []
        for content, normalized, flags in kind.pop("added", []):
            known = {t if isinstance(t, str) else t[0]: i for i, t in enumerate(model["vocab"])}
            fresh = size + sum(one["id"] >= size for one in added)
            added.append({**dict(id=known.get(content, fresh), content=content, normalized=normalized, special=content == "<mask>",
                                 single_word=False, lstrip=False, rstrip=False), **flags})
        whole = dict(version="1.0", truncation=None, padding=None, added_tokens=added, decoder=None, normalizer=None,
                     pre_tokenizer=None, post_processor=None)
        whole.update(kind)
        whole["model"] = model
        real = tokenizers.Tokenizer.from_str(json.dumps(whole))
        of = lambda one, **more: dict(**more, ids=one.ids, offsets=one.offsets, words=[-1 if w is None else w for w in one.word_ids])
        cases = [of(one, text=t, decoded=decoded(real, one.ids)) for t, one in ((t, real.encode(t)) for t in texts)]
        words = [texts[i:i + 3] for i in range(0, len(texts), 3)]
        cases += [of(real.encode(w, is_pretokenized=True), split=w) for w in words]
        print(json.dumps(dict(tokenizer=whole, cases=cases), separators=(",", ":")))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lora", default="bin/lora")
    parser.add_argument("--bytes", type=int, default=0)
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--pairs", action="store_true", help="random lines are pairs")
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--categories", action="store_true")
    parser.add_argument("--compositions", action="store_true")
    parser.add_argument("--fixtures", type=int, default=0, metavar="TEXTS")
    parser.add_argument("--files", nargs="*", default=[])
    parser.add_argument("models", nargs="*")
    options = parser.parse_args()
    if options.tables:
        tables()
        return 0
    if options.categories or options.compositions:
        (categories if options.categories else compositions)()
        return 0
    if options.fixtures:
        fixtures(options.fixtures, options.seed)
        return 0
    different = 0
    for model in options.models:
        for path in options.files:
            different += compare(options.lora, model, path, lines_of(path, options.bytes))
        if options.random:
            lines = list(random_lines(options.random, options.seed))
            if options.pairs:
                lines = list(zip(lines[::2], lines[1::2]))
            different += compare(options.lora, model, "random", lines)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
