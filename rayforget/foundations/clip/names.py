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


IMAGE_TOWER, TEXT_TOWER = "image tower", "text tower"
TOWERS = (IMAGE_TOWER, TEXT_TOWER)


def part_of(name: str) -> str:
    """The tower that a name belongs to, in words; of a name beside both towers its first word."""
    if name.startswith(VISUAL):
        return IMAGE_TOWER
    return TEXT_TOWER if is_text_name(name) else name.partition(".")[0]
