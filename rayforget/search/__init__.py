"""Optuna, told whole curves."""
