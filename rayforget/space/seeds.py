"""Seeds that depend on their purpose, never on the order of execution."""

import hashlib
import json


def derive_seed(study_seed: int, *parts: str) -> int:
    """A seed in [0, 2^63) for one purpose, e.g. `derive_seed(search.seed, recipe.key, "order")`.

    The first 63 bits of sha256 over the JSON list [study_seed, *parts]: equal arguments give equal seeds on every
    machine and in every version; ("ab", "c") and ("a", "bc") are different purposes.
    """
    text = json.dumps([study_seed, *parts])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
