"""Models -> scores, with one pass over the data for many models."""
