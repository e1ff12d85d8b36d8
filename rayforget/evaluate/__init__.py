"""Models to scores, one pass over the data for many of them."""
