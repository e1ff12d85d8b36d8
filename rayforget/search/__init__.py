"""Optuna, fed with whole curves."""
