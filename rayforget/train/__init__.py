"""Recipe and learner to fine-tuned weights."""
