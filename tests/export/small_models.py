"""Folders of language models with random weights, one of each layout that exports are tried with."""

from pathlib import Path

import torch
from tiny_architectures import tiny_model
from tiny_lm import save_lm, tokenizer

KINDS = ("llama", "qwen2", "galactica", "gpt2", "gemma2")


def folder_of(kind: str, folder: Path) -> Path:
    """A model with random weights, its tokenizer, and files that exports must not touch."""
    if kind in ("llama", "qwen2"):
        save_lm(folder, kind)
    elif kind == "galactica":
        save_lm(folder, "opt", galactica=True, dtype=torch.float16)
    else:
        tiny_model(kind).save_pretrained(folder)  # type: ignore[operator]
        tokenizer().save(str(folder / "tokenizer.json"))
        (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    (folder / "chat_template.jinja").write_text("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}")
    (folder / "generation_config.json").write_text('{\n  "top_p":0.7 , "do_sample": true\n}')
    return folder
