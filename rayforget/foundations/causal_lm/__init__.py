"""Causal language models of transformers: loading, training and scoring them."""
