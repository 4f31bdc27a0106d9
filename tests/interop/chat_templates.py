#!/usr/bin/env python3
"""Chat templates of well-known kinds, rendered as Transformers' apply_chat_template does.

    chat_templates.py PROGRAM [MODEL...]       PROGRAM: build/.../tests/interop/chat_render
    chat_templates.py --fixtures > tests/worker/template/fixtures/chat_template/cases.jsonl

Compares texts, and says which conversations differ. A MODEL is a folder with a template of
its own, compared too. A line of a case: template, messages, options and `text`, or `error`
(where Jinja refuses; the sentence only for raise_exception), and `ranges`, the assistant's
bytes in the text: those of {% generation %}, else what each of its messages adds to the
prompt of those before it; null where the texts do not begin alike. The first line that uses a
template holds its source, later ones its name.
"""
import argparse
import json
import os
import subprocess
import sys
from datetime import datetime

# Not this file's folder: tokenizers.py in it would hide the package.
sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")

import jinja2  # noqa: E402
import transformers.utils.chat_template_utils as real  # noqa: E402
from jinja2 import TemplateError  # noqa: E402

from conversations import LINES, MANY, SMALL, TEMPLATES, TOOLS  # noqa: E402

NOW = 1721988000  # 2024-07-26, whatever the time zone up to +-10 hours


class Fixed(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.fromtimestamp(NOW, tz)


real.datetime = Fixed


def rendered(case, count, prompt, mask=False):
    kwargs = dict(case.get("variables", {}))
    for name in ("bos", "eos"):
        if name in case:
            kwargs[name + "_token"] = case[name]
    texts, parts = real.render_jinja_template(
        [case["messages"][:count]], tools=case.get("tools"), chat_template=case["source"], add_generation_prompt=prompt,
        return_assistant_tokens_mask=mask, **kwargs)
    return texts[0], parts[0] if mask else []


def ranges(case):
    many, size = case["messages"], lambda text: len(text.encode())
    whole = rendered(case, len(many), False)[0]
    if "{% generation %}" in case["source"]:
        return [[size(whole[:a]), size(whole[:b])] for a, b in rendered(case, len(many), False, True)[1]]
    out = []
    for i, message in enumerate(many):
        if message["role"] == "assistant":
            before, after = rendered(case, i, True)[0], rendered(case, i + 1, False)[0]
            if not after.startswith(before) or not whole.startswith(after):
                return None
            out.append([size(before), size(after)])
    return out


def result(case):
    """What Transformers makes of a case."""
    try:
        out = dict(text=rendered(case, len(case["messages"]), case["prompt"])[0])
    except jinja2.exceptions.SecurityError:
        return dict(error="")
    except TemplateError as error:  # raise_exception's sentence is the whole of it
        return dict(error=str(error) if type(error) is TemplateError else "")
    except Exception:
        return dict(error="")
    if not case["prompt"]:
        try:
            out["ranges"] = ranges(case)
        except Exception:  # a beginning of the conversation is refused
            out["ranges"] = None
    return out


def cases():
    for name, source in TEMPLATES.items():
        for i, messages in enumerate(MANY):
            for prompt in (False, True):
                case = dict(name=name, source=source, messages=messages, prompt=prompt, bos="<s>", eos="</s>")
                if i == 8:
                    case["tools"] = TOOLS
                if i == 9:
                    case["variables"] = dict(enable_thinking=False, builtin_tools=["code_interpreter", "search"], tools_in_user_message=False)
                yield case
    for i, source in enumerate(SMALL + LINES):
        yield dict(name=f"small-{i}", source=source, messages=MANY[0], prompt=False)


def lines(of):
    """Cases with their results; a source is written once."""
    known = set()
    for case in of:
        line = dict(case, **result(case))
        if case["name"] in known:
            del line["source"]
        known.add(case["name"])
        yield line


def models(folders):
    for folder in folders:
        path = os.path.join(folder, "chat_template.jinja")
        if os.path.exists(path):
            source = open(path, encoding="utf-8").read()
        else:
            source = json.load(open(os.path.join(folder, "tokenizer_config.json"), encoding="utf-8"))["chat_template"]
        for messages in MANY:
            for prompt in (False, True):
                yield dict(name=folder, source=source, messages=messages, prompt=prompt, bos="<s>", eos="</s>")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fixtures", action="store_true")
    parser.add_argument("program", nargs="?")
    parser.add_argument("models", nargs="*")
    options = parser.parse_args()
    if options.fixtures:
        for line in lines(cases()):
            print(json.dumps(line))
        return 0
    want = list(lines(list(cases()) + list(models(options.models))))
    given = "".join(json.dumps(line) + "\n" for line in want)
    run = subprocess.run([options.program, str(NOW)], input=given.encode(), stdout=subprocess.PIPE, check=True)
    got = [json.loads(line) for line in run.stdout.decode().split("\n")[:-1]]
    different = abs(len(got) - len(want))
    for line, have in zip(want, got):
        if "text" in line:
            same = line["text"] == have.get("text") and line.get("ranges") == have.get("ranges")
        else:
            same = "error" in have and line["error"] in have["error"]
        if not same:
            different += 1
            if different <= 12:
                print(f"  {line['name']}: {ascii(line.get('source', line['messages']))[:300]}\n    wanted {ascii(line.get('text', line.get('error')))} {line.get('ranges')}\n"
                      f"    got    {ascii(have)}")
    print(f"{len(want)} conversations, {different} differ")
    return 1 if different else 0


sys.exit(main())
