"""open_clip models: loading, training and scoring them."""
