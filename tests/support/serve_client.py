#!/usr/bin/env python3
"""A client of `lora serve` out of Python's own library, for the process tests.

    serve_client.py URL KEY routes MODEL ADAPTER FOLDER    every route of a model that writes texts
    serve_client.py URL KEY classes MODEL                  every route of one that classifies
    serve_client.py URL KEY vectors MODEL TEXTS WANTED     every route of one that makes embeddings; WANTED: lora embed's of TEXTS
"""
import base64
import concurrent.futures
import http.client
import json
import math
import struct
import sys

from serve_http import KEY, URL, answer, ask, check, end, is_error, raw_connection


def pieces(path, body):
    status, r, data = ask("POST", path, {**body, "stream": True})
    check("a stream is text/event-stream", status == 200 and r.headers["Content-Type"].startswith("text/event-stream"), data)
    events = data.decode().split("\n\n")
    check("a stream ends with [DONE]", events[-2:] == ["data: [DONE]", ""], events[-3:])
    return [json.loads(e[6:]) for e in events if e.startswith("data: {")]


def two_ends(path):
    """A body whose end is said twice is nobody's: what follows it must not be taken for a request."""
    for head in ("Content-Length: 5\r\nTransfer-Encoding: chunked", "Content-Length: 5\r\nContent-Length: 90"):
        c = raw_connection()
        c.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        c.settimeout(20)
        try:
            got = c.recv(1000)
        except OSError:
            got = b""
        c.close()
        check(f"{head!r} ends the connection", got == b"", got)


def wrong_requests(path, field, right):
    two_ends(path)
    for name, body, status, param in (
            ("no JSON", b"{", 400, None), ("no object", [], 400, None), ("a key twice", b'{"model":1,"model":2}', 400, None),
            ("a number for a name", {**right, "model": 3}, 400, "model"), ("no such model", {**right, "model": "x"}, 404, "model"),
            ("deep", {**right, "x": json.loads("[" * 40 + "]" * 40)}, 400, None)):
        got = ask("POST", path, body)
        check(f"{path}: {name} is {status}", is_error(got, status, param), got)
    without = {k: v for k, v in right.items() if k != field}
    check(f"{path} without {field}", ask("POST", path, without)[0] in (400, 422))
    check("too large a body is 413", is_error(ask("POST", path, b" " * (5 << 20)), 413))
    check("no key is 401", is_error(ask("POST", path, right, key=None), 401, code="invalid_api_key"))
    check("a wrong key is 401", is_error(ask("POST", path, right, key=KEY + "x"), 401))
    check("the beginning of the key is 401", is_error(ask("POST", path, right, key=KEY[:-1]), 401))
    got = ask("GET", path if path != "/" else "/predict")
    check("another method is 405 with Allow", is_error(got, 405) and got[1].headers["Allow"] == "POST", got)


def shared_routes():
    for path in ("/health", "/healthz", "/readyz"):
        check(path, json.loads(ask("GET", path, key=None)[2]) == {"status": "ok"})
    check("an unknown path is 404", is_error(ask("GET", "/nothing"), 404))
    status, r, page = ask("GET", "/", key=None)
    check("the page", status == 200 and r.headers["Content-Type"].startswith("text/html") and b"//" not in page.replace(b"<!", b""), page[:80])
    status, r, text = ask("GET", "/metrics")
    check("/metrics", status == 200 and r.headers["Content-Type"].startswith("text/plain") and b"# TYPE lora_requests_total counter" in text)
    check("/metrics wants the key", is_error(ask("GET", "/metrics", key=None), 401))


def routes(model, adapter, folder):
    shared_routes()
    names = [m["id"] for m in json.loads(ask("GET", "/v1/models")[2])["data"]]
    check("/v1/models", names == [model, adapter], names)
    check("/v1/models/NAME", json.loads(ask("GET", "/v1/models/" + adapter)[2])["parent"] == model)
    check("/v1/models/NAME of nobody", is_error(ask("GET", "/v1/models/x"), 404, "model", "model_not_found"))
    right = {"model": adapter, "prompt": "hello there", "max_tokens": 8, "temperature": 0, "ignore_eos": True}
    whole = answer("/v1/completions", right)
    text, usage = whole["choices"][0]["text"], whole["usage"]
    check("finish_reason", whole["choices"][0]["finish_reason"] == "length" and usage["completion_tokens"] == 8, whole)
    got = pieces("/v1/completions", {**right, "stream_options": {"include_usage": True}})
    check("a stream's text is the text", "".join(e["choices"][0]["text"] for e in got if e["choices"]) == text, got)
    check("a stream's usage", got[-1]["choices"] == [] and got[-1]["usage"] == usage, got[-1])
    for stop in (text[2:4], [text[-2:], text[3:5]]):
        first = min(text.index(s) for s in ([stop] if isinstance(stop, str) else stop))
        cut = answer("/v1/completions", {**right, "stop": stop})["choices"][0]
        check("a stop string ends the text and is not in it", cut["text"] == text[:first] and cut["finish_reason"] == "stop", (cut, text))
        got = pieces("/v1/completions", {**right, "stop": stop})
        check("nor in a stream", "".join(e["choices"][0]["text"] for e in got) == text[:first], got)
    several = answer("/v1/completions", {**right, "prompt": ["hello there", "the red", "hello there"]})["choices"]
    check("several prompts", [c["index"] for c in several] == [0, 1, 2] and several[0]["text"] == several[2]["text"] == text, several)
    got = pieces("/v1/completions", {**right, "prompt": ["hello there", "the red"]})
    for i in (0, 1):
        check("a stream of several", "".join(e["choices"][0]["text"] for e in got if e["choices"][0]["index"] == i) == several[i]["text"], got)
    ids = answer("/v1/completions", {**right, "prompt": [3, 4, 5], "return_token_ids": True})
    check("ids", len(ids["choices"][0]["token_ids"]) == 8 and ids["usage"]["prompt_tokens"] == 3, ids)
    drawn = {**right, "temperature": 1.5, "max_tokens": 20}
    check("the same seed, the same text", answer("/v1/completions", {**drawn, "seed": 5})["choices"] == answer("/v1/completions", {**drawn, "seed": 5})["choices"])
    check("another seed, another text", answer("/v1/completions", {**drawn, "seed": 5})["choices"] != answer("/v1/completions", {**drawn, "seed": 6})["choices"])
    for param, value in (("temperature", -1), ("temperature", "hot"), ("top_p", 0), ("max_tokens", 0), ("max_tokens", 1.5), ("n", 0),
                         ("logprobs", 6), ("logprobs", True), ("best_of", 2), ("suffix", "x"), ("min_p", 2), ("presence_penalty", 3), ("frequency_penalty", -3),
                         ("logit_bias", [1]), ("logit_bias", {"x": 1}), ("logit_bias", {"99999999": 1}), ("logit_bias", {"1": 101}), ("echo", 1),
                         ("stream_options", {"include_usage": True}), ("stop", 4), ("stop", ["a"] * 17), ("prompt", [[]]), ("prompt", [-1]),
                         ("prompt", [10 ** 12]), ("prompt", {}), ("prompt", []), ("stream", 1), ("seed", "x")):
        got = ask("POST", "/v1/completions", {**right, param: value})
        check(f"{param}={value} is refused by name", is_error(got, 400, param), got)
    got = ask("POST", "/v1/completions", {**right, "max_tokens": 10 ** 6})
    check("more than the context is 400", is_error(got, 400, "prompt", "context_length_exceeded"), got)
    check("too many prompts are 413", is_error(ask("POST", "/v1/completions", {**right, "prompt": ["a"] * 33}), 413))
    check("too many texts are 413", is_error(ask("POST", "/v1/completions", {**right, "prompt": ["a"] * 3, "n": 11}), 413))
    options(right, text)
    check("without a model's name", is_error(ask("POST", "/v1/completions", {**right, "model": None}), 400, "model"))
    got = ask("POST", "/v1/chat/completions", {"model": adapter, "messages": [{"role": "user", "content": "hi"}]})
    check("chat without a template is 400 and says so", is_error(got, 400, "messages") and got[2].count(b"template") == 1, got)
    for param, value in (("tools", [{}]), ("response_format", {"type": "json_object"}), ("store", True), ("reasoning_effort", "high"), ("top_logprobs", 2)):
        got = ask("POST", "/v1/chat/completions", {"model": adapter, "messages": [{"role": "user", "content": "hi"}], param: value})
        check(f"chat with {param}={value} is refused by name", is_error(got, 400, param), got)
    check("/predict is not for texts", is_error(ask("POST", "/predict", {"inputs": "a"}), 404))
    wrong_requests("/v1/completions", "prompt", right)
    tokens("the red garden", 0)
    load = {"lora_name": "hot", "lora_path": folder}
    check("load", ask("POST", "/v1/load_lora_adapter", load)[0] == 200)
    check("load again", is_error(ask("POST", "/v1/load_lora_adapter", load), 400, "lora_name"))
    check("load in place", ask("POST", "/v1/load_lora_adapter", {**load, "load_inplace": True})[0] == 200)
    check("what was loaded answers as its like", answer("/v1/completions", {**right, "model": "hot"})["choices"] == whole["choices"])
    check("load from elsewhere", is_error(ask("POST", "/v1/load_lora_adapter", {"lora_name": "y", "lora_path": "/etc"}), 403))
    check("load what is none", is_error(ask("POST", "/v1/load_lora_adapter", {"lora_name": "y", "lora_path": folder + "/.."}), 400))
    check("unload", ask("POST", "/v1/unload_lora_adapter", {"lora_name": "hot"})[0] == 200)
    check("unload again", is_error(ask("POST", "/v1/unload_lora_adapter", {"lora_name": "hot"}), 404))
    check("unloaded", is_error(ask("POST", "/v1/completions", {**right, "model": "hot"}), 404, "model", "model_not_found"))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        texts = list(pool.map(lambda i: answer("/v1/completions", {**right, "model": (model, adapter)[i % 2]})["choices"][0]["text"], range(64)))
    check("64 at once, two models: each has its text", set(texts[1::2]) == {text} and len(set(texts[::2])) == 1, texts)


def options(right, text):
    """What a request may ask for besides one greedy text, which is `text`."""
    path = "/v1/completions"
    got = ask("POST", path, {**right, "echoes": 1})
    check("a field that nobody has is refused", is_error(got, 400, code="unknown_parameter") and b"'echoes'" in got[2], got)
    plain = {"user": "me", "suffix": None, "best_of": 1, "n": 1, "presence_penalty": 0, "logit_bias": {}, "stop": [], "echo": False, "unheard_of": None}
    check("fields that say what holds anyhow", answer(path, {**right, **plain})["choices"][0]["text"] == text)
    check("echo", answer(path, {**right, "echo": True})["choices"][0]["text"] == "hello there" + text)
    check("a stream's echo", "".join(e["choices"][0]["text"] for e in pieces(path, {**right, "echo": True})) == "hello there" + text)
    drawn = {**right, "temperature": 1.5, "seed": 3}
    one, three = answer(path, drawn), answer(path, {**drawn, "n": 3})
    texts = [c["text"] for c in three["choices"]]
    check("n texts, of which the first is that of one", texts[0] == one["choices"][0]["text"] and len(set(texts)) == 3, texts)
    check("the prompt of n texts counts once", three["usage"]["prompt_tokens"] == one["usage"]["prompt_tokens"], three["usage"])
    several = answer(path, {**right, "prompt": ["hello there", "the red"], "n": 2})["choices"]
    check("n texts of two prompts", [c["index"] for c in several] == [0, 1, 2, 3] and several[0]["text"] == several[1]["text"] == text != several[2]["text"], several)
    log_probabilities(path, right, text)
    ids = answer(path, {**right, "return_token_ids": True})["choices"][0]["token_ids"]
    wanted = {**right, "return_token_ids": True}
    forced = answer(path, {**wanted, "logit_bias": {str(ids[3]): 100}})["choices"][0]["token_ids"]
    check("a bias of 100 forces a token", forced == [ids[3]] * 8, forced)
    banned = answer(path, {**wanted, "logit_bias": {str(i): -100 for i in ids}})["choices"][0]["token_ids"]
    check("one of -100 bans it", not set(banned) & set(ids), banned)
    # a forced token is at 100 ahead of all others by less than 100; each time it was written it loses two
    # (those of the prompt do not count)
    fewer = answer(path, {**wanted, "prompt": [ids[3]] * 4, "max_tokens": 60, "logit_bias": {str(ids[3]): 100}, "frequency_penalty": 2})["choices"][0]["token_ids"]
    check("a frequency penalty ends a repetition", 30 <= fewer.count(ids[3]) < 60 and fewer[:30] == [ids[3]] * 30, fewer)
    fewer = answer(path, {**wanted, "prompt": [ids[3]] * 30, "max_tokens": 30, "logit_bias": {str(ids[3]): 100}, "frequency_penalty": 2})["choices"][0]["token_ids"]
    check("what the prompt repeats is not penalised", fewer == [ids[3]] * 30, fewer)
    once = answer(path, {**wanted, "logit_bias": {str(i): 20 for i in range(8)}, "presence_penalty": 2})["choices"][0]["token_ids"]
    check("another text with a presence penalty", once != answer(path, {**wanted, "logit_bias": {str(i): 20 for i in range(8)}})["choices"][0]["token_ids"], once)


def log_probabilities(path, right, text):
    known = {**right, "logprobs": 2}
    log = answer(path, known)["choices"][0]["logprobs"]
    check("logprobs: a name, a number, a place a token", len(log["tokens"]) == len(log["token_logprobs"]) == len(log["text_offset"]) == 8, log)
    check("logprobs: names are the text", "".join(log["tokens"]) == text and [text[i:i + len(t)] for i, t in zip(log["text_offset"], log["tokens"])] == log["tokens"], (log, text))
    check("logprobs: of a greedy text the likeliest", all(max(t.values()) == p and t[n] == p and len(t) == 2 and sum(map(math.exp, t.values())) <= 1
          for n, p, t in zip(log["tokens"], log["token_logprobs"], log["top_logprobs"])), log)
    drawn = answer(path, {**right, "logprobs": 0, "temperature": 1.5, "seed": 3})["choices"][0]["logprobs"]
    check("logprobs 0: the chosen one alone", all(t == {n: p} for n, p, t in zip(drawn["tokens"], drawn["token_logprobs"], drawn["top_logprobs"])), drawn)
    for more in ({}, {"stop": text[3:5]}):
        whole = answer(path, {**known, **more})["choices"][0]["logprobs"]
        joined = {k: [] for k in whole}
        for event in pieces(path, {**known, **more}):
            for k, v in (event["choices"][0]["logprobs"] or {}).items():
                joined[k] += v
        check(f"a stream's logprobs {more}", joined == whole and (not more or len(whole["tokens"]) < 8), (joined, whole))


def classes(model):
    shared_routes()
    one = answer("/predict", {"inputs": "the garden is red"})
    check("one text", [set(x) for x in one] == [{"label", "score"}] * len(one) and one == sorted(one, key=lambda x: -x["score"]), one)
    pair = answer("/predict", {"inputs": ["the garden", "is red"]})
    check("two strings are a pair", isinstance(pair[0], dict) and pair != one, pair)
    check("a batch", answer("/predict", {"inputs": [["the garden is red"], ["the garden", "is red"]]}) == [one, pair])
    check("POST /: one is a list of one", answer("/", {"inputs": "the garden is red"}) == [one])
    check("POST /: two texts, and a pair", answer("/", {"inputs": ["the garden is red", {"text": "the garden", "text_pair": "is red"}]}) == [one, pair])
    raw = answer("/predict", {"inputs": "the garden is red", "raw_scores": True})
    check("raw scores", [x["label"] for x in raw] == [x["label"] for x in one] and abs(sum(x["score"] for x in raw) - 1) > 1e-6, raw)
    for inputs in ([], "", None, [["a", "b", "c"]], [1], {"text": "a"}, [[]]):
        got = ask("POST", "/predict", {"inputs": inputs})
        check(f"inputs {inputs} is 422", is_error(got, 422, "inputs"), got)
    check("too many are 413", is_error(ask("POST", "/predict", {"inputs": [["a"]] * 33}), 413))
    check("too long is 413", is_error(ask("POST", "/predict", {"inputs": "red " * 3000}), 413))
    check("or cut", isinstance(answer("/predict", {"inputs": "red " * 3000, "truncate": True}), list))
    check("/v1/completions is not for classes", is_error(ask("POST", "/v1/completions", {"prompt": "a"}), 404))
    wrong_requests("/predict", "inputs", {"model": model, "inputs": "a"})
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        rows = list(pool.map(lambda i: answer("/predict", {"inputs": "the garden is red" if i % 3 else ["the garden", "is red"]}), range(60)))
    check("60 at once: each has its scores, to the bit", all(r == (one if i % 3 else pair) for i, r in enumerate(rows)))


def tokens(text, special):
    """/tokenize and back, in the words of three kinds of clients; special: tokens around a text."""
    vllm = answer("/tokenize", {"prompt": text, "return_token_strs": True})
    ids = vllm["tokens"]
    check("/tokenize: vLLM's", vllm["count"] == len(ids) == len(vllm["token_strs"]) and vllm["max_model_len"] > 0, vllm)
    bare = answer("/tokenize", {"content": text})["tokens"]
    check("/tokenize: llama-server's has no special tokens", bare == ids[special:len(ids) - special] and bare, (bare, ids))
    check("and with them", answer("/tokenize", {"content": text, "add_special": True})["tokens"] == ids)
    check("and pieces", [p["id"] for p in answer("/tokenize", {"content": text, "with_pieces": True})["tokens"]] == bare)
    tei = answer("/tokenize", {"inputs": [text, "hello"]})
    check("/tokenize: TEI's", len(tei) == 2 and [t["id"] for t in tei[0]] == ids, tei)
    check("places are those of the text", all(t["special"] == (t["start"] is None) and (t["special"] or t["text"] == text[t["start"]:t["stop"]])
          for t in tei[0]) and sum(t["special"] for t in tei[0]) == 2 * special, tei[0])
    back = answer("/detokenize", {"tokens": bare})
    check("/detokenize", back["prompt"] == back["content"] and back["prompt"].strip() == text, back)
    check("/decode", [t.strip() for t in answer("/decode", {"ids": [ids, bare]})] == [text, text])
    check("/decode of one", answer("/decode", {"ids": ids})[0].strip() == text)
    for path, body, param in (("/tokenize", {}, None), ("/tokenize", {"prompt": 3}, "prompt"), ("/tokenize", {"content": [1]}, "content"),
                              ("/tokenize", {"inputs": [1]}, "inputs"), ("/detokenize", {}, None), ("/detokenize", {"tokens": [-1]}, "tokens"),
                              ("/detokenize", {"tokens": "a"}, "tokens"), ("/decode", {"ids": [[1], 2]}, "ids"), ("/decode", {"ids": [[1]] * 33}, "ids"), ("/decode", {"ids": [10 ** 12]}, "ids"),
                              ("/tokenize", {"prompt": text, "add_special_tokens": 1}, "add_special_tokens")):
        got = ask("POST", path, body)
        check(f"{path} {body} is refused", is_error(got, got[0], param) and got[0] in (400, 413, 422), got)
    check("/tokenize wants the key", is_error(ask("POST", "/tokenize", {"prompt": text}, key=None), 401))


def pages_of_others(path, right):
    """The server takes the pages of https://a.example alone."""
    def headers(origin, method="POST", **more):
        c = http.client.HTTPConnection(URL.hostname, URL.port, timeout=60)
        c.request(method, path, json.dumps(right) if method == "POST" else None,
                  {"Authorization": f"Bearer {KEY}", "Origin": origin, "Sec-Fetch-Site": "cross-site", **more})
        r = c.getresponse()
        r.read()
        c.close()
        return r.status, r.headers
    status, got = headers("https://a.example")
    check("a page that may ask", status == 200 and got["Access-Control-Allow-Origin"] == "https://a.example" and got["Vary"] == "Origin", (status, got))
    status, got = headers("https://b.example")
    check("one that may not", status == 403 and got["Access-Control-Allow-Origin"] is None, (status, got))
    ask_first = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    status, got = headers("https://a.example", "OPTIONS", **ask_first)
    check("a page asks first", status == 204 and "POST" in got["Access-Control-Allow-Methods"] and "Authorization" in got["Access-Control-Allow-Headers"], (status, got))
    status, got = headers("https://b.example", "OPTIONS", **ask_first)
    check("and another", status == 405 and got["Access-Control-Allow-Origin"] is None, (status, got))


def vectors(model, texts, wanted):
    shared_routes()
    with open(texts, encoding="utf-8") as file:
        texts = file.read().splitlines()
    with open(wanted, encoding="utf-8") as file:
        wanted = [json.loads(line)["embedding"] for line in file]
    near = lambda a, b: len(a) == len(b) and all(abs(x - y) < 2e-6 for x, y in zip(a, b))
    unit = lambda v: [x / math.sqrt(sum(y * y for y in v)) for x in v]
    raw = answer("/embed", {"inputs": texts, "model": model, "normalize": False})
    check("/embed gives lora embed's", len(raw) == len(texts) and all(map(near, raw, wanted)), raw)
    long1 = answer("/embed", {"inputs": texts, "model": model})
    check("of length 1, unless asked otherwise", all(near(a, unit(b)) for a, b in zip(long1, wanted)), long1)
    check("one text", answer("/embed", {"inputs": texts[0], "model": model}) == long1[:1])
    check("POST / is /embed", answer("/", {"inputs": texts, "model": model}) == long1)
    whole = answer("/v1/embeddings", {"input": texts, "model": model})
    check("/v1/embeddings", [d["embedding"] for d in whole["data"]] == long1 and [d["index"] for d in whole["data"]] == list(range(len(texts)))
          and whole["model"] == model and whole["usage"]["prompt_tokens"] == whole["usage"]["total_tokens"] > 0, whole)
    packed = answer("/v1/embeddings", {"input": texts, "model": model, "encoding_format": "base64"})
    floats = [list(struct.unpack(f"<{len(wanted[0])}f", base64.b64decode(d["embedding"]))) for d in packed["data"]]
    check("base64 is the same floats", all(near(a, b) for a, b in zip(floats, long1)), floats)
    ids = [answer("/tokenize", {"prompt": t})["tokens"] for t in texts]
    check("ids are their text", [d["embedding"] for d in answer("/v1/embeddings", {"input": ids, "model": model})["data"]] == long1)
    check("a list of ids is one text", [d["embedding"] for d in answer("/v1/embeddings", {"input": ids[0], "model": model})["data"]] == long1[:1])
    check("the base, too", not near(answer("/embed", {"inputs": texts[0], "model": "model"})[0], long1[0]))
    for path, body, status, param in (
            ("/v1/embeddings", {"input": []}, 400, "input"), ("/v1/embeddings", {"input": ["a", 1]}, 400, "input"), ("/v1/embeddings", {}, 400, "input"),
            ("/v1/embeddings", {"input": "a", "dimensions": 4}, 400, "dimensions"), ("/v1/embeddings", {"input": "a", "encoding_format": "x"}, 400, "encoding_format"),
            ("/v1/embeddings", {"input": "red " * 3000}, 400, "input"), ("/v1/embeddings", {"input": [10 ** 9]}, 400, "input"),
            ("/v1/embeddings", {"input": "a", "inputs": "a"}, 400, None), ("/v1/embeddings", {"input": "a", "normalize": False}, 400, None),
            ("/embed", {"inputs": []}, 422, "inputs"), ("/embed", {"inputs": "red " * 3000}, 413, "inputs"), ("/embed", {"inputs": ["a"] * 33}, 413, "inputs"),
            ("/embed", {"inputs": "a", "prompt_name": "query"}, 422, "prompt_name"), ("/embed", {"inputs": "a", "normalize": 1}, 422, "normalize")):
        got = ask("POST", path, {"model": model, **body})
        check(f"{path} {str(body)[:60]} is {status}", is_error(got, status, param), got)
    check("or cut", len(answer("/embed", {"inputs": "red " * 3000, "truncate": True, "model": model})) == 1)
    check("/predict is not for embeddings", is_error(ask("POST", "/predict", {"inputs": "a"}), 404))
    check("/info says how", "embedding" in json.loads(ask("GET", "/info")[2])["model_type"])
    wrong_requests("/v1/embeddings", "input", {"model": model, "input": "a"})
    tokens("the red garden", 1)
    pages_of_others("/embed", {"inputs": "a", "model": model})
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        rows = list(pool.map(lambda i: answer("/embed", {"inputs": texts[i % len(texts)], "model": model})[0], range(60)))
    check("60 at once: each has its vector, to the bit", all(r == long1[i % len(texts)] for i, r in enumerate(rows)))


{"routes": routes, "classes": classes, "vectors": vectors}[sys.argv[3]](*sys.argv[4:])
end()
