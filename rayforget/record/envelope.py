"""A JSON body <-> the bytes of a file of the record, with a format number, a kind and a checksum over the body."""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rayforget.errors import RecordError

FORMAT = 1
"""Number of the layout that this version writes; a reader refuses any other."""

_FILE = re.compile(
    rb'\{"format":(?P<format>\d+),"kind":"(?P<kind>[a-z_]+)","checksum":"(?P<checksum>[0-9a-f]{64})","body":(?P<body>.*)\}\n',
    re.DOTALL,
)
_REMEDY = "restore it from a copy"
_AGAIN = (
    ", or delete it: a sweep that is resumed makes a deleted checkpoint's record again, "
    "and `rayforget frontier` scores deleted test results again"
)
_MADE_AGAIN = frozenset({"checkpoint", "test"})


def seal(kind: str, body: Mapping[str, Any]) -> bytes:
    """The file's bytes: one line of canonical JSON (names sorted, floats by repr), the body under a SHA-256.

    Args:
        kind: the kind of body, `[a-z_]+`; `open_sealed` refuses a file of another kind.
        body: JSON values; NumPy scalars become numbers, tuples lists.

    Raises:
        RecordError: a value that JSON cannot hold, or a number that is not finite; the message says where it is.
    """
    text = canonical_json(body)
    checksum = hashlib.sha256(text).hexdigest()
    return b'{"format":%d,"kind":"%s","checksum":"%s","body":%s}\n' % (FORMAT, kind.encode(), checksum.encode(), text)


def open_sealed(kind: str, data: bytes, name: str) -> dict[str, Any]:
    """The body of a sealed file; checks kind, format and checksum.

    Raises:
        RecordError: truncated, edited, of another kind or of another format; the message names the file and what to do.
    """
    remedy = _REMEDY + (_AGAIN if kind in _MADE_AGAIN else "")
    match = _FILE.fullmatch(data)
    if match is None:
        raise RecordError(f"{name} is damaged: no complete file of the record ({len(data)} B); {remedy}")
    if (found := int(match["format"])) != FORMAT:
        raise RecordError(
            f"{name} has format {found}, this version reads format {FORMAT}; use the version of rayforget that wrote it"
        )
    if hashlib.sha256(match["body"]).hexdigest().encode() != match["checksum"]:
        raise RecordError(f"{name} is damaged or was edited: its checksum does not fit its content; {remedy}")
    if match["kind"] != kind.encode():
        raise RecordError(f"{name} holds a {match['kind'].decode()}, expected a {kind}; {remedy}")
    body: dict[str, Any] = json.loads(match["body"])
    return body


def canonical_json(value: Any) -> bytes:
    """The canonical JSON text of a value: names sorted, no spaces, floats by repr; equal values give equal bytes."""
    return json.dumps(_plain(value, ""), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _plain(value: Any, where: str) -> Any:
    """The value in JSON's own types."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RecordError(f"{where or 'the value'} is {value}, expected a finite number; record it as text")
        return value
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise RecordError(f"{where or 'the value'} has keys that are not text: {list(value)[:5]}")
        return {key: _plain(item, f"{where}.{key}" if where else key) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise RecordError(f"{where or 'the value'} is a {type(value).__name__}, expected what JSON can hold; convert it")
