"""A row of OpenAI's `messages` or ShareGPT's `conversations` -> one document for each turn of the assistant."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rayforget.errors import TaskError
from rayforget.tasks.images.contents import content_hash
from rayforget.tasks.keys import at_key
from rayforget.tasks.text.documents import Document, canonical
from rayforget.tasks.text.prompts import is_missing, shortened, text_of, unpacked
from rayforget.tasks.text.rows import Row
from rayforget.tasks.text.unusable import UnusableRowError

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_SHARE_GPT: Mapping[str, str] = (
    {"human": "user", "observation": "tool", "function_response": "tool", "function_call": "assistant"}
    | dict.fromkeys(("gpt", "chatgpt", "bing", "bard", "model", "chatbot"), "assistant")
    | {role: role for role in _ROLES}
)
_LEARNT = ("train", "training")
"""Other names of a message's `weight`: false is 0, true is 1."""
_MOST_OF_A_ROW = 100_000_000
"""Characters of all of a row's documents together."""
Message = dict[str, Any]
"""`role`, `content` (a text), and whatever else the template may read, e.g. `tool_calls`."""


def conversation_documents(row: Row) -> list[Document]:
    """A document for each turn of the assistant: all that was said before it, and the turn.

    All documents of a row have the same content hash, that of the whole conversation, so that no cut parts them. Turns
    with OpenAI's `weight: 0` are read and not learnt.

    Raises:
        TaskError: the message starts with the row's name and says what was expected and what was found.
    """
    if row.fault is not None:
        raise UnusableRowError(row.fault, why=row.why)
    messages, tools = _messages(row), _tools(row)
    content = content_hash(canonical(["chat", messages, tools]))
    plain = [{key: value for key, value in message.items() if key != "weight"} for message in messages]
    found, size = [], 0
    for index, message in enumerate(messages):
        if message["role"] != "assistant" or message.get("weight") == 0:
            continue
        if index == 0:
            text = f"{row.name}: begins with the assistant; expected a message of the user before it"
            raise UnusableRowError(text, why="with the assistant's turn first")
        said = str(message.get("content", ""))
        if not said.strip() and not message.get("tool_calls"):
            text = f"{row.name}: message {index}, the assistant's, has no text; expected one"
            raise UnusableRowError(text, why="with a turn of the assistant that has no text")
        asked = {"messages": plain[: index + 1], "tools": tools}
        text = json.dumps(asked, ensure_ascii=False)
        size += len(text)
        if size > _MOST_OF_A_ROW:
            raise TaskError(
                f"{row.name}: its {len(messages)} messages make more than {_MOST_OF_A_ROW:,} characters, since each "
                "turn of the assistant is learnt with all before it; cut the conversation into several"
            )
        values = {"conversation": text, "choices": [said], "answer": 0}
        found.append(Document(values=values, content=content, name=f"{row.name}, message {index}", row=row.name))
    if not found:
        text = f"{row.name}: no message of the assistant that could be learnt; expected at least one"
        raise UnusableRowError(text, why="without a turn of the assistant that could be learnt")
    return found


def _messages(row: Row) -> list[Message]:
    key = next((key for key in ("messages", "conversations") if key in row.values), None)
    if key is None:
        columns = ", ".join(sorted(row.values)) or "none"
        raise TaskError(
            f"{row.name}: expected `messages` (OpenAI's) or `conversations` (ShareGPT's), found {columns}; name the "
            "column under `fields: {messages: COLUMN}`"
        )
    value = unpacked(row.values[key])
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise TaskError(f"{row.name}: expected `{key}`, a list of messages, found {shortened(value)}")
    found = [_message(message, f"{row.name}: message {index}") for index, message in enumerate(value)]
    system = row.values.get("system")
    if isinstance(system, str) and system.strip() and found[0]["role"] != "system":
        found.insert(0, {"role": "system", "content": _text(system, f"{row.name}: `system`")})
    return found


def _message(value: Any, where: str) -> Message:
    if not isinstance(value, Mapping):
        raise TaskError(f"{where}: expected an object with role and content, found {shortened(value)}")
    shared = "from" in value and "role" not in value
    role_key = "from" if shared else "role"
    text_key = "value" if "value" in value and "content" not in value else "content"
    known = _SHARE_GPT if shared else {role: role for role in _ROLES}
    role = value.get(role_key)
    role = role.lower() if isinstance(role, str) else role
    if not isinstance(role, str) or role not in known:
        raise TaskError(f"{where}: expected `{role_key}`, one of {', '.join(known)}, found {shortened(role)}")
    others = {
        key: each for key, each in value.items() if key not in (role_key, text_key) and each is not None and each != []
    }
    for key in _LEARNT:
        if isinstance(others.get(key), bool):
            others = {"weight": int(others[key])} | {name: each for name, each in others.items() if name != key}
    weight = others.get("weight", 1)
    if weight not in (0, 1):
        raise TaskError(f"{where}: expected `weight`, 0 or 1, found {shortened(weight)}")
    text = value.get(text_key)
    if is_missing(text) and role == "assistant":
        return {"role": known[role], **others}
    return {"role": known[role], "content": _text(text, f"{where}: `{text_key}`"), **others}


def _text(value: Any, where: str) -> str:
    """The text, or OpenAI's list of parts that are all texts, one after another."""
    parts = [value] if isinstance(value, str) else value
    if isinstance(value, Sequence) and not isinstance(value, str):
        parts = [
            part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None for part in value
        ]
    if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
        with at_key(where):
            return "".join(map(text_of, parts))
    raise TaskError(f"{where}: expected a text, found {shortened(value)}")


def _tools(row: Row) -> list[Any] | None:
    """Descriptions of functions for the template, which writes them as text."""
    value = unpacked(row.values.get("tools"))
    if is_missing(value) or value in ("", []):
        return None
    if isinstance(value, list | tuple) and all(isinstance(tool, Mapping) for tool in value):
        return list(value)
    raise TaskError(f"{row.name}: expected `tools`, a list of objects, found {shortened(value)}")


def conversation_of(values: Mapping[str, Any]) -> tuple[list[Message], list[Any] | None]:
    """The messages up to a turn of the assistant, and the tools, of a document's values."""
    asked = json.loads(values["conversation"])
    return asked["messages"], asked["tools"]


def user_turn(prompt: str, answer: str) -> Iterator[Message]:
    """The conversation of a single question."""
    yield {"role": "user", "content": prompt}
    yield {"role": "assistant", "content": answer}
