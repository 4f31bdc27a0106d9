#!/usr/bin/env python3
"""Compares our metrics with scikit-learn, scipy, seqeval, sacrebleu and rouge_score.

    metrics.py PROGRAM [--cases=N] [--seed=N]      PROGRAM: build/.../tests/interop/metrics_figures
    metrics.py --fixtures > tests/common/metrics/fixtures/metrics/cases.jsonl

Each case is random inputs and what those libraries make of them. Exit code 1 and the
first figures that differ by more than 1e-6, if any do.
"""
import argparse
import json
import math
import random
import subprocess
import sys
import warnings

import numpy
import sacrebleu
from rouge_score import rouge_scorer
from scipy import stats
from sklearn import metrics as sk

sys.path.pop(0)  # this file has the name of one of theirs
from seqeval import metrics as seqeval  # noqa: E402

warnings.simplefilter("ignore")
SINGLE, MULTI, REGRESSION = "single_label_classification", "multi_label_classification", "regression"


def number(rng):
    return round(rng.uniform(-4, 4) * 64) / 64  # exact in float32


def mean(values):
    return sum(values) / len(values)


def start(rng, task, problem, rows):
    return dict(task=task, problem=problem, losses=[round(rng.uniform(0, 3), 6) for _ in range(rows)])


def prf(goal, guess, average):
    p, r, f, _ = sk.precision_recall_fscore_support(goal, guess, average=average, zero_division=0)
    return dict(accuracy=sk.accuracy_score(goal, guess), f1=f, precision=p, recall=r)


def classes(rng):
    rows, labels = rng.randint(1, 40), rng.choice([2, 2, 3, 5, 9])
    case = start(rng, rng.choice(["SEQ_CLS", "IMAGE_CLS"]), SINGLE, rows)
    used = rng.randint(1, labels)  # some labels may not occur
    case.update(labels=labels, goal=[rng.randrange(used) for _ in range(rows)],
                logits=[[number(rng) for _ in range(labels)] for _ in range(rows)])
    for row, goal in zip(case["logits"], case["goal"]):
        row[goal] += rng.choice([0, 0, 2, 8])
    guess = numpy.argmax(numpy.array(case["logits"]), axis=1)
    figures = prf(case["goal"], guess, "binary" if labels == 2 else "macro")
    case["figures"] = dict(figures, loss=mean(case["losses"]), matthews=sk.matthews_corrcoef(case["goal"], guess))
    return case


def labels(rng):
    rows, count = rng.randint(1, 30), rng.randint(1, 6)
    case = start(rng, "SEQ_CLS", MULTI, rows)
    case.update(labels=count, goal=[[rng.randint(0, 1) for _ in range(count)] for _ in range(rows)],
                logits=[[number(rng) for _ in range(count)] for _ in range(rows)])
    guess = (numpy.array(case["logits"]) > 0).astype(int)
    goal = numpy.array(case["goal"])
    if count == 1:  # scikit-learn takes one column for two classes; its macro over the column is that label's
        figures = prf(goal[:, 0], guess[:, 0], "binary")
    else:
        figures = prf(goal, guess, "macro")
    case["figures"] = dict(figures, loss=mean(case["losses"]))
    return case


def values(rng):
    rows = rng.randint(3, 40)
    case = start(rng, "SEQ_CLS", REGRESSION, rows)
    # few different values: ranks with ties
    draw = (lambda: float(rng.randint(0, 5))) if rng.random() < 0.5 else (lambda: number(rng))
    goal = [draw() for _ in range(rows)]
    guess = [g + number(rng) if rng.random() < 0.5 else draw() for g in goal]
    case.update(labels=1, goal=goal, logits=[[x] for x in guess])
    case["figures"] = dict(loss=mean(case["losses"]), mse=mean([(a - b) ** 2 for a, b in zip(goal, guess)]),
                           pearson=float(stats.pearsonr(guess, goal)[0]), spearman=float(stats.spearmanr(guess, goal)[0]))
    return case


SCHEMES = [
    ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"], ["O", "I-PER", "I-LOC", "B-PER"],
    ["O", "B-A", "I-A", "E-A", "S-A", "B-B", "I-B", "E-B", "S-B"], ["B", "I", "O"], ["O", "B", "I", "E", "S"],
    ["LABEL_0", "LABEL_1", "LABEL_2"], ["O", "PER", "LOC", "BPER", "IPER"], ["O", "B-x-y", "I-x-y", "I-x", "B-x"],
    ["NOUN", "VERB", "ADJ", "PUNCT", "O"], ["O", "B-ÄÖ", "I-ÄÖ", "Éa", "é-a"], [".", "B-.", "I-.", "O", "O-PER", "I-PER"],
]


def tags(rng):
    names = rng.choice(SCHEMES)
    case = start(rng, "TOKEN_CLS", None, rng.randint(1, 12))
    goals, guesses = [], []
    for _ in case["losses"]:
        goal = [rng.randrange(len(names)) for _ in range(rng.randint(1, 12))]
        goals.append([g if rng.random() < 0.8 else -100 for g in goal])
        guesses.append([g if rng.random() < 0.7 else rng.randrange(len(names)) for g in goal])
    if all(g == -100 for goal in goals for g in goal):
        goals[0][0] = 0
    case.update(labels=names, goal=goals, guess=guesses)
    pairs = [[(names[g], names[p]) for g, p in zip(a, b) if g != -100] for a, b in zip(goals, guesses)]
    goal, guess = [[g for g, _ in row] for row in pairs], [[p for _, p in row] for row in pairs]
    case["figures"] = dict(
        loss=sum(case["losses"]) / sum(map(len, goal)), accuracy=seqeval.accuracy_score(goal, guess),
        f1=float(seqeval.f1_score(goal, guess)), precision=float(seqeval.precision_score(goal, guess)),
        recall=float(seqeval.recall_score(goal, guess)))
    return case


WORDS = ("the a The cat's dog, house. 3.14 1,000 10-20 well-known e.g. U.S. (see [1]) \"quoted\" don't naïve Straße "
         "東京 ,, .. ... -- x-\ny a/b &quot;hi&quot; &amp;lt; &lt;b&gt; <skipped> 5% $9.99 \u212aelvin \u0130stanbul "
         "#tag @me é, ,é -5 5- 7.a a.7 ,7, {x} _y_ ^ ` ~ \\ R2D2 snake_case CamelCase \u00bd 100\u20ac").split(" ")
SPACES = [" "] * 12 + ["  ", "\n", "\t", "\u00a0", "\u3000", "\u2009", "\u0085", "\u200b", "\u1680", "\x1c", "\r\n"]


def text_of(rng, most):
    out = "".join(rng.choice(WORDS) + rng.choice(SPACES) for _ in range(rng.randint(0, most)))
    return rng.choice(["", "", " ", "\u00a0"]) + out + rng.choice(["", "", ".", "-\n", "!\n\n"])


def near(rng, text):
    """The text with words left out, put in and turned round."""
    words = text.split(" ")
    for _ in range(rng.randint(0, 1 + len(words) // 2)):
        i = rng.randrange(len(words) + 1)
        words[i:i + rng.randint(0, 2)] = rng.choices(WORDS, k=rng.randint(0, 2))
    return " ".join(words)


def texts(rng):
    case = start(rng, "CAUSAL_LM", None, rng.randint(1, 6))
    count = rng.randint(1, 3)
    case.update(labels=0, tokens=[rng.randint(1, 50) for _ in case["losses"]])
    loss = sum(case["losses"]) / sum(case["tokens"])
    case["figures"] = dict(loss=loss, perplexity=math.exp(loss))
    if rng.random() < 0.1:
        return case
    case["texts"] = []
    for _ in case["losses"]:
        text = text_of(rng, rng.choice([2, 4, 12, 30]))
        more = [near(rng, text) if rng.random() < 0.8 else text_of(rng, 12) for _ in range(rng.randint(1, count))]
        case["texts"].append([text, more])
    # sacrebleu has a list of the first references, one of the second, ...; None: this text has no such
    streams = [[r[i] if i < len(r) else None for _, r in case["texts"]] for i in range(count)]
    scorer = rouge_scorer.RougeScorer(["rougeL"])
    case["figures"].update(
        bleu=sacrebleu.BLEU().corpus_score([t for t, _ in case["texts"]], streams).score,
        rougeL=mean([scorer.score_multi(r, t)["rougeL"].fmeasure for t, r in case["texts"]]))
    return case


KINDS = [classes, labels, values, tags, tags, texts, texts]


def compare(program, cases, chunk):
    lines = "".join(json.dumps({k: v for k, v in case.items() if k != "figures"}) + "\n" for case in cases)
    run = subprocess.run([program, str(chunk)], input=lines.encode(), stdout=subprocess.PIPE, check=True)
    got = [json.loads(line) for line in run.stdout.splitlines()]
    different = abs(len(got) - len(cases))
    for i, (case, have) in enumerate(zip(cases, got)):
        # where a correlation is not defined, scipy has nan and we have 0
        want = {k: 0.0 if math.isnan(v) else float(v) for k, v in case["figures"].items()}
        same = want.keys() == have.keys() and all(abs(v - have[k]) <= 1e-6 * max(1, abs(v)) for k, v in want.items())
        if not same:
            different += 1
            if different <= 5:
                print(f"  case {i + 1}: {ascii(case)}\n    wanted {want}\n    got    {have}")
    print(f"{len(cases)} cases, {chunk} examples a chunk: {different} differ", flush=True)
    return different


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1400)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--fixtures", action="store_true")
    parser.add_argument("program", nargs="?")
    options = parser.parse_args()
    if options.fixtures:
        rng = random.Random(5)
        for i in range(98):
            print(json.dumps(KINDS[i % len(KINDS)](rng)))
        return 0
    print(f"seed {options.seed}")
    rng = random.Random(options.seed)
    cases = [KINDS[i % len(KINDS)](rng) for i in range(options.cases)]
    return 1 if compare(options.program, cases, 1) + compare(options.program, cases, 5) else 0


sys.exit(main())
