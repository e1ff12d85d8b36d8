"""Items of several splits -> those that two splits share, in words."""

from collections.abc import Iterable


def shared_items(items: Iterable[tuple[str, str, bytes]]) -> list[str]:
    """Pairs like "a.png (train) and b.png (test)", one for each item whose content another split had before.

    Args:
        items: Split, name and content (or its hash) of each item; within one split, equal contents are no matter.
    """
    first_with: dict[bytes, tuple[str, str]] = {}
    pairs: list[str] = []
    for split, name, content in items:
        other_split, other = first_with.setdefault(content, (split, name))
        if other_split != split:
            pairs.append(f"{other} ({other_split}) and {name} ({split})")
    return pairs


def refusal(task: str, pairs: list[str], kind: str, way_out: str) -> str:
    """The message that refuses `pairs` of a `kind` of item ("image"), with the first of them and their number."""
    such = f"1 such {kind}" if len(pairs) == 1 else f"{len(pairs)} such {kind}s"
    return f"tasks.{task}: the same {kind} in two splits: {pairs[0]}; {such}; splits must not overlap: {way_out}"
