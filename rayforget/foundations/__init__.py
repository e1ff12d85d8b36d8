"""The pretrained models: loading, and what training and scoring need of them."""
