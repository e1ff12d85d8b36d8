"""Optional packages -> one clear message if one is needed and missing."""

from importlib.util import find_spec

from rayforget.errors import RayforgetError

_EXTRAS = {"datasets": "datasets", "lm_eval": "language", "bitsandbytes": "qlora"}
"""Package -> the extra of pyproject.toml that installs it."""


class MissingExtraError(RayforgetError, ImportError):
    """A needed package is missing, which only an extra installs."""


def need(package: str, what: str) -> None:
    """Raises MissingExtraError if the package is not installed.

    Args:
        package: the package to import.
        what: the setting that needs it, e.g. `foundation.kind: causal_lm`.
    """
    if find_spec(package) is None:
        raise MissingExtraError(
            f"{what} needs the package {package}, which is not installed; "
            f"install it: pip install 'rayforget[{_EXTRAS[package]}]'"
        )
