"""Rows of the E2E challenge, and a small GPT-2 that has read half of them in another form."""
import hashlib
import json
import os
import random
import shutil

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from rows import load_tokenizer

END = "<|endoftext|>"
SHAPE = {"n_layer": 4, "n_embd": 256, "n_head": 4, "n_positions": 256, "resid_pdrop": 0.0, "embd_pdrop": 0.0,
         "attn_pdrop": 0.0}
VOCAB, BATCH, RATE, WARMUP = 2000, 32, 2e-3, 0.05


def read_rows(path):
    """Meaning and text of each line: "slot : value | ...||text"."""
    with open(path, encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("||") for line in file]
    if any(len(row) != 2 for row in rows):
        raise SystemExit(f"error: {path}: a line is no meaning||text")
    return [{"mr": mr.strip(), "ref": " " + text.strip()} for mr, text in rows]


def other_form(row, draw):
    """"name : Aromi | food : Thai" as "food = Thai ; name = Aromi =>", in any order."""
    slots = [slot.replace(" : ", " = ", 1) for slot in row["mr"].split(" | ")]
    draw.shuffle(slots)
    return " ; ".join(slots) + " =>" + row["ref"]


# ---- the model -----------------------------------------------------------------

def write_tokenizer(texts, folder):
    """GPT-2's kind, of these texts. The signs of both forms are letters to it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=[END], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
        json.dump({"tokenizer_class": "GPT2Tokenizer", "bos_token": END, "eos_token": END, "unk_token": END,
                   "add_prefix_space": False, "model_max_length": SHAPE["n_positions"]}, file, indent=1)
    return load_tokenizer(folder)


def batches(sequences, draw):
    """Of like length, in any order; without end."""
    while True:
        order = list(range(len(sequences)))
        draw.shuffle(order)
        for at in range(0, len(order), 50 * BATCH):
            some = sorted(order[at:at + 50 * BATCH], key=lambda i: len(sequences[i]))
            groups = [some[i:i + BATCH] for i in range(0, len(some), BATCH)]
            draw.shuffle(groups)
            for group in groups:
                width = max(len(sequences[i]) for i in group)
                fill = lambda value: torch.tensor([sequences[i] + [value] * (width - len(sequences[i])) for i in group])
                yield {"input_ids": fill(0), "labels": fill(-100)}  # nothing looks ahead at what fills up


def teach(model, sequences, steps, draw):
    """A plain language model of the sequences; the mean loss of the last 50 steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    schedule = transformers.get_cosine_schedule_with_warmup(optimizer, int(WARMUP * steps), steps)
    losses, source = [], batches(sequences, draw)
    model.train()
    for step in range(steps):
        loss = model(**next(source)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if (step + 1) % 200 == 0:
            print(f"base: step {step + 1} of {steps}, loss {sum(losses[-50:]) / 50:.3f}", flush=True)
    return sum(losses[-50:]) / 50


def make(rows, folder, steps):
    """The base in `folder`, taught anew unless it is there; the loss it ended with."""
    source = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    wanted = {"rows": source, "steps": steps, "shape": SHAPE, "vocab": VOCAB, "batch": BATCH, "rate": RATE}
    made = os.path.join(folder, "made.json")
    if os.path.exists(made):
        with open(made, encoding="utf-8") as file:
            found = json.load(file)
        if found["of"] == wanted:
            return found["loss"]
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    draw = random.Random(3)
    texts = [other_form(row, draw) for row in rows]
    tokenizer = write_tokenizer(texts + [row["mr"] for row in rows], folder)
    sequences = [tokenizer(text + END)["input_ids"] for text in texts]
    torch.manual_seed(3)
    end = tokenizer.eos_token_id
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(
        vocab_size=len(tokenizer), bos_token_id=end, eos_token_id=end, **SHAPE))
    loss = teach(model, sequences, steps, draw)
    model.save_pretrained(folder)
    with open(made, "w", encoding="utf-8") as file:
        json.dump({"of": wanted, "loss": loss}, file)
    return loss
