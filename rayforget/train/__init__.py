"""A recipe and a learner -> fine-tuned weights."""
