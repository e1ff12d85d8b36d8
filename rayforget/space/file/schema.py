"""The JSON Schema of space files, with which editors complete and check them."""

import logging
from typing import Any

from rayforget.errors import ExtensionError
from rayforget.space.models import Space
from rayforget.space.registries import REGISTRIES

logger = logging.getLogger(__name__)


def json_schema() -> dict[str, Any]:
    """Draft 2020-12; every field has its description, and a recipe's fields may be domains.

    Installed packages' extensions are described as our own are. One that cannot be loaded is warned of, and then only
    its name is known.
    """
    for registry in REGISTRIES.values():
        for claim in registry.claims_on_ours():
            logger.warning("left out of the schema: %s", claim)
        for name in registry.foreign():
            try:
                registry.find(name)
            except ExtensionError as error:
                logger.warning("not described in the schema: %s", error)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Space.model_json_schema()}
