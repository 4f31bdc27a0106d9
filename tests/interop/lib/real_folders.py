"""Trained models that were published in forms of their own, written as Hugging Face folders."""
import json
import os
import shutil
import struct

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors


def write_json(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)


def begin(target):
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)


def copy(source, target, *names):
    for name in names:
        shutil.copyfile(os.path.join(source, name), os.path.join(target, name))


# ---- folders that are nearly there ---------------------------------------------

def as_it_is(source, target):
    begin(target)
    copy(source, target, *[n for n in os.listdir(source) if n.endswith(".json") or n == "model.safetensors"])


def from_mappings(source, target):
    """A GPT-2 over whole words, whose names are in token_mappings.json; a space in a name becomes "_"."""
    begin(target)
    copy(source, target, "config.json", "generation_config.json", "model.safetensors")
    with open(os.path.join(source, "token_mappings.json"), encoding="utf-8") as file:
        words = {name.replace(" ", "_"): i for name, i in json.load(file)["token2id"].items()}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<PAD>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(w, special=True, normalized=False) for w in words if w.startswith("<")])
    tokenizer.save(os.path.join(target, "tokenizer.json"))
    write_json(target, "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<SOS>",
                                                 "eos_token": "<EOS>", "pad_token": "<PAD>", "unk_token": "<PAD>"})


# ---- llama2.c ------------------------------------------------------------------

def read_bin(path):
    """Header and tensors of a file of llama2.c's first format (its export.py, legacy_export)."""
    with open(path, "rb") as file:
        dim, hidden, layers, heads, kv_heads, vocab, length = struct.unpack("<7i", file.read(28))
        data = np.fromfile(file, dtype="<f4")
    tied, vocab, kv = vocab > 0, abs(vocab), dim // heads * kv_heads
    shapes = [("embed", vocab, dim), ("norm1", layers, dim), ("q", layers, dim, dim), ("k", layers, kv, dim),
              ("v", layers, kv, dim), ("o", layers, dim, dim), ("norm2", layers, dim), ("w1", layers, hidden, dim),
              ("w2", layers, dim, hidden), ("w3", layers, hidden, dim), ("norm", dim),
              ("cos", length, dim // heads // 2), ("sin", length, dim // heads // 2)]
    shapes += [] if tied else [("head", vocab, dim)]
    tensors, at = {}, 0
    for name, *shape in shapes:
        count = int(np.prod(shape))
        tensors[name] = torch.from_numpy(data[at:at + count].reshape(shape).copy())
        at += count
    if at != len(data):
        raise SystemExit(f"error: {path}: {len(data)} numbers, the header says {at}")
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": dim,
              "intermediate_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
              "num_key_value_heads": kv_heads, "head_dim": dim // heads, "vocab_size": vocab,
              "max_position_embeddings": length, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
              "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": tied, "bos_token_id": 1,
              "eos_token_id": 2, "torch_dtype": "float32"}
    return config, tensors


def check_rope(config, tensors):
    """The file's tables must be those of rope_theta."""
    half = config["head_dim"] // 2
    angle = torch.outer(torch.arange(config["max_position_embeddings"], dtype=torch.float64),
                        config["rope_theta"] ** (-torch.arange(half, dtype=torch.float64) / half))
    for name, want in (("cos", angle.cos()), ("sin", angle.sin())):
        if not (tensors[name].double() - want).abs().max() < 1e-4:
            raise SystemExit(f"error: the {name} table is not one of theta {config['rope_theta']}")


def halves(matrix, heads):
    """Rows of each head from pairs side by side to pairs half a head apart."""
    rows, width = matrix.shape
    return matrix.view(heads, rows // heads // 2, 2, width).transpose(1, 2).reshape(rows, width)


def llama_state(config, tensors):
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    state = {"model.embed_tokens.weight": tensors["embed"], "model.norm.weight": tensors["norm"]}
    if "head" in tensors:
        state["lm_head.weight"] = tensors["head"]
    names = {"norm1": "input_layernorm", "norm2": "post_attention_layernorm", "q": "self_attn.q_proj",
             "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj", "w1": "mlp.gate_proj",
             "w2": "mlp.down_proj", "w3": "mlp.up_proj"}
    for layer in range(config["num_hidden_layers"]):
        for short, name in names.items():
            tensor = tensors[short][layer]
            if short in "qk":
                tensor = halves(tensor, heads if short == "q" else kv_heads)
            state[f"model.layers.{layer}.{name}.weight"] = tensor.contiguous()
    return state


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def fields(data):
    """Number and value of each field of a protobuf message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        else:
            size, at = varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = data[at:at + size], at + size
        yield key >> 3, value


def sentence_pieces(path):
    """Piece, score and type (1: normal, 2: unknown, 3: control, 6: byte) of each id of a SentencePiece model."""
    with open(path, "rb") as file:
        messages = [dict(fields(value)) for number, value in fields(file.read()) if number == 1]
    return [(m[1].decode(), struct.unpack("<f", m[2])[0], m.get(3, 1)) for m in messages]


def byte_pair_tokenizer(pieces):
    """The tokenizer that Transformers makes of a SentencePiece BPE: merges in the order of their pieces' scores."""
    ids = {piece: i for i, (piece, _, _) in enumerate(pieces)}
    merges = []
    for piece, score, kind in pieces:
        pairs = [(piece[:i], piece[i:]) for i in range(1, len(piece)) if kind == 1]
        merges += [(-score, ids[a], ids[b], a, b) for a, b in pairs if a in ids and b in ids]
    tokenizer = Tokenizer(models.BPE(ids, [m[3:] for m in sorted(merges)], unk_token="<unk>", fuse_unk=True,
                                     byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s>:1 $B:1", [("<s>", ids["<s>"])])
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ("<unk>", "<s>", "</s>")])
    return tokenizer


def joined_by_score(pieces, text):
    """Ids by SentencePiece's rule, written out: the best scored pair is joined, the leftmost of equals."""
    ids = {piece: i for i, (piece, _, _) in enumerate(pieces)}
    parts = []
    for letter in "▁" + text.replace(" ", "▁"):
        parts += [letter] if letter in ids else [f"<0x{b:02X}>" for b in letter.encode()]
    while True:
        pairs = [(-pieces[ids[a + b]][1], i) for i, (a, b) in enumerate(zip(parts, parts[1:]))
                 if a + b in ids and pieces[ids[a + b]][2] == 1]
        if not pairs:
            return [ids["<s>"]] + [ids[p] for p in parts]
        i = min(pairs)[1]
        parts[i:i + 2] = [parts[i] + parts[i + 1]]


def from_llama2c(source, target):
    begin(target)
    config, tensors = read_bin(os.path.join(source, "stories260K.bin"))
    check_rope(config, tensors)
    write_json(target, "config.json", config)
    # run.c ends at <s> as well.
    write_json(target, "generation_config.json", {"bos_token_id": 1, "eos_token_id": [1, 2]})
    save_file(llama_state(config, tensors), os.path.join(target, "model.safetensors"), {"format": "pt"})
    pieces = sentence_pieces(os.path.join(source, "tok512.model"))
    byte_pair_tokenizer(pieces).save(os.path.join(target, "tokenizer.json"))
    write_json(target, "tokenizer_config.json", {"tokenizer_class": "LlamaTokenizerFast", "bos_token": "<s>",
                                                 "eos_token": "</s>", "unk_token": "<unk>"})
    return pieces


# ---- a ViT of torch.nn.MultiheadAttention ---------------------------------------

VIT_LAYER = {"norm1": "layernorm_before", "norm2": "layernorm_after", "attention.out_proj": "attention.output.dense",
             "mlp.0": "intermediate.dense", "mlp.2": "output.dense"}


def vit_state(tensors, layers):
    state = {"vit.embeddings.cls_token": tensors["cls_token"],
             "vit.embeddings.position_embeddings": tensors["pos_embed"]}
    for kind in ("weight", "bias"):
        state[f"vit.embeddings.patch_embeddings.projection.{kind}"] = tensors[f"patch_embedding.embed.{kind}"]
        state[f"vit.layernorm.{kind}"] = tensors[f"out_head.0.{kind}"]
        state[f"classifier.{kind}"] = tensors[f"out_head.1.{kind}"]
        for layer in range(layers):
            there, here = f"transformer_layers.{layer}", f"vit.encoder.layer.{layer}"
            for short, name in VIT_LAYER.items():
                state[f"{here}.{name}.{kind}"] = tensors[f"{there}.{short}.{kind}"]
            parts = tensors[f"{there}.attention.in_proj_{kind}"].chunk(3)
            for name, part in zip(("query", "key", "value"), parts):
                state[f"{here}.attention.attention.{name}.{kind}"] = part
    return {name: tensor.contiguous() for name, tensor in state.items()}


def from_torch_vit(source, target, classes, heads=4):
    """Images of 32 x 32 as they are, divided by 255."""
    begin(target)
    tensors = load_file(os.path.join(source, "vit_model.safetensors"))
    width, _, patch, _ = tensors["patch_embedding.embed.weight"].shape
    layers = sum(name.endswith(".norm1.weight") for name in tensors)
    state = vit_state(tensors, layers)
    write_json(target, "config.json", {
        "architectures": ["ViTForImageClassification"], "model_type": "vit", "hidden_size": width,
        "intermediate_size": tensors["transformer_layers.0.mlp.0.weight"].shape[0], "num_hidden_layers": layers,
        "num_attention_heads": heads, "image_size": 32, "patch_size": patch, "num_channels": 3, "qkv_bias": True,
        "hidden_act": "gelu", "layer_norm_eps": 1e-5, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
        "id2label": dict(enumerate(classes)), "label2id": {name: i for i, name in enumerate(classes)}})
    write_json(target, "preprocessor_config.json", {
        "image_processor_type": "ViTImageProcessor", "do_resize": True, "size": {"height": 32, "width": 32},
        "resample": 2, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": False})
    save_file(state, os.path.join(target, "model.safetensors"), {"format": "pt"})
