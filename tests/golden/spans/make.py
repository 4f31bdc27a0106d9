"""Questions to the models of other golden cases, padded rows and all, as Transformers and PEFT compute them: a folder each here.

    python make.py [NAME,…]     with the packages of tests/interop/requirements.txt

NAME/case.json: the model (a case beside this folder, keys put over its config.json), rows of token ids with how many of them are no
padding, the places wanted, logits of all places, the sum of the losses. NAME/adapter_config.json, adapter_model.safetensors: an
adapter of random values; NAME/grads.safetensors: the gradient of that sum. Without dropout.
"""
import json
import os
import sys
import tempfile

import peft
import torch
import transformers
from safetensors.torch import save_file

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))
WIDTH, REAL = 16, (16, 9, 12, 5)
CASES = {  # the case whose model it is: keys of config.json, targets (None: PEFT's own), keys of files
    "albert": ("albert-seqcls", {}, ["query", "value", "ffn"], None),
    "bloom": ("bloom-clm", {}, None, None),
    "deberta": ("deberta-v1-seqcls", {}, ["in_proj", "pos_proj", "pos_q_proj", "dense"], None),
    "deberta-v2": ("deberta-v2-tokcls", {}, ["query_proj", "value_proj", "pos_key_proj", "dense"], None),
    "deberta-v3": ("deberta-v3-seqcls", {}, ["query_proj", "key_proj", "value_proj", "dense"], None),
    "distilbert": ("distilbert-regress", {}, ["q_lin", "v_lin"], None),
    "electra": ("electra-pair", {}, None, None),
    "falcon": ("falcon-clm", {}, None, None),
    "falcon-new": ("falcon_new-clm", {}, None, None),
    "falcon-alibi": ("falcon-clm", {"alibi": True}, None, None),
    "gpt2": ("gpt2-clm", {}, None, None),
    "gpt_neox": ("gpt_neox-clm", {}, None, None),
    "gptj": ("gptj-clm", {}, None, None),
    "llama": ("llama-clm", {}, None, "transformer."),
    "mistral": ("llama-clm", {"model_type": "mistral", "sliding_window": 5}, None, None),
    "modernbert": ("modernbert-tokcls", {}, ["Wqkv", "Wi"], None),
    "mpnet": ("mpnet-seqcls", {}, ["q", "v", "o"], None),
    "opt": ("opt-clm", {}, None, None),
    "qwen2": ("qwen2-clm", {}, None, "transformer."),
    "qwen3": ("qwen3-clm", {}, None, "transformer."),
    "roberta": ("roberta-pair", {}, None, None),
    "smollm3": ("smollm3-clm", {}, ["q_proj", "v_proj", "down_proj"], "transformer."),
}


def model_of(case, keys, prefix):
    folder = os.path.join(HERE, os.pardir, case, "model")
    with tempfile.TemporaryDirectory() as place:
        for name in os.listdir(folder):
            os.symlink(os.path.join(folder, name), os.path.join(place, name))
        os.remove(os.path.join(place, "config.json"))
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
            config = {**json.load(f), **keys}
        config.pop("architectures", None)
        with open(os.path.join(place, "config.json"), "w", encoding="utf-8") as f:
            json.dump(config, f)
        more = {"key_mapping": {r"^model\.": prefix}} if prefix else {}
        model, info = transformers.AutoModelForQuestionAnswering.from_pretrained(place, dtype=torch.float32, output_loading_info=True, **more)
    missing = [k for k in info["missing_keys"] if not k.startswith(("qa_outputs", "classifier"))]
    assert not missing, missing
    return model


def make(name, case, keys, targets, prefix):
    torch.manual_seed(sum(map(ord, name)))
    model = model_of(case, keys, prefix)
    pad = model.config.pad_token_id
    pad = pad if pad is not None else 0
    saved = ["classifier"] if name == "modernbert" else None
    lora = peft.LoraConfig(task_type="QUESTION_ANS", r=2, lora_alpha=4, target_modules=targets, modules_to_save=saved,
                           fan_in_fan_out=name == "gpt2")
    model = peft.get_peft_model(model, lora).eval()
    with torch.no_grad():
        for n, p in model.named_parameters():
            if p.requires_grad:
                p.copy_(torch.randn_like(p) * (0.3 if "lora_" in n or p.dim() > 1 else 0.1))
    vocabulary = model.get_input_embeddings().weight.shape[0]
    ids = torch.randint(5, vocabulary - 5, (len(REAL), WIDTH))
    mask = torch.zeros_like(ids)
    for row, n in enumerate(REAL):
        ids[row, n:] = pad
        mask[row, :n] = 1
    goal = torch.tensor([[3, 7], [0, 0], [11, 2], [WIDTH - 1, 4]])  # one begins in the padding, as run_qa's may
    out = model(input_ids=ids, attention_mask=mask)
    logits = torch.stack([out.start_logits, out.end_logits], -1)
    loss = sum(torch.nn.functional.cross_entropy(logits[:, :, end], goal[:, end], reduction="sum") for end in (0, 1)) / 2
    loss.backward()
    folder = os.path.join(HERE, name)
    os.makedirs(folder, exist_ok=True)
    model.peft_config["default"].base_model_name_or_path = "model"
    model.save_pretrained(folder)
    if os.path.exists(os.path.join(folder, "README.md")):
        os.remove(os.path.join(folder, "README.md"))
    names = peft.get_peft_model_state_dict(model)
    short = lambda n: n.replace(".default", "").replace(".modules_to_save", "")
    grads = {short(n): p.grad.contiguous() for n, p in model.named_parameters() if p.requires_grad and p.grad is not None}
    assert set(grads) == set(names), set(grads) ^ set(names)
    save_file(grads, os.path.join(folder, "grads.safetensors"))
    with open(os.path.join(folder, "case.json"), "w", encoding="utf-8") as f:
        json.dump({"case": case, "config": keys, "ids": ids.tolist(), "real": list(REAL), "goal": goal.tolist(),
                   "logits": logits.flatten().tolist(), "loss": loss.item()}, f)
        f.write("\n")
    print(name, loss.item(), logits.abs().max().item())


for name, settings in CASES.items():
    if len(sys.argv) < 2 or name in sys.argv[1].split(","):
        make(name, *settings)
