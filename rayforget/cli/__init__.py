"""The command line."""

from rayforget.cli.entry import app, main

__all__ = ["app", "main"]
