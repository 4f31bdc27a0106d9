"""What Transformers and PEFT make of the families: modules.jsonl, adapters.jsonl, rope.jsonl and buckets.jsonl of this folder.

    python make.py      with the packages of tests/interop/requirements.txt

modules.jsonl: for each golden case and task its class, parameters, and all modules that have tensors, in named_modules order.
adapters.jsonl: for LoRA settings the tensors that are trained, as PEFT names them (without base_model.model.), their shapes and whether Trainer decays
them; the frozen ones that PEFT saves too, and the settings it writes. Or its error.
rope.jsonl: inverse frequencies and the factor of cosines and sines.
buckets.jsonl: T5's rows of distances -600 to 600, as where each run of them begins.
"""
import json
import os
import tempfile
import warnings

import peft
import torch
import transformers
from safetensors import safe_open
from transformers.trainer_pt_utils import get_parameter_names

warnings.filterwarnings("ignore")
HERE = os.path.dirname(os.path.abspath(__file__))
AUTO = {"SEQ_CLS": transformers.AutoModelForSequenceClassification, "TOKEN_CLS": transformers.AutoModelForTokenClassification,
        "CAUSAL_LM": transformers.AutoModelForCausalLM, "IMAGE_CLS": transformers.AutoModelForImageClassification}
TASKS = {"bert-seqcls": ["SEQ_CLS", "TOKEN_CLS"], "roberta-pair": ["SEQ_CLS", "TOKEN_CLS"], "distilbert-regress": ["SEQ_CLS", "TOKEN_CLS"],
         "gpt2-clm": ["SEQ_CLS", "TOKEN_CLS", "CAUSAL_LM"], "llama-clm": ["SEQ_CLS", "TOKEN_CLS", "CAUSAL_LM"],
         "qwen2-clm": ["SEQ_CLS", "TOKEN_CLS", "CAUSAL_LM"], "qwen3-clm": ["SEQ_CLS", "TOKEN_CLS", "CAUSAL_LM"], "opt-clm": ["SEQ_CLS", "CAUSAL_LM"],
         "vit-imgcls": ["IMAGE_CLS"],
         "gemma-clm": ["SEQ_CLS", "TOKEN_CLS", "CAUSAL_LM"], "gemma2-clm": ["SEQ_CLS", "TOKEN_CLS", "CAUSAL_LM"], "gemma3-clm": ["SEQ_CLS", "CAUSAL_LM"],
         "phi3-clm": ["SEQ_CLS", "TOKEN_CLS", "CAUSAL_LM"], "gpt_neox-clm": ["SEQ_CLS", "TOKEN_CLS", "CAUSAL_LM"], "phi-clm": ["SEQ_CLS", "TOKEN_CLS", "CAUSAL_LM"],
         "granite-clm": ["CAUSAL_LM"], "olmo2-clm": ["SEQ_CLS", "CAUSAL_LM"], "stablelm-clm": ["SEQ_CLS", "TOKEN_CLS", "CAUSAL_LM"],
         "smollm3-clm": ["SEQ_CLS", "TOKEN_CLS", "CAUSAL_LM"], "falcon-clm": ["SEQ_CLS", "TOKEN_CLS", "CAUSAL_LM"], "falcon_new-clm": ["SEQ_CLS", "CAUSAL_LM"],
         "bloom-clm": ["SEQ_CLS", "TOKEN_CLS", "CAUSAL_LM"], "gptj-clm": ["SEQ_CLS", "CAUSAL_LM"], "cohere-clm": ["CAUSAL_LM"],
         "electra-pair": ["SEQ_CLS", "TOKEN_CLS"], "mpnet-seqcls": ["SEQ_CLS", "TOKEN_CLS"], "albert-seqcls": ["SEQ_CLS", "TOKEN_CLS"],
         "modernbert-seqcls": ["SEQ_CLS", "TOKEN_CLS"], "deberta-v3-seqcls": ["SEQ_CLS", "TOKEN_CLS"], "deberta-v2-tokcls": ["SEQ_CLS", "TOKEN_CLS"],
         "deberta-v1-seqcls": ["SEQ_CLS", "TOKEN_CLS"]}


def model_of(case, task, **more):
    torch.manual_seed(0)
    return AUTO[task].from_config(transformers.AutoConfig.from_pretrained(os.path.join(HERE, "..", case, "model"), num_labels=3, **more))


def modules():
    for case, tasks in TASKS.items():
        for task in tasks:
            model = model_of(case, task)
            rows = []
            for name, m in model.named_modules():
                own = dict(m.named_parameters(recurse=False))
                if set(own) <= {"weight", "bias"}:
                    if own:
                        rows.append([name, type(m).__name__, list(own["weight"].shape), "bias" in own])
                else:
                    rows += [[f"{name}.{k}", "Parameter", list(p.shape), False] for k, p in own.items()]
            yield dict(case=case, task=task, cls=type(model).__name__, parameters=sum(p.numel() for p in model.parameters()), modules=rows)


def settings():
    Q = {"bert-seqcls": ["query", "value"], "roberta-pair": ["query", "value"], "distilbert-regress": ["q_lin", "v_lin"], "gpt2-clm": ["c_attn"],
         "llama-clm": ["q_proj", "v_proj"], "qwen2-clm": ["q_proj", "v_proj"], "qwen3-clm": ["k_proj", "v_proj"], "opt-clm": ["q_proj", "v_proj"], "vit-imgcls": ["q_proj", "v_proj"],
         "electra-pair": ["query", "value"], "mpnet-seqcls": ["q", "v"], "albert-seqcls": ["query", "value"], "modernbert-seqcls": ["Wqkv"],
         "deberta-v3-seqcls": ["query_proj", "value_proj"], "deberta-v2-tokcls": ["query_proj", "pos_key_proj"], "deberta-v1-seqcls": ["in_proj"]}
    dense = {"bert-seqcls": ["dense"], "roberta-pair": ["dense"], "distilbert-regress": ["lin1", "out_lin"], "gpt2-clm": ["c_proj"], "llama-clm": ["o_proj", "gate_proj"],
             "qwen2-clm": ["down_proj"], "qwen3-clm": ["o_proj", "down_proj"], "opt-clm": ["out_proj", "fc1"], "vit-imgcls": ["fc2", "projection"],
             "electra-pair": ["embeddings_project", "dense"], "mpnet-seqcls": ["o", "dense"], "albert-seqcls": ["ffn", "ffn_output", "embedding_hidden_mapping_in"],
             "modernbert-seqcls": ["Wo", "Wi"], "deberta-v3-seqcls": ["dense"], "deberta-v2-tokcls": ["dense"], "deberta-v1-seqcls": ["pos_proj", "pos_q_proj", "dense"]}
    table = {"bert-seqcls": "word_embeddings", "roberta-pair": "position_embeddings", "distilbert-regress": "word_embeddings", "gpt2-clm": "wte", "llama-clm": "embed_tokens",
             "qwen2-clm": "embed_tokens", "qwen3-clm": "embed_tokens", "opt-clm": "embed_positions", "electra-pair": "word_embeddings", "albert-seqcls": "token_type_embeddings", "modernbert-seqcls": "tok_embeddings"}
    norm = {"bert-seqcls": "LayerNorm", "roberta-pair": "LayerNorm", "distilbert-regress": "sa_layer_norm", "gpt2-clm": "ln_f", "llama-clm": "norm", "qwen2-clm": "input_layernorm", "qwen3-clm": "q_norm", "opt-clm": "final_layer_norm",
            "vit-imgcls": "layernorm_before", "electra-pair": "LayerNorm", "mpnet-seqcls": "LayerNorm", "albert-seqcls": "full_layer_layer_norm",
            "modernbert-seqcls": "head", "deberta-v3-seqcls": "LayerNorm", "deberta-v2-tokcls": "conv", "deberta-v1-seqcls": "LayerNorm"}
    for case, tasks in TASKS.items():
        for task in tasks if case in Q else []:
            head = {"modules_to_save": ["classifier"]} if task == "IMAGE_CLS" else {}
            yield case, task, dict()
            yield case, task, dict(target_modules="all-linear", **head)
            yield case, task, dict(target_modules=Q[case], bias="all", **head)
            yield case, task, dict(target_modules=dense[case], r=3, lora_alpha=6, **head)
            yield case, task, dict(target_modules=Q[case], layers_to_transform=[1], **head)
            yield case, task, dict(target_modules=Q[case], modules_to_save=[norm[case]])
            if case in table:
                yield case, task, dict(target_modules=[table[case]] + Q[case])
                yield case, task, dict(target_modules=Q[case], modules_to_save=[table[case]])
            if task == "IMAGE_CLS":
                yield case, task, dict(target_modules="all-linear")
                yield case, task, dict(target_modules=["q_proj", "classifier"])
                yield case, task, dict(target_modules=r".*\.attention\.(q|o)_proj")
            if task == "CAUSAL_LM":
                yield case, task, dict(target_modules=Q[case] + ["lm_head"])
                yield case, task, dict(target_modules=Q[case], modules_to_save=["lm_head"])
                yield case, task, dict(target_modules=r".*\.1\..*proj|.*embed_tokens|.*\.h\.0\.attn\.c_attn")


def adapters():
    seen = set()
    for case, task, kw in settings():
        key = json.dumps([case, task, kw], sort_keys=True)
        if key in seen:
            continue
        seen.add(key)
        row = dict(case=case, task=task, lora=json.loads(json.dumps(kw)))
        model = model_of(case, task)
        try:
            kw = dict(dict(r=4, lora_alpha=8), **kw)
            wrapped = peft.get_peft_model(model, peft.LoraConfig(task_type=None if task == "IMAGE_CLS" else task, **kw))
        except Exception as e:
            yield dict(row, error=f"{type(e).__name__}: {e}"[:200])
            continue
        decay = set(get_parameter_names(wrapped, [torch.nn.LayerNorm], [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]))
        short = lambda n: n.replace(".modules_to_save.default.", ".").replace(".default.", ".").removesuffix(".default")
        decayed = {short(n) for n, p in wrapped.named_parameters() if p.requires_grad and n in decay}
        trained = {short(n) for n, p in wrapped.named_parameters() if p.requires_grad}
        with tempfile.TemporaryDirectory() as d:
            wrapped.save_pretrained(d)
            with safe_open(os.path.join(d, "adapter_model.safetensors"), "pt") as f:
                shapes = {k: list(f.get_slice(k).get_shape()) for k in sorted(f.keys())}
            with open(os.path.join(d, "adapter_config.json")) as f:
                config = json.load(f)
        assert trained <= set(shapes), trained - set(shapes)
        bare = lambda k: k.removeprefix("base_model.model.")
        wrapper = lambda k: ".original_module." in k or ".modules_to_save." in k
        keep = ("target_modules", "modules_to_save", "fan_in_fan_out", "task_type", "auto_mapping", "bias", "layers_to_transform")
        config = {k: sorted(config[k]) if isinstance(config[k], list) and k != "layers_to_transform" else config[k] for k in keep}
        yield dict(row, trained=[[bare(k), shapes[k], k in decayed] for k in sorted(trained)], frozen=[bare(k) for k in sorted(set(shapes) - trained) if not wrapper(k)], config=config)


def ropes():
    base = dict(hidden_size=64, num_attention_heads=2, num_key_value_heads=2, intermediate_size=8, num_hidden_layers=1, vocab_size=10, max_position_embeddings=128)
    pairs = lambda f: [1 + f * i for i in range(16)]
    for more in (dict(), dict(rope_theta=500000.0), dict(head_dim=6), dict(rope_scaling=dict(type="linear", factor=4.0)), dict(rope_parameters=dict(rope_type="linear", factor=2, rope_theta=300.0)),
                 dict(rope_scaling=dict(rope_type="dynamic", factor=2.0)),
                 dict(rope_theta=500000.0, rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)),
                 dict(rope_parameters=dict(rope_type="llama3", rope_theta=1000.0, factor=32.0, low_freq_factor=1.0, high_freq_factor=3.0, original_max_position_embeddings=64)),
                 dict(rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)),
                 dict(rope_scaling=dict(type="yarn", factor=4.0), rope_theta=1e6), dict(rope_parameters=dict(rope_type="yarn", factor=8.0, rope_theta=10000.0, original_max_position_embeddings=16,
                                                                                                          beta_fast=16, beta_slow=2, mscale=0.7, mscale_all_dim=1.2, truncate=False)),
                 dict(rope_parameters=dict(rope_type="yarn", factor=8.0, rope_theta=10000.0, original_max_position_embeddings=16, attention_factor=1.3)),
                 dict(rope_scaling=dict(rope_type="longrope", short_factor=pairs(.1), long_factor=pairs(.7), original_max_position_embeddings=32)),
                 dict(rope_scaling=dict(rope_type="longrope", short_factor=pairs(.1), long_factor=pairs(.7), original_max_position_embeddings=64, factor=16.0)),
                 dict(rope_scaling=dict(rope_type="longrope", short_factor=pairs(.1), long_factor=pairs(.7), attention_factor=1.1), original_max_position_embeddings=64)):
        config = json.loads(json.dumps(dict(base, **more)))              # as config.json holds it; the library changes its own
        for length in (20, 128, 200):
            with tempfile.TemporaryDirectory() as d:
                with open(os.path.join(d, "config.json"), "w") as f:
                    json.dump(dict(config, model_type="llama"), f)
                rope = transformers.models.llama.modeling_llama.LlamaRotaryEmbedding(transformers.AutoConfig.from_pretrained(d))
            rope(torch.zeros(1, length, 4), torch.arange(length)[None])
            yield dict(config=config, length=length, inverse=rope.inv_freq.double().tolist(), factor=float(rope.attention_scaling))


def buckets():
    bucket = transformers.models.t5.modeling_t5.T5Attention._relative_position_bucket
    for count, most in ((32, 128), (8, 128), (32, 256), (16, 64), (20, 100)):
        for both in (True, False):
            rows = bucket(torch.arange(-600, 601), bidirectional=both, num_buckets=count, max_distance=most).tolist()
            yield dict(buckets=count, max_distance=most, both_ways=both,
                       runs=[[i - 600, row] for i, row in enumerate(rows) if i == 0 or row != rows[i - 1]])


for name, rows in (("modules", modules()), ("adapters", adapters()), ("rope", ropes()), ("buckets", buckets())):
    with open(os.path.join(HERE, name + ".jsonl"), "w", encoding="utf-8") as f:
        f.writelines(json.dumps(r) + "\n" for r in rows)
