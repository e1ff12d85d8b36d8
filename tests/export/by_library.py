"""Scores exported folders by open_clip's and transformers' own forward passes alone: nothing of rayforget is imported.

The test starts it as a process of its own, with a file that lists the folders and their data as JSON, and reads every
item's result from its output.
"""

import json
import sys
from pathlib import Path
from typing import Any


def score_images(folder: str, tasks: list[dict[str, Any]]) -> dict[str, list[bool]]:
    """Whether each image's class is the one with the largest logit, as open_clip's documentation scores zero-shot."""
    import open_clip
    import torch
    from PIL import Image
    from safetensors import safe_open

    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    found = {}
    for task in tasks:
        names = task["classes"]
        templates = [lambda name, template=template: template.format(name) for template in task["templates"]]
        classes = open_clip.build_zero_shot_classifier(model, tokenizer, names, templates, device="cpu").T
        own = Path(folder) / "classifier.safetensors"
        if task["speciality"] and own.is_file():
            with safe_open(str(own), "pt") as file:
                assert json.loads(file.metadata()["class_names"]) == names
                classes = file.get_tensor("head.weight")
        right = []
        for path, label in task["items"]:
            with torch.no_grad(), Image.open(path) as image:
                features = model.encode_image(preprocess(image)[None], normalize=True)
                right.append(int((features @ classes.T).argmax()) == label)
        found[task["name"]] = right
    return found


def score_texts(folder: str, tasks: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Of each question: whether the right answer is the likeliest, or the right answer's bits per byte."""
    import math

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = {}
    for task in tasks:
        results = []
        for row in map(json.loads, Path(task["file"]).read_text().splitlines()):
            context = tokenizer.encode(f"Question: {row['question']}\nAnswer:", add_special_tokens=False)
            logs = []
            for choice in row["choices"]:
                answer = tokenizer.encode(f" {choice}", add_special_tokens=False)
                with torch.no_grad():
                    logits = model(torch.tensor([context + answer])).logits[0].log_softmax(-1)
                own = range(len(context) - 1, len(context) + len(answer) - 1)
                logs.append(sum(float(logits[at, token]) for at, token in zip(own, answer, strict=True)))
            right = row["answer"]
            if task["metric"] == "acc":
                results.append(float(max(range(len(logs)), key=logs.__getitem__) == right))
            else:
                results.append(-logs[right] / math.log(2) / len(row["choices"][right].encode()))
        found[task["name"]] = results
    return found


if __name__ == "__main__":
    jobs = json.loads(Path(sys.argv[1]).read_text())
    score = {"images": score_images, "texts": score_texts}
    print(json.dumps([score[job["kind"]](job["folder"], job["tasks"]) for job in jobs]))
    assert not any(name.partition(".")[0] == "rayforget" for name in sys.modules)
