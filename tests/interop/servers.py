#!/usr/bin/env python3
"""servers.py GOLDEN WORK: lora serve, asked by the clients of openai and huggingface_hub, beside Transformers.

A language model with an adapter: models, texts, streams, chat, errors as those clients raise them; each text is the one
that Transformers writes greedily with the merged model, with and without OpenAI's penalties, and its logprobs are those of
torch's log_softmax, within 1e-4. A conversation is what apply_chat_template makes of it. A classifier: text_classification's
scores are the softmax of the merged model's logits, within 1e-5. Embeddings are sentence-transformers' of the merged folder."""
import json, os, shutil, subprocess, sys

sys.path.pop(0)  # here lies a tokenizers.py that is not the library
os.environ.pop("HF_HUB_OFFLINE", None)  # its client would not ask loopback either

import openai
import torch
import transformers
from huggingface_hub import InferenceClient

NEW, KEY = 16, "secret"
TEMPLATE = ("{% for m in messages %}<{{ m['role'] }}> {{ m['content'] | trim }}\n{% endfor %}"
            "{% if add_generation_prompt %}<assistant>{% endif %}")
CHATS = ([{"role": "user", "content": "hello there"}],
         [{"role": "system", "content": "the garden is red"}, {"role": "user", "content": " Say how the engine seemed: "},
          {"role": "assistant", "content": "fine"}, {"role": "user", "content": [{"type": "text", "text": "and "}, {"type": "text", "text": "now?"}]}])
checks = 0


def check(what, ok, *got):
    global checks
    checks += 1
    assert ok, (what, *got)


def raises(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


class Serving:
    def __init__(self, *words):
        self.process = subprocess.Popen(["bin/lora", "serve", "--port=0", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        env={**os.environ, "LORA_API_KEY": KEY}, text=True)

    def __enter__(self):
        return self.process.stdout.readline().split()[-1]

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(30) == 0


def merged(case, work, auto):
    out = os.path.join(work, os.path.basename(case) + "-merged")
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run(["bin/lora", "merge", f"{case}/expected", out, f"--model={case}/model", "--dtype=f32"], check=True, stdout=subprocess.DEVNULL)
    return auto.from_pretrained(out, dtype=torch.float32).eval()


def greedy(model, prompt, presence=0.0, frequency=0.0):
    """Ids, and for each the log_softmax of the logits that it was chosen by."""
    ids, written, logs = list(prompt), [], []
    with torch.no_grad():
        for _ in range(NEW):
            logits = model(input_ids=torch.tensor([ids])).logits[0, -1]
            count = torch.bincount(torch.tensor(written, dtype=torch.long), minlength=len(logits)) if written else torch.zeros(len(logits))
            chosen = int((logits - frequency * count - presence * (count > 0)).argmax())
            logs.append(torch.log_softmax(logits, -1))
            ids.append(chosen)
            written.append(chosen)
    return written, logs


def texts_beside(client, model, tokenizer, prompt):
    asked = dict(model="mine", prompt=prompt, max_tokens=NEW, temperature=0, extra_body={"ignore_eos": True, "return_token_ids": True})
    ids = tokenizer(prompt)["input_ids"]
    for penalties in ({}, {"presence_penalty": 1.5}, {"frequency_penalty": 0.7, "presence_penalty": -0.5}):
        want, logs = greedy(model, ids, penalties.get("presence_penalty", 0.0), penalties.get("frequency_penalty", 0.0))
        choice = client.completions.create(**asked, **penalties, logprobs=5).choices[0]
        check("greedy ids", choice.token_ids == want, penalties, choice.token_ids, want)
        check("text", choice.text == tokenizer.decode(want, skip_special_tokens=True), choice.text)
        for i, (value, top) in enumerate(zip(choice.logprobs.token_logprobs, choice.logprobs.top_logprobs)):
            check("logprob", abs(value - float(logs[i][want[i]])) < 1e-4, i, value)
            best = logs[i].topk(5).values.tolist()
            check("top_logprobs", len(top) in (5, 6) and all(abs(a - b) < 1e-4 for a, b in zip(sorted(top.values(), reverse=True), best)), top, best)
    whole = client.completions.create(**asked)
    parts = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    check("a stream is its text", "".join(p.choices[0].text for p in parts if p.choices) == whole.choices[0].text)
    check("usage comes last", parts[-1].choices == [] and parts[-1].usage == whole.usage, parts[-1])
    check("usage counts", whole.usage.prompt_tokens == len(ids) and whole.usage.completion_tokens == NEW, whole.usage)


def errors(client, url):
    error = raises(openai.NotFoundError, lambda: client.completions.create(model="no-such", prompt="x"))
    check("unknown model", error.code == "model_not_found" and error.param == "model", error.body)
    error = raises(openai.BadRequestError, lambda: client.completions.create(model="mine", prompt="x", temperature=-1))
    check("temperature", error.param == "temperature", error.body)
    error = raises(openai.BadRequestError, lambda: client.completions.create(model="mine", prompt="x", best_of=3))
    check("what is not built", error.param == "best_of" and error.code == "unsupported_parameter", error.body)
    error = raises(openai.BadRequestError, lambda: client.completions.create(model="mine", prompt="x", extra_body={"num_beams": 4}))
    check("what nobody knows", "num_beams" in str(error), error.body)
    raises(openai.AuthenticationError, lambda: openai.OpenAI(base_url=url + "/v1", api_key="x", max_retries=0).models.list())


def chats(client, hub, tokenizer):
    for messages in CHATS:
        flat = [{**m, "content": m["content"] if isinstance(m["content"], str) else "".join(p["text"] for p in m["content"])} for m in messages]
        ids = tokenizer(tokenizer.apply_chat_template(flat, add_generation_prompt=True, tokenize=False), add_special_tokens=False)["input_ids"]
        asked = dict(model="mine", messages=messages, max_tokens=NEW, temperature=0)
        whole = client.chat.completions.create(**asked, logprobs=True, top_logprobs=3)
        plain = client.completions.create(model="mine", prompt=ids, max_tokens=NEW, temperature=0)
        check("chat is the template's text", whole.choices[0].message.content == plain.choices[0].text, whole, plain)
        check("its tokens", whole.usage.prompt_tokens == len(ids), whole.usage, len(ids))
        known = whole.choices[0].logprobs.content
        check("chat's logprobs", len(known) == whole.usage.completion_tokens and all(len(k.top_logprobs) == 3 for k in known), known)
        check("bytes are the text", b"".join(bytes(k.bytes) for k in known).decode() == whole.choices[0].message.content, known)
        parts = list(client.chat.completions.create(**asked, stream=True))
        check("chat's first piece has the role", parts[0].choices[0].delta.role == "assistant", parts[0])
        check("chat streamed", "".join(p.choices[0].delta.content or "" for p in parts if p.choices) == whole.choices[0].message.content)
        got = hub.chat_completion(messages, model="mine", max_tokens=NEW, temperature=0)
        check("huggingface_hub: chat", got.choices[0].message.content == whole.choices[0].message.content, got)
        got = hub.chat_completion(messages, model="mine", max_tokens=NEW, temperature=0, stream=True)
        check("huggingface_hub: chat streamed", "".join(p.choices[0].delta.content or "" for p in got if p.choices) == whole.choices[0].message.content)


def language(case, work):
    model = merged(case, work, transformers.AutoModelForCausalLM)
    base = os.path.join(work, "chatting")
    shutil.rmtree(base, ignore_errors=True)
    shutil.copytree(f"{case}/model", base)
    with open(f"{base}/chat_template.jinja", "w", encoding="utf-8") as file:
        file.write(TEMPLATE)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    with Serving(f"--model={base}", f"--adapter=mine={case}/expected") as url:
        client = openai.OpenAI(base_url=url + "/v1", api_key=KEY, max_retries=0)
        check("models", [m.id for m in client.models.list()] == ["chatting", "mine"])
        check("a model", client.models.retrieve("mine").id == "mine")
        for prompt in ("hello there", "the red garden", "Say how the engine seemed:"):
            texts_beside(client, model, tokenizer, prompt)
        errors(client, url)
        chats(client, InferenceClient(base_url=url, api_key=KEY), tokenizer)


def classifier(case, work):
    model = merged(case, work, transformers.AutoModelForSequenceClassification)
    tokenizer = transformers.AutoTokenizer.from_pretrained(f"{case}/model")
    with Serving(f"--model={case}/model", f"--adapter=mine={case}/expected") as url, torch.no_grad():
        for text in ("the garden is red", "so so", "hello there"):
            want = torch.softmax(model(**tokenizer(text, return_tensors="pt")).logits[0], -1)
            got = InferenceClient(model=url, token=KEY).text_classification(text)
            for one in got:
                check("text_classification", abs(one.score - float(want[model.config.label2id[one.label]])) < 1e-5, text, got, want)
            check("all classes, highest first", len(got) == len(want) and got == sorted(got, key=lambda x: -x.score), got)


def embeddings(case, work):
    """The openai client asks for base64 unless told otherwise; feature_extraction asks POST /."""
    from sentence_transformers import SentenceTransformer

    out = os.path.join(work, os.path.basename(case) + "-merged")
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run(["bin/lora", "merge", f"{case}/expected", out, f"--model={case}/model", "--dtype=f32"], check=True, stdout=subprocess.DEVNULL)
    texts = ["the garden is red", "so so", "hello there"]
    want = SentenceTransformer(out, device="cpu").encode(texts, normalize_embeddings=True)
    with Serving(f"--model={case}/model", f"--adapter=mine={case}/expected") as url:
        client = openai.OpenAI(base_url=url + "/v1", api_key=KEY, max_retries=0)
        for more in ({}, {"encoding_format": "float"}):
            got = client.embeddings.create(model="mine", input=texts, **more)
            check("embeddings", all(abs(a - b) < 1e-5 for d, row in zip(got.data, want) for a, b in zip(d.embedding, row)) and len(got.data) == 3, more, got)
        error = raises(openai.BadRequestError, lambda: client.embeddings.create(model="mine", input="a", dimensions=3))
        check("dimensions", error.param == "dimensions", error.body)
        raises(openai.NotFoundError, lambda: client.embeddings.create(model="x", input="a"))
    with Serving(f"--model={out}") as url:  # by itself: a folder of sentence-transformers
        for text, row in zip(texts, want):
            got = InferenceClient(model=url, token=KEY).feature_extraction(text)
            check("feature_extraction", got.shape == (1, len(row)) and abs(got[0] - row).max() < 1e-5, got, row)


def main():
    golden, work = sys.argv[1:]
    os.makedirs(work, exist_ok=True)
    language(f"{golden}/gpt2-text", work)
    classifier(f"{golden}/bert-seqcls", work)
    embeddings(f"{golden}/bert-embed-mnr", work)
    print(f"{checks} answers of lora serve to openai {openai.__version__} and huggingface_hub are right")


main()
