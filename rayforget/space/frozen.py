"""The base of everything that comes from outside: frozen, strict about unknown keys, documented by its fields."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Immutable values read from a file or a command line; an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
    )
