"""The names of variables and the text of an address -> which of them may hold a secret.

Secrets belong into the environment: a space is recorded, and what is sent with a job of Ray's stays in its logs.
"""

import re
from collections.abc import Iterator

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^${}]*))?\}")
"""`${NAME}` or `${NAME:-default}`."""

WRITTEN_OUT = (
    "found a password that is written out, and the space is recorded; set a variable of the environment to it and "
    "write that: http://USER:${MLFLOW_PASSWORD}@HOST"
)
"""What to say of one in `tracking.uri`; without the address, which people copy with the message."""


def no_place_for(variable: str) -> str:
    """What to say of a variable of the environment that may hold a secret, in a key that takes none."""
    return (
        f"found ${{{variable}}}, which is named as a secret or holds a password, and the space is recorded; take it "
        "out: HF_TOKEN is read without being named, and only tracking.uri and storage.path may hold a password (a "
        "variable that holds none needs another name)"
    )


_SECRET_NAME = re.compile(
    r"passw|pass(?:phrase|code|key)|secret|credential|bearer|cookie"
    r"|(?:api|access|account|private|shared)_?key|tokens?(?![a-z])"
    r"|(?<![a-z])(?:pass|pw|pwd|keys?|auth|sas|sig|signature)(?![a-z])",
    re.IGNORECASE,
)
_PORT = re.compile("[0-9\ue000-\uf8ff]*")
_WITHOUT_DEFAULT, _WITH_DEFAULT = "\ue000", "\ue001"
"""Stand for variables while an address is taken apart: the values may hold any of its punctuation."""


def sounds_secret(name: str) -> bool:
    """Whether a variable, or a key of an address's query, is named as one that holds a secret: `MLFLOW_PW`."""
    return _SECRET_NAME.search(name) is not None


def has_written_secret(address: str) -> bool:
    """Whether an address holds a password, or a secret in its query, that is written out, if only as a default."""
    found = VARIABLE.sub(lambda match: _WITH_DEFAULT if match.group(2) else _WITHOUT_DEFAULT, address)
    return any(_WITHOUT_DEFAULT not in secret or _WITH_DEFAULT in secret for secret in _secrets(found))


def may_hold_secret(value: str) -> bool:
    """Whether a variable's value is an address with a user, or a password, in it."""
    return any(_secrets(value)) or bool(_user(value))


def secret_variables(address: str) -> set[str]:
    """Names of the variables that an address reads where it holds its user, its password or its query's secrets."""
    names: list[str] = []

    def numbered(match: re.Match[str]) -> str:
        names.append(match.group(1))
        return chr(ord(_WITHOUT_DEFAULT) + len(names) - 1)

    taken_apart = VARIABLE.sub(numbered, address)
    secret = "".join([*_secrets(taken_apart), _user(taken_apart)])
    return {name for place, name in enumerate(names) if chr(ord(_WITHOUT_DEFAULT) + place) in secret}


def without_password(address: str) -> str:
    """An address without its user if a password is with it, for what is shown or handed on; the query stays."""
    user = _user(address)
    return address.replace(f"{user}@", "", 1) if ":" in user else address


def shown(address: str) -> str:
    """An address for messages: without its password and user, and without its query where that is named as a secret."""
    public = without_password(address)
    return re.split("[?;#]", public, maxsplit=1)[0] if any(_secrets(public)) else public


def _user(address: str) -> str:
    """The user of an address, with the password; `` if there is none."""
    _, of, rest = address.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        return authority.rpartition("@")[0]
    port = authority.rpartition("]")[2].partition(":")[2]
    # A password that ought to be escaped: what looks like a port is its beginning.
    return rest.rpartition("@")[0] if of and "@" in rest and not _PORT.fullmatch(port) else ""


def _secrets(address: str) -> Iterator[str]:
    """The address's password, and the values of its query that are named as secrets."""
    if password := _user(address).partition(":")[2]:
        yield password
    for part in re.split("[?&;#]", address.partition("://")[2])[1:]:
        name, _, value = part.partition("=")
        if value and sounds_secret(name):
            yield value
