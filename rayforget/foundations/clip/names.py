"""Canonical names of a CLIP model -> the part of the model."""

HEAD = "head.weight"
"""A trained classifier, shape (num_classes, embed_dim); open_clip has no such tensor."""
VISUAL = "visual."
"""Prefix of the image tower's names."""
CAPTIONS = "text_decoder."
"""Prefix of the names of CoCa's captioning decoder, which nothing here uses."""
_NOT_TEXT = (VISUAL, "logit_scale", "logit_bias", CAPTIONS, HEAD)


def is_text_name(name: str) -> bool:
    """Whether a name belongs to the text tower; CoCa's captioning decoder does not."""
    return not name.startswith(_NOT_TEXT)
