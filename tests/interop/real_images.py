#!/usr/bin/env python3
"""A trained ViT and photographs in folders, beside Transformers and PEFT.

    real_images.py IMAGES_FOLDER MODEL_FOLDER WORK_FOLDER

IMAGES_FOLDER has cifar10/cifar10_jpeg_60k.tar.gz and hymenoptera/{train,val}; MODEL_FOLDER the ViT of
AshuAhlawat/Convolutional-Transformer, written to WORK_FOLDER as a Hugging Face folder. Its logits and its accuracy
on CIFAR-10's 10,000 test images are Transformers'. Then three runs of 50 steps from the folders of JPEGs, whose loss
has to fall: CIFAR-10 and hymenoptera with a new head, beside PEFT, and all 50,000 images cropped and flipped.
"""
import json
import os
import shutil
import subprocess
import sys
import tarfile

# Not this file's folder: tokenizers.py in it would hide the package.
sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")

import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
import yaml  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

import logits  # noqa: E402
import real_folders  # noqa: E402
import rows  # noqa: E402
import training  # noqa: E402

STEPS = 50
LORA = {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj", "projection"]}


# ---- folders -------------------------------------------------------------------

def unpack(images, work):
    """CIFAR-10 as {train,test}/CLASS/*.jpg."""
    target = os.path.join(work, "cifar10-jpegs")
    if not os.path.isdir(target):
        part = target + ".part"
        shutil.rmtree(part, ignore_errors=True)
        with tarfile.open(os.path.join(images, "cifar10", "cifar10_jpeg_60k.tar.gz")) as archive:
            archive.extractall(part, filter="data")
        os.rename(part, target)
    while not os.path.isdir(os.path.join(target, "test")):
        (inner,) = os.listdir(target)
        target = os.path.join(target, inner)
    return target


def some_of(folder, target, most):
    """A folder of links to the first `most` images of each class."""
    real_folders.begin(target)
    for label in sorted(os.listdir(folder)):
        os.makedirs(os.path.join(target, label))
        for name in sorted(os.listdir(os.path.join(folder, label)))[:most]:
            os.symlink(os.path.join(folder, label, name), os.path.join(target, label, name))
    return target


def without_head(model, target):
    """The body alone, as models for fine-tuning are published."""
    real_folders.as_it_is(model, target)
    path = os.path.join(target, "model.safetensors")
    state = {name: tensor for name, tensor in load_file(path).items() if not name.startswith("classifier.")}
    save_file(state, path, {"format": "pt"})
    return target


def fresh_adapter(model, classes, out, **more):
    """As PEFT makes it: B is zero, so that the base speaks."""
    torch.manual_seed(21)
    names = dict(num_labels=len(classes), id2label=dict(enumerate(classes)),
                 label2id={name: i for i, name in enumerate(classes)})
    base = transformers.AutoModelForImageClassification.from_pretrained(model, dtype=torch.float32, **names)
    peft.get_peft_model(base, peft.LoraConfig(**LORA, **more)).save_pretrained(out)
    return out


# ---- logits and accuracy -------------------------------------------------------

def check_base(model, test, fresh):
    base = transformers.AutoModelForImageClassification.from_pretrained(model, dtype=torch.float32).eval()
    run = {"model": model, "task_type": "IMAGE_CLS", "labels": sorted(os.listdir(test)), "problem_type": None}
    listed = rows.read_folder(test)
    with torch.no_grad():
        features = rows.encode_images(run, listed)
        want = torch.cat([base(torch.stack([f["pixel_values"] for f in features[i:i + 500]])).logits
                          for i in range(0, len(features), 500)])
    right = (want.argmax(1) == torch.tensor([f["labels"] for f in features])).sum().item()

    some = range(0, len(listed), 10)
    out = subprocess.run(["bin/lora", "predict", f"--adapter={fresh}", f"--model={model}", "--logits"],
                         input="".join(listed[i]["file"] + "\n" for i in some), stdout=subprocess.PIPE, check=True,
                         encoding="utf-8").stdout
    got = [torch.tensor(json.loads(line)["logits"]) for line in out.splitlines()]
    logits.compare("ViT", got, [want[i] for i in some])

    path = fresh + ".yaml"
    with open(path, "w", encoding="utf-8") as file:
        yaml.safe_dump({"model": model, "task_type": "IMAGE_CLS", "data": {"test": test}}, file)
    out = subprocess.run(["bin/lora", "eval", path], stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
    accuracy = json.loads(out)["eval_accuracy"]
    if abs(accuracy * len(listed) - right) > 1e-6 * len(listed) or right < 0.5 * len(listed):
        raise SystemExit(f"ViT: accuracy {accuracy}, with Transformers {right} of {len(listed)} are right")
    print(f"ViT: accuracy {accuracy:.4f} on {len(listed)} test images, Transformers': {right} are right", flush=True)


# ---- training ------------------------------------------------------------------

def train(name, run, out, rate, batch=32):
    run["train"] = {"max_steps": STEPS, "batch_size": batch, "learning_rate": rate, "eval_strategy": "steps",
                    "eval_steps": STEPS}
    losses = training.train(name, run, out)
    first, last = sum(losses[:10]) / 10, sum(losses[-10:]) / 10
    if not last < first:
        raise SystemExit(f"{name}: the loss goes from {first:.3f} to {last:.3f}")
    lines = map(json.loads, training.read(os.path.join(out, "metrics.jsonl")).splitlines())
    accuracy = [line["eval_accuracy"] for line in lines if "eval_accuracy" in line][-1]
    print(f"{name}: {STEPS} steps, loss {first:.3f} (mean of the first 10) to {last:.3f} (of the last 10), "
          f"accuracy {accuracy:.4f} on the validation images", flush=True)


def train_beside_peft(name, body, data, work, rate):
    classes = sorted(os.listdir(data["train"]))
    fresh = fresh_adapter(body, classes, os.path.join(work, name + "-fresh"), modules_to_save=["classifier"])
    out = os.path.join(work, name)
    train(name, {"model": body, "task_type": "IMAGE_CLS", "labels": classes, "data": data,
                 "lora": {**LORA, "modules_to_save": ["classifier"], "init_adapter": fresh}}, out, rate)
    training.compare(name, out)


def main():
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    images, source, work = (os.path.abspath(a) for a in sys.argv[1:])
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    os.makedirs(work, exist_ok=True)
    cifar = unpack(images, work)
    whole, test = os.path.join(cifar, "train"), os.path.join(cifar, "test")
    model, classes = os.path.join(work, "model"), sorted(os.listdir(test))
    real_folders.from_torch_vit(source, model, classes)
    fresh = fresh_adapter(model, classes, os.path.join(work, "fresh"))
    check_base(model, test, fresh)

    body = without_head(model, os.path.join(work, "body"))
    few = {"train": some_of(whole, os.path.join(work, "train"), 200), "validation": some_of(test, os.path.join(work, "dev"), 50)}
    train_beside_peft("cifar10", body, few, work, 0.003)
    bees = {key: os.path.join(images, "hymenoptera", name) for key, name in (("train", "train"), ("validation", "val"))}
    train_beside_peft("hymenoptera", body, bees, work, 0.003)
    augmented = {"train": whole, "validation": few["validation"], "random_crop": True, "random_flip": True}
    train("cifar10-augmented", {"model": model, "task_type": "IMAGE_CLS", "labels": classes, "data": augmented,
                                "lora": {**LORA, "init_adapter": fresh}}, os.path.join(work, "augmented"), 0.01)


main()
