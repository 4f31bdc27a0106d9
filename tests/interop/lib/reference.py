"""A run by Transformers + PEFT in a plain loop: Trainer's data order, clipping, AdamW and schedule, written out
so that every number of a step can be seen."""
import json
import math
import os

import numpy as np
import peft
import torch
import transformers
from peft.optimizers import create_loraplus_optimizer
from safetensors.torch import load_file
from transformers.trainer_pt_utils import LabelSmoother, get_parameter_names

from rows import collate, encode, epoch_order
from run_file import label_names


AUTO = {"SEQ_CLS": transformers.AutoModelForSequenceClassification,
        "TOKEN_CLS": transformers.AutoModelForTokenClassification,
        "CAUSAL_LM": transformers.AutoModelForCausalLM, "IMAGE_CLS": transformers.AutoModelForImageClassification}


def load_base(run, **more):
    """The frozen model, with as many labels as the run file says."""
    settings = dict(dtype=torch.float32, **(run["model_config"] or {}), **more)
    if run["task_type"] != "CAUSAL_LM":
        names = label_names(run)
        settings |= dict(num_labels=len(names), id2label=dict(enumerate(names)),
                         label2id={n: i for i, n in enumerate(names)})
    if run["problem_type"]:
        settings["problem_type"] = run["problem_type"]
    return AUTO[run["task_type"]].from_pretrained(run["model"], **settings)


def lora_config(run, base):
    settings = {k: v for k, v in run["lora"].items() if k not in ("init_adapter", "method")}
    settings["fan_in_fan_out"] = base.config.model_type == "gpt2"  # Conv1D keeps its weight as [in, out]
    task = None if run["task_type"] == "IMAGE_CLS" else run["task_type"]  # PEFT has no word for images
    if uses_adalora(run):
        del settings["rank_pattern"]  # there the masks
        settings["total_step"] = settings["total_step"] or run["train"]["max_steps"]
        return peft.AdaLoraConfig(task_type=task, **settings)
    return peft.LoraConfig(task_type=task, **{k: v for k, v in settings.items() if k not in ADALORA})


ADALORA = ("init_r", "target_r", "tinit", "tfinal", "deltaT", "beta1", "beta2", "orth_reg_weight", "total_step")


def uses_adalora(run):
    return run["lora"]["method"] == "adalora"


def regulariser(run, model):
    """AdaLoraModel.forward's, of the tensors that the model holds; 0 for other methods."""
    sides = [(k, p) for k, p in model.named_parameters() if "lora_A" in k or "lora_B" in k] if uses_adalora(run) else []
    with torch.no_grad():
        squares = [p @ p.T if "lora_A" in k else p.T @ p for k, p in sides]
        norms = [torch.norm(s - torch.eye(len(s))).item() for s in squares]
    return run["lora"]["orth_reg_weight"] * sum(norms) / len(norms) if norms else 0


def changes_base(run):
    """The start of A and B is taken off the base."""
    return str(run["lora"]["init_lora_weights"]).startswith(("pissa", "olora"))


def check_keys(got, want, who):
    """Names and shapes must be the same: PEFT itself would pass over a missing or an unknown tensor in silence."""
    wrong = [f"{who}: {k} is missing" for k in sorted(want.keys() - got.keys())]
    wrong += [f"{who}: {k} is not expected" for k in sorted(got.keys() - want.keys())]
    wrong += [f"{who}: {k} has shape {list(got[k].shape)}, not {list(want[k].shape)}"
              for k in sorted(want.keys() & got.keys()) if got[k].shape != want[k].shape]
    if wrong:
        raise SystemExit("\n".join(wrong))


def make_model(run):
    """The PEFT model where training starts: LoRA's own initialisation, or `lora.init_adapter`. train.mode full: the base."""
    torch.manual_seed(run["train"]["seed"])
    base = load_base(run)
    if run["train"]["mode"] == "full":
        return base
    model = peft.get_peft_model(base, lora_config(run, base))
    folder = run["lora"]["init_adapter"]
    if folder:
        with open(os.path.join(folder, "adapter_config.json"), encoding="utf-8") as file:
            config = json.load(file)
        for key in ("r", "lora_alpha", "rank_pattern", "alpha_pattern"):
            if (config[key] or {}) != (run["lora"][key] or {}):
                raise SystemExit(f"error: {folder}: {key} is {config[key]}, in the run file {run['lora'][key]}")
        state = load_file(os.path.join(folder, "adapter_model.safetensors"))
        check_keys(state, peft.get_peft_model_state_dict(model), folder)
        peft.set_peft_model_state_dict(model, state)
    return model


def make_adamw(run, model, named):
    """Of LoRA+'s groups, or as Trainer groups it: no decay for biases and norms."""
    t = run["train"]
    settings = {"lr": t["learning_rate"], "betas": (t["adam_beta1"], t["adam_beta2"]), "eps": t["adam_epsilon"]}
    if t["loraplus_lr_ratio"]:
        plus = {k: t[k] for k in ("loraplus_lr_ratio", "loraplus_lr_embedding", "loraplus_weight_decay")}
        return create_loraplus_optimizer(model, torch.optim.AdamW, **plus, **settings)
    forbidden = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]
    decay = set(get_parameter_names(model, [torch.nn.LayerNorm], forbidden))
    groups = [{"params": [p for k, p in named if k in decay], "weight_decay": t["weight_decay"]},
              {"params": [p for k, p in named if k not in decay], "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, **settings)


def make_optimizer(run, model, total):
    """AdamW and its schedule, and what is trained."""
    t = run["train"]
    named = [(k, p) for k, p in model.named_parameters() if p.requires_grad]
    optimizer = make_adamw(run, model, named)
    warmup = t["warmup_steps"] or math.ceil(total * t["warmup_ratio"])
    schedule = transformers.get_scheduler(t["lr_scheduler_type"], optimizer, num_warmup_steps=warmup,
                                          num_training_steps=total,
                                          scheduler_specific_kwargs=t["lr_scheduler_kwargs"])
    return optimizer, schedule, [p for _, p in named]


def class_weights(run):
    """Of all classes, as torch's losses take them, or None; `balanced` as scikit-learn counts data.train."""
    given = run["train"]["class_weights"]
    if given is None or isinstance(given, torch.Tensor):
        return given
    names = label_names(run)
    if given == "balanced":
        from sklearn.utils.class_weight import compute_class_weight
        labels = [x for f in encode(run, run["data"]["train"]) for x in f.get("token_labels", [f.get("labels")]) if x != -100]
        given = compute_class_weight("balanced", classes=np.arange(len(names)), y=labels)
    elif isinstance(given, dict):
        given = [given[name] for name in names]
    run["train"]["class_weights"] = torch.tensor(np.asarray(given, dtype=np.float64))
    return run["train"]["class_weights"]


def loss_of(run, model, batch):
    """Trainer.compute_loss's; with class weights that of a Trainer whose compute_loss has torch's loss."""
    share, weights = run["train"]["label_smoothing_factor"], class_weights(run)
    if weights is not None:
        labels = batch.pop("labels").flatten()
        logits = model(**batch).logits.reshape(len(labels), -1)
        return torch.nn.functional.cross_entropy(logits, labels, weights.float(), label_smoothing=share)
    if not share:
        return model(**batch).loss
    labels = batch.pop("labels")
    return LabelSmoother(epsilon=share)(model(**batch), labels, shift_labels=run["task_type"] == "CAUSAL_LM")


def train(run, model, features, pad, stop=None):
    """Yields a dict a step; ends after `stop` steps, without a change of the schedule, when it is given."""
    t = run["train"]
    count, batch = len(features), t["batch_size"]
    per_epoch = math.ceil(count / batch)
    total = t["max_steps"] if t["max_steps"] > 0 else math.ceil(per_epoch * t["num_train_epochs"])
    optimizer, schedule, trained = make_optimizer(run, model, total)
    model.train()
    for step in range(min(total, stop or total)):
        epoch, i = divmod(step, per_epoch)
        if i == 0:
            order = epoch_order(run, epoch, count)
        rows = [features[j] for j in order[i * batch:(i + 1) * batch]]
        loss = loss_of(run, model, collate(rows, pad))
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, t["max_grad_norm"] or math.inf)  # 0 turns it off
        rate = schedule.get_last_lr()[0]
        optimizer.step()
        if uses_adalora(run):
            model.base_model.update_and_allocate(step)
        schedule.step()
        optimizer.zero_grad()
        yield {"step": step + 1, "epoch": epoch + (i + 1) / per_epoch, "loss": loss.item(), "grad_norm": norm.item(),
               "learning_rate": rate, "tokens": sum(length(r) for r in rows)}


def length(feature):
    """Tokens; of an image 0."""
    return len(feature.get("input_ids", ()))


def predict(model, features, pad, size=32):
    """A row's logits, in the rows' order, without those of padding; computed by length, so that there is little."""
    order = sorted(range(len(features)), key=lambda i: length(features[i]))
    logits = [None] * len(features)
    model.eval()
    with torch.no_grad():
        for at in range(0, len(order), size):
            some = order[at:at + size]
            batch = collate([features[i] for i in some], pad)
            del batch["labels"]
            for i, row in zip(some, model(**batch).logits):
                logits[i] = row[:length(features[i])] if row.ndim > 1 else row
    return logits


def evaluate(run, model, features, pad):
    """Metrics over all rows at once; eval_loss is an exact mean over rows, or over learnt tokens, with the method's own
    term, as Trainer has it."""
    figures, term = measure(run, model, features, pad), regulariser(run, model)
    return {**figures, "eval_loss": figures["eval_loss"] + term} if term else figures


def measure(run, model, features, pad):
    logits = [row.double() for row in predict(model, features, pad)]
    if run["task_type"] == "CAUSAL_LM":
        return measure_tokens(run, logits, features)
    if run["task_type"] == "TOKEN_CLS":
        return measure_tags(run, logits, features)
    logits, goal = torch.stack(logits), torch.tensor([f["labels"] for f in features])
    if run["problem_type"] == "regression":
        return measure_values(logits[:, 0], goal.double())
    return measure_classes(run, logits, goal)


def cross_entropy(run, logits, goal):
    """The mean loss as Trainer has it, with weights of classes and a smoothed goal where those are trained."""
    weights = class_weights(run)
    return torch.nn.functional.cross_entropy(logits, goal, weights if weights is None else weights.to(logits.dtype), ignore_index=-100,
                                             label_smoothing=run["train"]["label_smoothing_factor"]).item()


def measure_tokens(run, logits, features):
    goal = torch.tensor([t for f in features for t in f["token_labels"][1:]])
    rows = torch.cat([row[:-1] for row in logits])
    plain = torch.nn.functional.cross_entropy(rows, goal, ignore_index=-100).item()
    return {"eval_loss": cross_entropy(run, rows, goal), "eval_perplexity": math.exp(plain)}


def measure_tags(run, logits, features):
    from seqeval import metrics
    names = label_names(run)
    goal = torch.tensor([t for f in features for t in f["token_labels"]])
    loss = cross_entropy(run, torch.cat(logits), goal)
    wanted, guessed = [], []
    for row, f in zip(logits, features):
        pairs = [(g, p) for g, p in zip(f["token_labels"], row.argmax(-1).tolist()) if g != -100]
        wanted.append([names[g] for g, _ in pairs])
        guessed.append([names[p] for _, p in pairs])
    scores = {"eval_f1": metrics.f1_score, "eval_precision": metrics.precision_score, "eval_recall": metrics.recall_score}
    return {"eval_loss": loss, "eval_accuracy": metrics.accuracy_score(wanted, guessed),
            **{k: float(score(wanted, guessed, zero_division=0)) for k, score in scores.items()}}


def measure_values(guess, goal):
    from scipy.stats import pearsonr, spearmanr
    mse = ((guess - goal) ** 2).mean().item()
    guess, goal = guess.numpy(), goal.numpy()
    return {"eval_loss": mse, "eval_mse": mse, "eval_pearson": float(pearsonr(guess, goal)[0]),
            "eval_spearman": float(spearmanr(guess, goal)[0])}


def measure_classes(run, logits, goal):
    from sklearn import metrics
    many = run["problem_type"] == "multi_label_classification"
    if many:
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, goal.double()).item()
        guess, average = (logits > 0).long().numpy(), "macro"
    else:
        loss = cross_entropy(run, logits, goal)
        guess, average = logits.argmax(-1).numpy(), "binary" if logits.shape[1] == 2 else "macro"
    goal = goal.long().numpy()
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(goal, guess, average=average, zero_division=0)
    out = {"eval_loss": loss, "eval_accuracy": float(metrics.accuracy_score(goal, guess)), "eval_f1": float(f1),
           "eval_precision": float(precision), "eval_recall": float(recall)}
    if not many:
        out["eval_matthews"] = float(metrics.matthews_corrcoef(goal, guess))
    return out
