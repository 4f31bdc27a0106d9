"""What the clients of `lora serve` in these tests share: URL KEY are a program's first two arguments. Python's own library."""
import http.client
import json
import socket
import sys
import time
import urllib.parse

URL, KEY = urllib.parse.urlparse(sys.argv[1]), sys.argv[2]
bad = 0


def check(name, ok, got=""):
    global bad
    if not ok:
        bad += 1
        print("  not so:", name, repr(got)[:400])


def ask(method, path, body=None, key=KEY, kind="application/json", timeout=60):
    c = http.client.HTTPConnection(URL.hostname, URL.port, timeout=timeout)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if body is not None:
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers["Content-Type"] = kind
    c.request(method, path, body, headers)
    r = c.getresponse()
    data = r.read()
    c.close()
    return r.status, r, data


def answer(path, body):
    status, _, data = ask("POST", path, body)
    return json.loads(data) if status == 200 else (status, data)


def is_error(got, status, param=None, code=None):
    try:
        error = json.loads(got[2])["error"]
    except (ValueError, KeyError, TypeError):
        return False
    return (got[0] == status and set(error) == {"message", "type", "param", "code"} and error["message"] != ""
            and (param is None or error["param"] == param) and (code is None or error["code"] == code))


def metric(name):
    for line in ask("GET", "/metrics")[2].decode().splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    return None


def answered(path, code):
    return metric(f'lora_requests_total{{path="{path}",code="{code}"}}') or 0


def raw_connection():
    return socket.create_connection((URL.hostname, URL.port), timeout=30)


def post(path, body):
    data = json.dumps(body).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n").encode() + data


def await_idle(what):
    until = time.time() + 20
    while metric("lora_requests_running") or metric("lora_requests_waiting"):
        if time.time() > until:
            check(f"nothing goes on behind {what}", False, (metric("lora_requests_running"), metric("lora_requests_waiting")))
            return
        time.sleep(0.02)


def end():
    """The program's exit code is whether a check was not so."""
    sys.exit(1 if bad else 0)
