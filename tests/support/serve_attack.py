#!/usr/bin/env python3
"""Clients that `lora serve` must bear, for the process tests.

    serve_attack.py URL KEY leave MODEL                    clients that leave, before and behind the first token
    serve_attack.py URL KEY slow MODEL                     clients that send and read slowly hold no one up
    serve_attack.py URL KEY crowd MODEL COUNT              silent connections of one address keep no others out
    serve_attack.py URL KEY dribble MODEL SECONDS          clients that never send a whole request lose their connection
    serve_attack.py URL KEY malformed MODEL COUNT SEED     requests of all kinds of damage
    serve_attack.py URL KEY load MODELS SECONDS CLIENTS PROMPTS WANTED PID
                                                           many clients; each text is that of `lora predict`
"""
import concurrent.futures
import http.client
import json
import os
import random
import resource
import socket
import sys
import threading
import time

from serve_http import KEY, URL, answer, answered, ask, await_idle, check, end, metric, post, raw_connection


def leave(model):
    long = {"model": model, "prompt": "hello there", "max_tokens": 60, "temperature": 0, "ignore_eos": True}
    path, tokens = "/v1/completions", metric("lora_generation_tokens_total")
    aborted, before = metric("lora_requests_aborted_total"), {code: answered(path, code) for code in (200, 429, 499)}
    for i in range(40):
        c = raw_connection()
        c.sendall(post(path, {**long, "stream": i % 2 == 0, "prompt": ["hello there"] * 32}))
        if i % 4 == 0:
            c.recv(20)
        c.close()
    await_idle("clients that left")
    until = time.time() + 5  # a request is counted when its connection has ended, a moment behind its last token
    while sum(after := [answered(path, code) - n for code, n in before.items()]) < 40 and time.time() < until:
        time.sleep(0.02)
    aborted, written = metric("lora_requests_aborted_total") - aborted, metric("lora_generation_tokens_total") - tokens
    check("each found no place or was given up, none was done", after[0] == 0 and after[1] + after[2] == 40, after)
    check("they are counted as aborted", aborted == after[2] > 0, (aborted, after))
    check("what they asked for was given up", written < 40 * 32 * 60 / 2, written)
    check("the next one is answered", answer("/v1/completions", {**long, "max_tokens": 2})["usage"]["completion_tokens"] == 2)


def slow(model):
    right = {"model": model, "prompt": "hello there", "max_tokens": 4, "temperature": 0}
    held = [raw_connection() for _ in range(100)]
    for i, c in enumerate(held):
        c.sendall(post("/v1/completions", right)[:20 + i])
    reader = raw_connection()
    reader.sendall(post("/v1/completions", {**right, "stream": True}))
    begin = time.time()
    for _ in range(20):
        check("others are answered", answer("/v1/completions", right)["usage"]["completion_tokens"] > 0)
    check("without waiting", time.time() - begin < 10, time.time() - begin)
    for c in held:
        c.sendall(b"x")
    reader.close()
    for c in held:
        c.close()
    await_idle("slow clients")


def crowd(model, count):
    right = {"model": model, "prompt": "hello there", "max_tokens": 4, "temperature": 0}
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(files[1], int(count) + 200), files[1]))
    held = [raw_connection() for _ in range(int(count))]
    for source in ("127.0.0.9", "127.0.0.1"):
        begin = time.time()
        c = socket.create_connection((URL.hostname, URL.port), timeout=60, source_address=(source, 0))
        c.sendall(post("/v1/completions", right))
        check(f"{source} is answered beside {count} silent ones", c.recv(12) == b"HTTP/1.1 200")
        check("without waiting", time.time() - begin < 10, time.time() - begin)
        c.close()
    for c in held:
        c.close()
    await_idle("a crowd")


def closed_after(c, most, send=b""):
    """Seconds until the server closes, while a byte of `send` goes out now and then."""
    begin = time.time()
    c.settimeout(0.3)
    for i in range(int(most / 0.2)):
        try:
            if send:
                c.sendall(send[i % len(send):][:1])
            if c.recv(1000) == b"":
                return time.time() - begin
        except TimeoutError:
            pass
        except OSError:
            return time.time() - begin
        if time.time() - begin > most:
            break
    return None


def dribble(model, seconds):
    right = {"model": model, "prompt": "hello there", "max_tokens": 4, "temperature": 0}
    head = b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + KEY.encode() + b"\r\n"
    cases = {"nothing": (b"", b""), "a head by bytes": (b"POST /v1/completions HTTP/1.1\r\nX-A: ", b"a"),
             "heads without end": (head, b"X: a\r\n"),
             "a huge body and one byte": (head + b"Content-Length: 1000000000000\r\n\r\n{", b""),
             "a body by bytes": (head + b"Content-Length: 4000000\r\n\r\n", b" "),
             "pieces without end": (head + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n")}
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        def one(item):
            c = raw_connection()
            c.sendall(item[1][0])
            return item[0], closed_after(c, seconds + 8, item[1][1])
        waits = list(pool.map(one, cases.items()))
    for name, after in waits:
        check(f"{name}: the connection is closed", after is not None and after > seconds - 0.5, after)
    kept = http.client.HTTPConnection(URL.hostname, URL.port, timeout=30)
    kept.connect()
    first = kept.sock
    for _ in range(4):  # together longer than one may take
        kept.request("POST", "/v1/completions", json.dumps(right), {"Authorization": f"Bearer {KEY}"})
        check("one that asks again and again keeps its connection", kept.getresponse().read() != b"" and kept.sock is first)
        time.sleep(seconds * 0.4)
    await_idle("them")


def damage(rng, data):
    data = bytearray(data)
    for _ in range(rng.randrange(1, 8)):
        kind, at = rng.randrange(6), rng.randrange(len(data) + 1)
        if kind == 0 and data:
            data[at % len(data)] = rng.randrange(256)
        elif kind == 1:
            del data[at:at + rng.randrange(1, 30)]
        elif kind == 2:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 20)))
        elif kind == 3:
            data[at:at] = rng.choice([b"null", b"[[", b"{}", b'"\\u0000"', b"1e999", b"-1", b"\r\n\r\n", b"9" * 30, b"\xff\xfe", b"true"])
        elif kind == 4:
            data[at:at] = data[:rng.randrange(60)]
        else:
            del data[at:]
    return bytes(data)


def malformed(model, count, seed):
    rng = random.Random(seed)
    bodies = [
        ("/v1/completions", {"model": model, "prompt": ["a", "b"], "max_tokens": 3, "stop": ["x"], "stream": True, "stream_options": {"include_usage": True}}),
        ("/v1/completions", {"model": model, "prompt": [[1, 2], [3]], "max_tokens": 2, "temperature": 1, "top_p": 0.5, "top_k": 3, "seed": 1,
                              "n": 2, "logprobs": 2, "logit_bias": {"3": 1.5}, "presence_penalty": 0.5, "frequency_penalty": -0.5, "min_p": 0.1}),
        ("/v1/completions", {"model": model, "prompt": "a", "echo": True, "max_tokens": 3, "logprobs": None, "stop": ["ab", "b"], "stream": True}),
        ("/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}),
        ("/predict", {"inputs": [["a"], ["b", "c"]], "truncate": True, "raw_scores": False}),
        ("/", {"inputs": [{"text": "a", "text_pair": "b"}, "c"]}),
        ("/v1/embeddings", {"model": model, "input": [[1, 2], [3]], "encoding_format": "base64"}),
        ("/embed", {"model": model, "inputs": ["a", "b"], "truncate": True, "normalize": False}),
        ("/tokenize", {"inputs": ["a b", "c"]}), ("/tokenize", {"prompt": "a b", "return_token_strs": True}), ("/tokenize", {"content": "a", "with_pieces": True}),
        ("/detokenize", {"tokens": [1, 2, 3]}), ("/decode", {"ids": [[1, 2], [3]], "skip_special_tokens": False}),
        ("/v1/load_lora_adapter", {"lora_name": "x", "lora_path": "/nowhere"}), ("/v1/unload_lora_adapter", {"lora_name": "x"})]
    statuses = {}
    for i in range(count):
        path, body = rng.choice(bodies)
        if i % 3:
            data = damage(rng, json.dumps(body).encode())
            head = f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n"
            message = head.encode() + data
        else:
            message = damage(rng, post(path, body))
        c = socket.create_connection((URL.hostname, URL.port), timeout=30)
        try:
            c.sendall(message)
            if i % 3 == 0 or i % 2:  # else it waits for its answer: who has closed may be taken for one that left
                c.shutdown(socket.SHUT_WR)
            first = c.makefile("rb").readline()
        except OSError:
            first = b""
        c.close()
        statuses[first[9:12]] = statuses.get(first[9:12], 0) + 1
        if first[9:10] == b"5" and first[9:12] not in (b"503", b"505", b"501"):
            check(f"request {i} of seed {seed} is answered with {first}", False, message)
    print("  malformed:", " ".join(f"{k.decode() or 'closed'}={v}" for k, v in sorted(statuses.items())))
    check("it lives", ask("GET", "/health")[0] == 200)
    await_idle("them")


def memory(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        kilobytes = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    return kilobytes / 1024, len(os.listdir(f"/proc/{pid}/fd"))


def load(models, seconds, clients, prompts, wanted, pid):
    models = models.split(",")
    with open(prompts, encoding="utf-8") as file:
        prompts = file.read().splitlines()
    texts = {}
    for model, path in zip(models, wanted.split(",")):
        with open(path, encoding="utf-8") as file:
            for prompt, line in zip(prompts, file):
                texts[model, prompt] = json.loads(line)["text"]
    times, lock, faults = [], threading.Lock(), []
    until = time.time() + seconds

    def one(number):
        rng = random.Random(number)
        while time.time() < until:
            model, prompt, stream = rng.choice(models), rng.choice(prompts), rng.random() < 0.5
            body = {"model": model, "prompt": prompt, "max_tokens": 16, "temperature": 0, "stream": stream}
            begin = time.time()
            try:
                if number % 2:  # half of them leave before the answer, behind its first bytes, or with half a request
                    c = raw_connection()
                    message = post("/v1/completions", body)
                    half = rng.random() < 0.1
                    c.sendall(message[:rng.randrange(len(message))] if half else message)
                    if stream and not half and rng.random() < 0.5:
                        c.recv(20)
                    else:
                        time.sleep(rng.random() * 0.5)
                    c.close()
                    continue
                status, _, data = ask("POST", "/v1/completions", body, timeout=120)
                if status == 429:
                    time.sleep(0.1)
                    continue
                if stream:
                    got = "".join(json.loads(e[6:])["choices"][0]["text"] for e in data.decode().split("\n\n") if e.startswith("data: {"))
                else:
                    got = json.loads(data)["choices"][0]["text"]
                with lock:
                    times.append(time.time() - begin)
                    if status != 200 or got != texts[model, prompt]:
                        faults.append((status, model, prompt, got, texts[model, prompt]))
            except (OSError, ValueError, KeyError, http.client.HTTPException) as e:
                with lock:
                    faults.append(repr(e))

    threads = [threading.Thread(target=one, args=(i,)) for i in range(clients)]
    for t in threads:
        t.start()
    time.sleep(min(10, seconds / 4))
    early = memory(pid)
    for t in threads:
        t.join()
    await_idle("the load")
    late = memory(pid)
    times.sort()
    at = lambda q: times[min(len(times) - 1, int(q * len(times)))] * 1e3
    print(f"  {clients} clients, {seconds:g} s: {len(times)} texts, {len(times) / seconds:.1f}/s, p50 {at(.5):.0f} ms, p99 {at(.99):.0f} ms; "
          f"memory {early[0]:.0f} -> {late[0]:.0f} MB, descriptors {early[1]} -> {late[1]}")
    check("each text is that of lora predict", not faults, faults[:3])
    check("memory stays", late[0] < early[0] * 1.1 + 20, (early, late))
    check("descriptors go back", late[1] < 40, late)


what, rest = sys.argv[3], sys.argv[4:]
if what == "malformed":
    malformed(rest[0], int(rest[1]), int(rest[2]))
elif what == "dribble":
    dribble(rest[0], float(rest[1]))
elif what == "load":
    load(rest[0], float(rest[1]), int(rest[2]), rest[3], rest[4], int(rest[5]))
else:
    {"leave": leave, "slow": slow, "crowd": crowd}[what](*rest)
end()
