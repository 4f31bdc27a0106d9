#!/usr/bin/env python3
"""exports_gguf.py WORK [CASE...]: the files that exports.py made, in llama.cpp (llama-cpp-python): each whole model, and each
base with its adapter applied as it runs. Logits of prompts and greedy tokens of language models, scores of classifiers.
llama.cpp's gelu is a table of half floats: 1e-2; other models 2e-4. (With the same table in Transformers' model gemma2-even is
2.6e-5 off instead of 4.3e-3, gpt2-clm 5.6e-5 instead of 1.2e-3, gemma-clm 1.1e-3 instead of 6.4e-3.) Also ids of texts beside those of tokenizer.json."""
import ctypes, json, os, sys

sys.path.pop(0)

import numpy as np
import llama_cpp as lc
from gguf import GGUFReader

TEXTS = ("hello there", "The red garden, and 12 clocks!", "  two  spaces", "it's Say how: 3.14", "a\nb\n\nc", "Zażółć gęślą jaźń 東京")

quiet = lc.llama_log_callback(lambda level, text, data: print(text.decode(), end="") if os.environ.get("VERBOSE") else None)
lc.llama_log_set(quiet, None)
lc.llama_backend_init()


class File:
    def __init__(self, path, adapter=None):
        reader = GGUFReader(path)
        for t in reader.tensors:
            assert t.data_offset % reader.alignment == 0 and (t.data.dtype != np.float32 or np.isfinite(t.data).all()), (path, t.name)
        self.scores = reader.fields.get("bert.pooling_type") is not None
        params = lc.llama_model_default_params()
        params.n_gpu_layers = 0
        self.model = lc.llama_model_load_from_file(path.encode(), params)
        assert self.model, f"llama.cpp does not load {path}: VERBOSE=1 says why"
        self.adapter = lc.llama_adapter_lora_init(self.model, adapter.encode()) if adapter else None
        assert self.adapter or not adapter, f"llama.cpp does not load {adapter}"
        self.vocabulary = lc.llama_model_get_vocab(self.model)
        self.V = lc.llama_vocab_n_tokens(self.vocabulary)

    def context(self):
        params = lc.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch, params.n_threads, params.n_threads_batch = 256, 256, 256, 1, 1
        params.flash_attn_type = 0
        params.type_k = params.type_v = 0  # f32: a cache of halves costs 1e-3
        if self.scores:
            params.embeddings, params.pooling_type = True, 4
        context = lc.llama_init_from_model(self.model, params)
        assert context
        if self.adapter and hasattr(lc, "llama_set_adapters_lora"):
            lc.llama_set_adapters_lora(context, (lc.llama_adapter_lora_p_ctypes * 1)(self.adapter), 1, (ctypes.c_float * 1)(1.0))
        elif self.adapter:
            lc.llama_set_adapter_lora(context, self.adapter, 1.0)
        return context

    def decode(self, context, ids, at):
        batch = lc.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = int(token), at + i, 1, 0, 1
        assert lc.llama_decode(context, batch) == 0
        got = None if self.scores else np.stack([np.ctypeslib.as_array(lc.llama_get_logits_ith(context, i), (self.V,)).copy() for i in range(len(ids))])
        lc.llama_batch_free(batch)
        return got

    def ids(self, text):
        data = text.encode()
        room = (lc.llama_token * (4 * len(data) + 16))()
        return list(room[:max(0, lc.llama_tokenize(self.vocabulary, data, len(data), room, len(room), True, True))])

    def close(self):
        lc.llama_model_free(self.model)


def writes(file, ref, window):
    """window: tokens that all layers see; beyond them there is nothing to compare. 0: there is none."""
    worst, count = 0, 0
    for i in range(3):
        if f"prompt{i}.ids" not in ref.files:
            break
        prompt, tokens = ref[f"prompt{i}.ids"].tolist(), ref[f"prompt{i}.tokens"].tolist()
        if window and len(prompt) > window:
            continue
        tokens = tokens[:window - len(prompt) + 1] if window else tokens
        context = file.context()
        got = file.decode(context, prompt, 0)
        worst = max(worst, float(np.abs(got - ref[f"prompt{i}.logits"]).max()))
        for k, token in enumerate(tokens):
            assert int(got[-1].argmax()) == token, (i, k)
            got = file.decode(context, [token], len(prompt) + k)
            count += 1
        lc.llama_free(context)
    if window:
        return worst, count, 0
    ids, mask, want = ref["right.input_ids"], ref["right.attention_mask"], ref["right.logits"]
    row = int(mask.sum(-1).argmax())  # the longest: beyond windows
    context = file.context()
    got = file.decode(context, ids[row][:mask[row].sum()], 0)
    lc.llama_free(context)
    far = float(np.abs(got - want[row][:mask[row].sum()]).max())
    return worst, count, far


def classifies(file, ref):
    worst = 0
    types = ref["right.token_type_ids"] if "right.token_type_ids" in ref.files else np.zeros_like(ref["right.input_ids"])
    for row, mask, kinds, want in zip(ref["right.input_ids"], ref["right.attention_mask"], types, ref["right.logits"]):
        if kinds.any():
            continue  # llama.cpp gives all tokens the type 0
        context = file.context()
        file.decode(context, row[:mask.sum()], 0)
        got = np.ctypeslib.as_array(lc.llama_get_embeddings_seq(context, 0), (len(want),)).copy()
        worst = max(worst, float(np.abs(got - want).max()))
        lc.llama_free(context)
    return worst


def merged_words(folder):
    model = json.load(open(f"{folder}/tokenizer.json", encoding="utf-8"))["model"]
    return {"".join(m) if isinstance(m, list) else m.replace(" ", "") for m in model.get("merges", [])}


def texts_alike(file, folder):
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return None
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.no_padding(), tokenizer.no_truncation()
    # tokens of several spaces that no merge makes: lora export has warned of them
    apart = any("\u2581\u2581" in token.content and token.content not in merged_words(folder) for token in tokenizer.get_added_tokens_decoder().values())
    return [t for t in TEXTS if not (apart and "  " in t) and file.ids(t) != tokenizer.encode(t).ids]


def main():
    work, *only = sys.argv[1:]
    checked, faults = 0, []
    for name in only or sorted(os.listdir(work)):
        folder = f"{work}/{name}"
        case, ref = json.load(open(f"{folder}/case.json")), np.load(f"{folder}/reference.npz")
        bound = 1e-2 if "gelu" in case["act"] else 2e-4
        for path, adapter in ((f"{folder}/model.gguf", None), (f"{folder}/base.gguf", f"{folder}/adapter.gguf")):
            if not os.path.exists(path) or (adapter and not os.path.exists(adapter)):
                continue
            try:
                file = File(path, adapter)
                if file.scores:
                    worst, said = classifies(file, ref), ""
                else:
                    worst, count, far = writes(file, ref, case["window"])
                    assert count, "no token is sure"
                    said, worst = f", {count} greedy tokens equal", max(worst, far)
                other = texts_alike(file, f"{folder}/merged")
                assert worst <= bound, worst
                assert not other, f"other ids: {other}"
                checked += 1
                print(f"{name} {'base and adapter' if adapter else 'model'}: {worst:.1e}{said}" + ("" if other is None else f", ids of {len(TEXTS)} texts equal"))
                file.close()
            except AssertionError as error:
                faults.append((name, adapter is not None, error.args))
                print(f"FAILED {name} {'base and adapter' if adapter else 'model'}: {error.args}")
    print(f"{checked} files in llama.cpp by llama-cpp-python {lc.__version__}")
    assert checked and not faults


main()
