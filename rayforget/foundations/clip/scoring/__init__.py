"""CLIP models -> accuracies."""
