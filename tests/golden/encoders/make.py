"""Small models of the encoders' less usual settings, with Transformers' logits: a folder each here.

    python make.py      with the packages of tests/interop/requirements.txt

NAME/config.json and model.safetensors, of random weights; NAME/rows.jsonl: ids, token types and logits of a few rows, each alone.
"""
import json
import os
import sys

import torch
import transformers as t

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = dict(hidden_size=16, num_attention_heads=2, intermediate_size=24, vocab_size=40, max_position_embeddings=24, num_labels=3)
V2 = dict(SIZES, num_hidden_layers=2, relative_attention=True, position_biased_input=False, pos_att_type=["c2p", "p2c"], position_buckets=8)
V1 = dict(SIZES, num_hidden_layers=2, relative_attention=True, pos_att_type="c2p|p2c", max_relative_positions=6)
MODERN = dict(SIZES, num_hidden_layers=4, local_attention=6, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2)
SEQ, TOKEN = "SequenceClassification", "TokenClassification"
VARIANTS = {
    "modernbert-biases": ("ModernBert", SEQ, dict(MODERN, classifier_pooling="cls", norm_bias=True, attention_bias=True, mlp_bias=True, classifier_bias=True, local_attention=5,
                                                  layer_types=["sliding_attention", "full_attention", "full_attention", "sliding_attention"], classifier_activation="relu", hidden_activation="gelu_new")),
    "modernbert-all-global": ("ModernBert", TOKEN, dict(MODERN, global_attn_every_n_layers=1)),
    "modernbert-ropes": ("ModernBert", SEQ, dict(MODERN, classifier_pooling="mean", global_attn_every_n_layers=2,
                                                 rope_parameters={"full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 300.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 50.0}})),
    "deberta-v2-absolute": ("DebertaV2", SEQ, dict(SIZES, num_hidden_layers=2, type_vocab_size=2, pos_att_type="c2p|p2c", norm_rel_ebd="layer_norm")),
    "deberta-v2-c2p-shared": ("DebertaV2", SEQ, dict(V2, pos_att_type="c2p", share_att_key=True, pooler_hidden_act="relu")),
    "deberta-v2-p2c-own": ("DebertaV2", TOKEN, dict(V2, pos_att_type=["p2c"], position_buckets=-1, max_relative_positions=5, position_biased_input=True)),
    "deberta-v2-narrow": ("DebertaV2", SEQ, dict(V2, share_att_key=True, embedding_size=12, norm_rel_ebd="layer_norm", type_vocab_size=3)),
    "deberta-v2-no-terms": ("DebertaV2", SEQ, dict(V2, pos_att_type=None)),
    "deberta-v2-conv": ("DebertaV2", TOKEN, dict(V2, num_hidden_layers=3, conv_kernel_size=5, embedding_size=20, hidden_act="relu")),
    "deberta-v1-c2p": ("Deberta", SEQ, dict(V1, pos_att_type=["c2p"], type_vocab_size=2)),
    "deberta-v1-p2c-narrow": ("Deberta", TOKEN, dict(V1, pos_att_type="p2c", embedding_size=12, position_biased_input=False)),
    "deberta-v1-absolute": ("Deberta", SEQ, dict(SIZES, num_hidden_layers=2, pooler_hidden_act="tanh")),
    "mpnet-other-pad": ("MPNet", SEQ, dict(SIZES, num_hidden_layers=2, pad_token_id=0)),
    "mpnet-tokens": ("MPNet", TOKEN, dict(SIZES, num_hidden_layers=3, hidden_act="relu")),
    "electra-even": ("Electra", SEQ, dict(SIZES, num_hidden_layers=2, embedding_size=16, hidden_act="relu", summary_activation="tanh")),
    "electra-wide": ("Electra", TOKEN, dict(SIZES, num_hidden_layers=2, embedding_size=28)),
    "albert-groups": ("Albert", SEQ, dict(SIZES, num_hidden_layers=4, num_hidden_groups=2, embedding_size=16)),
    "albert-inner": ("Albert", TOKEN, dict(SIZES, num_hidden_layers=5, num_hidden_groups=3, inner_group_num=2, embedding_size=12, hidden_act="gelu")),
}


def main():
    for name, (family, task, settings) in VARIANTS.items():
        torch.manual_seed(len(name) + sum(map(ord, name)))
        config = getattr(t, family + "Config")(**settings)
        model = getattr(t, f"{family}For{task}")(config).eval()
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(torch.randn_like(p) * (0.1 if p.dim() == 1 else 0.35) + (1 if p.dim() == 1 and float(p.mean()) == 1 else 0))
        folder = os.path.join(HERE, name)
        model.save_pretrained(folder)
        types = getattr(config, "type_vocab_size", 0)
        with open(os.path.join(folder, "rows.jsonl"), "w", encoding="utf-8") as f:
            for length in (1, 3, 9, 22):
                ids = torch.randint(0, 40, (1, length))
                more = {"token_type_ids": torch.randint(0, types, (1, length))} if types > 1 else {}
                with torch.no_grad():
                    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), **more).logits
                row = dict(ids=ids[0].tolist(), logits=logits.reshape(-1).tolist(), **{k: v[0].tolist() for k, v in more.items()})
                f.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    sys.exit(main())
