"""A model's folder, or its name on the hub -> the licence that its own card names."""

from pathlib import Path
from typing import Any

import yaml


def license_of(folder: Path) -> str | None:
    """The `license` of a folder's README.md, in the hub's words; None if there is none, or it cannot be read."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    start, _, rest = text.partition("---\n")
    head, end, _ = rest.partition("\n---")
    if start.strip() or not end:
        return None
    try:
        found: Any = yaml.safe_load(head)
    except yaml.YAMLError:
        return None
    named = found.get("license") if isinstance(found, dict) else None
    return named if isinstance(named, str) else None


def license_on_hub(name: str, revision: str | None = None) -> str | None:
    """The licence that a hub model's card names; None if there is none, or the hub does not answer."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return license_of(Path(hf_hub_download(name, "README.md", revision=revision)).parent)
    except (HfHubHTTPError, OSError, ValueError):
        return None
