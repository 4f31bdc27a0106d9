#!/usr/bin/env python3
"""Which models are taken for which task, beside Transformers.

    bases.py WORK_FOLDER DRIVER

Every class of our families is saved as Transformers saves it, and opened for every task. What Transformers loads
with all of the body there has to be taken here (its heads of other tasks left over); what it fills up with random
numbers, or cannot load, has to be refused; and nothing that Transformers itself wrote may be doubted.
"""
import os
import subprocess
import sys

# Not this file's folder: tokenizers.py in it would hide the package.
sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")

import transformers as t  # noqa: E402

TASKS = {"SEQ_CLS": t.AutoModelForSequenceClassification, "TOKEN_CLS": t.AutoModelForTokenClassification,
         "CAUSAL_LM": t.AutoModelForCausalLM, "IMAGE_CLS": t.AutoModelForImageClassification}
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 40,
         "max_position_embeddings": 24}
WORDS, SPEAKERS = ["SEQ_CLS", "TOKEN_CLS"], ["SEQ_CLS", "TOKEN_CLS", "CAUSAL_LM"]
HEADS = ["ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering",
         "ForMultipleChoice", "Model"]
FAMILIES = {
    "Bert": (t.BertConfig(**SIZES), [*HEADS, "ForPreTraining", "ForNextSentencePrediction", "LMHeadModel"], WORDS),
    "Roberta": (t.RobertaConfig(**SIZES), [*HEADS, "ForCausalLM"], WORDS),
    "XLMRoberta": (t.XLMRobertaConfig(**SIZES), [*HEADS, "ForCausalLM"], WORDS),
    "DistilBert": (t.DistilBertConfig(dim=16, n_layers=2, n_heads=2, hidden_dim=32, vocab_size=40,
                                      max_position_embeddings=24), HEADS, WORDS),
    "GPT2": (t.GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=40, n_positions=24),
             ["Model", "LMHeadModel", "DoubleHeadsModel", "ForSequenceClassification", "ForTokenClassification",
              "ForQuestionAnswering"], SPEAKERS),
    "ViT": (t.ViTConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=16,
                        patch_size=4, encoder_stride=4),
            ["Model", "ForMaskedImageModeling", "ForImageClassification"], ["IMAGE_CLS"]),
}
FAMILIES["Electra"] = (t.ElectraConfig(**SIZES, embedding_size=12), [*HEADS, "ForPreTraining", "ForCausalLM"], WORDS)
FAMILIES["MPNet"] = (t.MPNetConfig(**SIZES), HEADS, WORDS)
FAMILIES["Albert"] = (t.AlbertConfig(**SIZES, embedding_size=12), [*HEADS, "ForPreTraining"], WORDS)
for name in ("Deberta", "DebertaV2"):
    FAMILIES[name] = (getattr(t, f"{name}Config")(**SIZES, relative_attention=True, pos_att_type="c2p|p2c"),
                      ["ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "Model"], WORDS)
FAMILIES["ModernBert"] = (t.ModernBertConfig(**SIZES, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1,
                                             sep_token_id=2),
                          ["ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering",
                           "Model"], WORDS)
for name in ("Llama", "Mistral", "Qwen2"):
    FAMILIES[name] = (getattr(t, f"{name}Config")(**SIZES, num_key_value_heads=1),
                      ["Model", "ForCausalLM", "ForSequenceClassification", "ForTokenClassification",
                       "ForQuestionAnswering"], SPEAKERS)
FRESH = ("classifier.", "score.", "pre_classifier.", "pooler.dense.", "head.")  # heads that a run begins anew


def wanted(folder, task):
    """Whether Transformers finds all but a fresh head there; None: all, but it loses a part of a head."""
    try:
        _, info = TASKS[task].from_pretrained(folder, num_labels=3, output_loading_info=True)
    except RuntimeError:
        return False  # a head of another shape
    return all(key.startswith(FRESH) for key in info["missing_keys"])


def check(folder, driver, task):
    said = subprocess.run([driver, folder, task], check=True, capture_output=True, text=True).stdout
    taken, want = said.startswith("ok\n"), wanted(folder, task)
    # Of TokenClassification's head Transformers reads the weight for sequences, too, and leaves its bias: that is said.
    lost = "'score.bias'" in said
    if taken != want or (taken and said != "ok\n" and not lost):
        raise SystemExit(f"{folder} as {task}: Transformers {'takes' if want else 'lacks tensors of'} it; here:\n{said}")
    return taken


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    work, driver = sys.argv[1:]
    t.logging.set_verbosity_error()
    t.utils.logging.disable_progress_bar()
    taken = refused = 0
    for name, (config, heads, tasks) in FAMILIES.items():
        for head in heads:
            for tied in (False, True):
                config.tie_word_embeddings = tied
                config.num_labels = 2 if head == "ForQuestionAnswering" else 3
                folder = os.path.join(work, f"{name}{head}{'-tied' if tied else ''}")
                getattr(t, name + head)(config).save_pretrained(folder)
                for task in tasks:
                    if check(folder, driver, task):
                        taken += 1
                    else:
                        refused += 1
    print(f"bases: {taken} models taken and {refused} refused, as by Transformers", flush=True)


main()
