"""Finds the trade-off between speciality and generality in fine-tuning foundation models."""
