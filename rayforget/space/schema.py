"""The JSON Schema of space files, with which editors complete and check them."""

from typing import Any

from rayforget.space.models import Space


def json_schema() -> dict[str, Any]:
    """Draft 2020-12; every field has its description, and a recipe's fields may be domains."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Space.model_json_schema()}
