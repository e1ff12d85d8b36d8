"""Which part of a CLIP model a canonical name belongs to."""

HEAD = "head.weight"
"""A trained classifier, shape (num_classes, embed_dim); open_clip has no such tensor."""
VISUAL = "visual."
"""What the image tower's names begin with."""
_NOT_TEXT = (VISUAL, "logit_scale", "logit_bias", "text_decoder.", HEAD)


def is_text_name(name: str) -> bool:
    """Whether a name belongs to the text tower; CoCa's decoder, which captions, does not."""
    return not name.startswith(_NOT_TEXT)
