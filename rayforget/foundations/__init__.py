"""The pretrained models: loading them, and what training and scoring need from them."""
