"""A value on its way through Ray's processes, which none but the last of them unpacks."""

import pickle
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import ValidationError

from rayforget.errors import ExtensionError
from rayforget.record.space_of import lacking_on_this_node

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parcel(Generic[T]):
    """A pickled value that Ray carries as bytes.

    Ray would unpickle it at every stop (trainable, mailbox, controller, worker), before any of our code runs: where a
    package that brings a penalty or a foundation is missing, a user would get Ray's traceback. Here the worker's own
    code does it, and says what is missing.
    """

    content: bytes = field(repr=False)

    @classmethod
    def of(cls, value: T) -> "Parcel[T]":
        """Packs a value whose classes can be imported by name."""
        return cls(pickle.dumps(value))

    def unpacked(self) -> T:
        """The value.

        Raises:
            SpaceError: this node lacks a package that the value needs, or has another version of it.
        """
        try:
            value: T = pickle.loads(self.content)
        except (ExtensionError, ImportError, AttributeError, ValidationError) as error:
            kind = "" if isinstance(error, ExtensionError) else f"{type(error).__name__}: "
            raise lacking_on_this_node(f"{kind}{error}") from None
        return value
