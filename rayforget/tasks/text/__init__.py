"""Texts as data: rows, prompts, training sequences, and what a language model is asked."""
