"""Identities of a model, the items, the classifier and the code -> the scores computed for exactly these."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from rayforget.errors import RecordError, StorageError
from rayforget.record.envelope import canonical_json
from rayforget.record.objects import decode_scores, encode_scores
from rayforget.record.storage.store import Store
from rayforget.values.scores import Score

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoresKey:
    """Everything that scores depend on, by content: no name that could come to mean something else."""

    weights_hash: str
    """`state_hash` of the scored model."""
    items_hash: str
    """`Scorer.items_hash(split)`: all tasks' items of the split, with their labels."""
    classifier: str
    """Identity of what turns features into classes: class names and prompts, or the head's hash, and precision."""
    code_version: str
    """`provenance.code_version()`, with package, version and source of a foundation that another package brings."""

    @property
    def name(self) -> str:
        """The name of the entry's file."""
        return f"cache/scores/{hashlib.sha256(canonical_json(asdict(self))).hexdigest()}.json"


class ScoresCache:
    """Scores in the storage path, shared by its sweeps; deleting it only costs time."""

    def __init__(self, storage: Store) -> None:
        self._storage = storage

    def get(self, key: ScoresKey) -> dict[str, Score] | None:
        """The scores by task; None if unknown. A damaged entry is reported, deleted and unknown."""
        if not self._storage.exists(key.name):
            return None
        try:
            scores, stored_key = decode_scores(self._storage.read(key.name), f"{self._storage}/{key.name}")
        except StorageError:
            raise
        except RecordError as error:
            _log.warning("cached scores are not used and will be computed again: %s", error)
            self._storage.delete(key.name)
            return None
        return scores if stored_key == asdict(key) else None

    def put(self, key: ScoresKey, scores: Mapping[str, Score]) -> None:
        """Stores the scores, replacing an earlier writer's."""
        self._storage.write(key.name, encode_scores(scores, asdict(key)))
