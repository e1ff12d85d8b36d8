"""What ships with rayforget so that it runs on nothing else: a drawn image world and a tiny CLIP that has seen it."""

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the tiny CLIP in open_clip's local-folder format (`local-dir:`)."""
