"""Hidden rows of the bare models of other golden cases, as Transformers computes them: expected.jsonl.

    python make.py     with the packages of tests/interop/requirements.txt

A line a case: its rows of token ids, and of each the mean, the first and the last of what comes out.
"""
import json
import os

import torch
import transformers

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))
CASES = """albert-seqcls bert-seqcls bloom-clm cohere-clm deberta-v1-seqcls deberta-v2-tokcls deberta-v3-seqcls distilbert-regress electra-pair
falcon-clm falcon_new-clm gemma-clm gemma2-clm gemma3-clm gpt2-clm gpt_neox-clm gptj-clm granite-clm llama-clm modernbert-seqcls mpnet-seqcls
olmo2-clm opt-clm phi-clm phi3-clm qwen2-clm qwen3-clm roberta-pair smollm3-clm stablelm-clm""".split()

with open(os.path.join(HERE, "expected.jsonl"), "w", encoding="utf-8") as f:
    for case in CASES:
        torch.manual_seed(len(case))
        folder = os.path.join(HERE, os.pardir, case, "model")
        model, info = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
        assert all("pooler" in k for k in info["missing_keys"]), info["missing_keys"]
        model.eval()
        rows = [torch.randint(5, model.get_input_embeddings().weight.shape[0] - 5, (n,)) for n in (11, 3)]
        vectors = []
        for ids in rows:
            with torch.no_grad():
                x = model(input_ids=ids[None]).last_hidden_state[0]
            vectors.append([x.mean(0).tolist(), x[0].tolist(), x[-1].tolist()])
        f.write(json.dumps({"case": case, "ids": [ids.tolist() for ids in rows], "vectors": vectors}) + "\n")
        print(case, max(abs(v) for row in vectors for kind in row for v in kind))
