#!/usr/bin/env python3
"""Requests to a server that listens, over connections that are kept.

    serve_bench.py predict URL TEXTS [--batch=32] [--streams=2] [--seconds=10]
        rows a second of POST /predict; TEXTS has one a line
    serve_bench.py write URL MODEL[,MODEL...] [--streams=1] [--tokens=64] [--seconds=20]
        tokens a second of greedy texts as streams of /v1/completions; streams take the models in turns. Any server that
        speaks OpenAI's protocol: llama-cpp-python's, too (a piece is counted as a token)
    serve_bench.py pipeline MODEL_FOLDER TEXTS [--batch=32] [--threads=N] [--seconds=10]
        rows a second of Transformers' text-classification pipeline, in this process

The client is Python's own library, and shares the machine's cores with the server. Prints one number.
"""
import argparse
import http.client
import json
import os
import sys
import threading
import time
import urllib.parse

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("what", choices=("predict", "write", "pipeline"))
parser.add_argument("where")
parser.add_argument("given")
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--streams", type=int, default=1)
parser.add_argument("--tokens", type=int, default=64)
parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
parser.add_argument("--seconds", type=float, default=10)
a = parser.parse_args()


def batches():
    with open(a.given, encoding="utf-8") as file:
        rows = file.read().splitlines()
    return [rows[i:i + a.batch] for i in range(0, len(rows) - a.batch + 1, a.batch)]


def post(connection, path, body):
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        sys.exit(f"{path}: {response.status} {response.read()[:300]!r}")
    return response


def predict(connection, number, until):
    bodies = [json.dumps({"inputs": [[row] for row in rows]}).encode() for rows in batches()]
    count = 0
    while time.perf_counter() < until:
        post(connection, "/predict", bodies[(number + count) % len(bodies)]).read()
        count += 1
    return count * a.batch


def write(connection, number, until):
    models = a.given.split(",")
    body = json.dumps({"model": models[number % len(models)], "prompt": "The weather", "max_tokens": a.tokens, "temperature": 0,
                       "stream": True, **({} if "llama" in models[0] else {"ignore_eos": True})})
    count = 0
    while time.perf_counter() < until:
        for line in post(connection, "/v1/completions", body):
            count += line.startswith(b"data: {") and time.perf_counter() < until
        connection.close()  # a stream ends its connection
    return count


def ask(one):
    url, counts = urllib.parse.urlparse(a.where), [0] * a.streams
    begin = time.perf_counter() + 1  # behind a second that warms up
    one(http.client.HTTPConnection(url.hostname, url.port), 0, begin)

    def run(number):
        counts[number] = one(http.client.HTTPConnection(url.hostname, url.port), number, begin + a.seconds)

    begin = time.perf_counter()
    threads = [threading.Thread(target=run, args=(i,)) for i in range(a.streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - begin)


def pipeline():
    import torch
    import transformers

    torch.set_num_threads(a.threads)
    classify = transformers.pipeline("text-classification", model=a.where, dtype=torch.float32, batch_size=a.batch, device="cpu")
    rows = [row for batch in batches() for row in batch]
    some = 8 * a.batch
    classify(rows[:2 * a.batch])
    count, at, begin = 0, 0, time.perf_counter()
    while time.perf_counter() < begin + a.seconds:
        count += len(classify(rows[at:at + some]))
        at = at + some if at + some < len(rows) else 0
    return count / (time.perf_counter() - begin)


print(f"{pipeline() if a.what == 'pipeline' else ask(predict if a.what == 'predict' else write):.1f}")
