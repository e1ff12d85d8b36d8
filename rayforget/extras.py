"""Packages that a user may do without -> one clear message where they are needed and not there."""

from importlib.util import find_spec

from rayforget.errors import RayforgetError

_EXTRAS = {"datasets": "datasets", "lm_eval": "language"}
"""Package -> the extra of pyproject.toml that brings it."""


class MissingExtraError(RayforgetError, ImportError):
    """A package is needed that only an extra installs."""


def need(package: str, what: str) -> None:
    """Raises MissingExtraError where the package is not installed.

    Args:
        package: to be imported.
        what: the user's wish that needs it, e.g. `foundation.kind: causal_lm`.
    """
    if find_spec(package) is None:
        raise MissingExtraError(
            f"{what} needs the package {package}, which is not installed; "
            f"install it: pip install 'rayforget[{_EXTRAS[package]}]'"
        )
