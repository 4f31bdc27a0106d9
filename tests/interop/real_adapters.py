#!/usr/bin/env python3
"""Adapters that others trained and published, beside PEFT.

    real_adapters.py ADAPTERS_FOLDER WORK_FOLDER DRIVER

Their bases are large, so each meets a random model whose adapted modules have the base's shapes; everything else
of it is small. An adapter that fits has to give PEFT's logits, and PEFT must have taken every tensor of its file;
one that does not fit has to be refused with exit code 2 and words that say why. Two are trained on, as by PEFT.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import warnings

# Not this file's folder: tokenizers.py in it would hide the package.
sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")

import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: E402

import logits  # noqa: E402
import real_folders  # noqa: E402
import training  # noqa: E402

WORDS, FIRST = 60, 5  # ids below FIRST are left to what models take for special tokens
SMALL = {"vocab_size": WORDS, "max_position_embeddings": 80, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1,
         "initializer_range": 0.05}


def base(folder, config, auto):
    """A random model, and a tokenizer that knows w5, w6 .."""
    torch.manual_seed(3)
    auto.from_config(config, dtype=torch.float32).save_pretrained(folder)
    names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"] + [f"w{i}" for i in range(FIRST, WORDS)]
    tokenizer = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    real_folders.write_json(folder, "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast",
                                                             "pad_token": "<pad>"})
    return folder


def random_ids():
    generator = torch.Generator().manual_seed(8)
    for n in (1, 2, 3, 5, 9, 17, 30, 47, 64, 70):
        yield torch.randint(FIRST, WORDS, (n,), generator=generator).tolist()


def with_peft(adapter, folder, auto, **more):
    """The model with the adapter; each tensor of the file must have arrived as it is."""
    torch.manual_seed(20240229)  # what PEFT leaves at its random start is seen
    model = peft.PeftModel.from_pretrained(auto.from_pretrained(folder, dtype=torch.float32, **more), adapter).eval()
    want, got = load_file(os.path.join(adapter, "adapter_model.safetensors")), peft.get_peft_model_state_dict(model)
    if want.keys() != got.keys() or not all(torch.equal(got[k].float(), want[k].float()) for k in want):
        raise SystemExit(f"{adapter}: PEFT did not take the file's tensors")
    return model, len(want)


def compare(name, got, model, batch, tensors):
    """With the adapter as PEFT has it, and far from without it."""
    with torch.no_grad():
        want = [model(torch.tensor([ids])).logits[0] for ids in batch]
        with model.disable_adapter():
            without = [model(torch.tensor([ids])).logits[0] for ids in batch]
    moved = max((w - o).abs().max().item() for w, o in zip(want, without))
    logits.compare(f"{name}: {tensors} tensors that move logits by {moved:.1e}", got, want)
    if not moved > 10 * logits.TOLERANCE:
        raise SystemExit(f"{name}: so little shows nothing")


# ---- adapters that fit -----------------------------------------------------------

def texts_agree(name, adapter, folder, labels):
    auto, batch = transformers.AutoModelForSequenceClassification, list(random_ids())
    model, tensors = with_peft(adapter, folder, auto, num_labels=labels)
    text = "".join(" ".join(f"w{i}" for i in ids) + "\n" for ids in batch)
    out = subprocess.run(["bin/lora", "predict", f"--adapter={adapter}", f"--model={folder}", "--logits"], input=text,
                         stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
    compare(name, [torch.tensor(json.loads(line)["logits"]) for line in out.splitlines()], model, batch, tensors)


def tokens_agree(name, adapter, folder, driver):
    batch = list(random_ids())
    model, tensors = with_peft(adapter, folder, transformers.AutoModelForCausalLM)
    compare(name, logits.positions(driver, folder, adapter, batch), model, batch, tensors)


def rewritten(source, target, settings, rename):
    """A PEFT adapter with other settings, or with other names for its tensors. Types of tensors stay."""
    real_folders.begin(target)
    real_folders.write_json(target, "adapter_config.json", settings)
    save_file({rename(k): v for k, v in load_file(source).items()}, os.path.join(target, "adapter_model.safetensors"),
              {"format": "pt"})
    return target


def goes_on(name, adapter, folder, labels, work):
    """Training from the published adapter, as PEFT goes on with it."""
    with open(os.path.join(adapter, "adapter_config.json"), encoding="utf-8") as file:
        settings = json.load(file)
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        drops = [key for key in json.load(file) if key.endswith(("dropout", "_pdrop"))]
    data = os.path.abspath(os.path.join(work, f"{name}.tsv"))
    with open(data, "w", encoding="utf-8") as file:
        file.write("text\tlabel\n")
        for i, ids in enumerate(list(random_ids()) * 4):
            file.write(" ".join(f"w{k}" for k in ids) + f"\t{i % labels}\n")
    # the dropout that it was trained with would draw other masks there
    lora = {**{key: settings[key] for key in ("r", "lora_alpha", "target_modules")}, "lora_dropout": 0.0}
    run = {"model": os.path.abspath(folder), "task_type": "SEQ_CLS", "labels": labels,
           "model_config": dict.fromkeys(drops, 0.0), "data": {"train": data, "validation": data, "max_length": 76},
           "lora": {**lora, "init_adapter": os.path.abspath(adapter)},
           "train": {"max_steps": 15, "batch_size": 8, "learning_rate": 0.0002}}
    out = os.path.abspath(os.path.join(work, name))
    losses = training.train(name, run, out)
    print(f"{name}: {len(losses)} steps from the published values, loss {losses[0]:.3f} to {losses[-1]:.3f}")
    training.compare(name, out)


def loralib_name(key):
    return "base_model.model." + re.sub(r"(lora_[AB])$", r"\1.weight", key)


LORALIB = {"peft_type": "LORA", "task_type": "SEQ_CLS", "r": 8, "lora_alpha": 16, "lora_dropout": 0.1, "bias": "none",
           "target_modules": ["query", "value"], "base_model_name_or_path": "roberta-base"}


def check_fitting(adapters, work, bases, driver):
    texts_agree("distilbert_imdb", os.path.join(adapters, "distilbert_imdb"), bases["distilbert"], 2)
    texts_agree("gpt2_seqcls", os.path.join(adapters, "gpt2_seqcls"), bases["gpt2"], 6)
    mnli = os.path.join(adapters, "roberta_mnli_loralib", "roberta_base_lora_mnli.safetensors")
    texts_agree("roberta_mnli_loralib under PEFT's names",
                rewritten(mnli, os.path.join(work, "mnli"), LORALIB, loralib_name), bases["roberta"], 3)
    opt = os.path.join(adapters, "opt125m_bf16")
    with open(os.path.join(opt, "adapter_config.json"), encoding="utf-8") as file:
        settings = json.load(file)
    tokens_agree("opt125m_bf16", opt, bases["opt"], driver)
    moved = rewritten(os.path.join(opt, "adapter_model.safetensors"), os.path.join(work, "opt-as-llama"), settings,
                      lambda key: key.replace("model.decoder.layers", "model.layers"))
    tokens_agree("opt125m_bf16 under a Llama's names", moved, bases["llama"], driver)
    goes_on("distilbert_imdb-on", os.path.join(adapters, "distilbert_imdb"), bases["distilbert"], 2, work)
    goes_on("gpt2_seqcls-on", os.path.join(adapters, "gpt2_seqcls"), bases["gpt2"], 6, work)


# ---- adapters that do not --------------------------------------------------------

def refused(name, words, *command):
    """Exit code 2 at once, nothing on stdout, one error that says `words` (a regular expression)."""
    done = subprocess.run(["bin/lora", *command], input="w5 w6\n", capture_output=True, encoding="utf-8")
    if done.returncode != 2 or done.stdout or not re.search(words, done.stderr, re.DOTALL):
        raise SystemExit(f"{name}: exit code {done.returncode}, {done.stdout}{done.stderr}\nwanted: {words}")
    print(f"{name}: refused: " + " | ".join(done.stderr.strip().splitlines()), flush=True)


def check_refused(adapters, work, bases):
    def predict(adapter, model):
        return "predict", f"--adapter={adapter}", *([f"--model={bases[model]}"] if model else [])

    opt, distilbert, gpt2, mnli = (os.path.join(adapters, n) for n in (
        "opt125m_bf16", "distilbert_imdb", "gpt2_seqcls", "roberta_mnli_loralib"))
    refused("XGLM", "model_type 'xglm' is not supported.*supported are: albert", *predict(opt, "xglm"))
    refused("OPT's adapter on a Llama", "no tensor of this run: no 'base_model.model.model.layers.0.*for another kind",
            *predict(opt, "llama"))
    refused("a folder of loralib", "no adapter in this folder: it has no adapter_config.json", *predict(mnli, "roberta"))
    weights = os.path.join(mnli, "roberta_base_lora_mnli.safetensors")
    named = rewritten(weights, os.path.join(work, "named"), LORALIB, lambda key: key)
    refused("loralib's names", "no tensor of this run.*lora_A.weight'.*is not a name of PEFT's", *predict(named, "roberta"))
    saved = weights.replace(".safetensors", ".bin")
    told = subprocess.run(["bin/lora", "inspect", saved], capture_output=True, encoding="utf-8")
    if told.returncode or "zip archive; PyTorch's" not in told.stdout:
        raise SystemExit(f"inspect of a file of torch.save: exit code {told.returncode}, {told.stdout}{told.stderr}")
    pickled = rewritten(weights, os.path.join(work, "pickled"), LORALIB, lambda key: key)
    shutil.copyfile(saved, os.path.join(pickled, "adapter_model.safetensors"))
    refused("a file of torch.save", "not a safetensors file: a pickle of torch.save", *predict(pickled, "roberta"))
    os.rename(os.path.join(pickled, "adapter_model.safetensors"), os.path.join(pickled, "adapter_model.bin"))
    refused("an adapter_model.bin", "no adapter_model.safetensors.*which an older PEFT wrote", *predict(pickled, "roberta"))
    refused("another family's adapter", "c_attn.*gpt2_seqcls: lora.target_modules", *predict(gpt2, "six labels"))
    refused("a narrower base", r"q_lin.lora_A.weight.*\[8, 768\], this run needs \[8, 64\]", *predict(distilbert, "narrow"))
    refused("fewer layers than the adapter", "unexpected.*layer", *predict(distilbert, "shallow"))
    refused("a base that is not here", "distilbert-base-uncased", *predict(distilbert, None))


def main():
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    adapters, work, driver = sys.argv[1:]
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", module="peft.utils")  # that the real base is not here
    shutil.rmtree(work, ignore_errors=True)
    os.environ["HF_HUB_CACHE"] = os.path.join(work, "no-hub")
    classes, words = transformers.AutoModelForSequenceClassification, transformers.AutoModelForCausalLM
    distilbert = {**SMALL, "hidden_dim": 32}
    configs = {
        "distilbert": (transformers.DistilBertConfig(**distilbert), classes),
        "six labels": (transformers.DistilBertConfig(**distilbert, num_labels=6), classes),
        "narrow": (transformers.DistilBertConfig(**distilbert, dim=64, n_heads=4), classes),
        "shallow": (transformers.DistilBertConfig(**distilbert, n_layers=4), classes),
        "gpt2": (transformers.GPT2Config(**SMALL, n_inner=32, num_labels=6), classes),
        "roberta": (transformers.RobertaConfig(**SMALL, intermediate_size=32, num_labels=3), classes),
        "opt": (transformers.OPTConfig(**SMALL, ffn_dim=32, word_embed_proj_dim=768), words),
        "xglm": (transformers.XGLMConfig(vocab_size=WORDS, d_model=32, ffn_dim=32, num_layers=1, attention_heads=4), words),
        "llama": (transformers.LlamaConfig(**SMALL, hidden_size=768, intermediate_size=32, num_hidden_layers=12,
                                           num_attention_heads=12), words),
    }
    bases = {name: base(os.path.join(work, name), *how) for name, how in configs.items()}
    check_fitting(adapters, work, bases, driver)
    check_refused(adapters, work, bases)


main()
