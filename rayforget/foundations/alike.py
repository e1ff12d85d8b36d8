"""A tuned model's tensors and its base's -> an error that names whatever is not of one architecture."""

from collections.abc import Mapping

from torch import Tensor

from rayforget.errors import FoundationError

_NUM_NAMED = 5


def refuse_unlike(found: Mapping[str, Tensor], base: Mapping[str, Tensor], name: str) -> None:
    """Refuses tensors that are not, name by name and shape by shape, those of the base.

    Args:
        found: the tuned model's.
        base: the base's.
        name: the tuned model, for the message.

    Raises:
        FoundationError: one message for all differences; it lists a few of each kind.
    """
    shapes = [
        f"{key} has shape {tuple(found[key].shape)}, the base's {tuple(base[key].shape)}"
        for key in sorted(found.keys() & base.keys())
        if found[key].shape != base[key].shape
    ]
    parts = [
        _listed("of other shapes", shapes),
        _listed("missing", sorted(base.keys() - found.keys())),
        _listed("that the base does not have", sorted(found.keys() - base.keys())),
    ]
    if any(parts):
        raise FoundationError(
            f"{name} is not of the base's architecture, and only models of one architecture can be interpolated: "
            f"{'; '.join(part for part in parts if part)}; give the base that it was tuned from"
        )


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    tensors = "1 tensor" if len(names) == 1 else f"{len(names)} tensors"
    more = f", and {len(names) - _NUM_NAMED} more" if len(names) > _NUM_NAMED else ""
    return f"{tensors} {what}: {', '.join(names[:_NUM_NAMED])}{more}"
