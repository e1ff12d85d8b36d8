"""Texts as data: rows, prompts, training sequences, and requests to a language model."""
