"""A point -> a model of the library that the foundation comes from, in memory."""

from rayforget.export.opened import open_sweep
from rayforget.export.point import point_weights, recorded_point, refuse_lost
from rayforget.foundations.exporter import LibraryModel
from rayforget.frontier.points import PointKey
from rayforget.record.sweep import Sweep
from rayforget.space.models import Space


def load_point(sweep: Sweep, space: Space, key: PointKey) -> LibraryModel:
    """The point's own weights as open_clip's or transformers' model, with tokenizer and preprocessing.

    Args:
        sweep: the recorded sweep.
        space: its space (`record.space_of.space_here`).
        key: a point of it; theta_0's is `PointKey("theta_0", 0, 0.0)`.

    Raises:
        RecordError: there is no such point, or its weights were not kept.
        FoundationError: the library cannot hold the model.
        TaskError: the space's data is missing.
    """
    point = recorded_point(sweep, key)
    refuse_lost(sweep, point, space.storage.path)
    opened = open_sweep(sweep, space)
    return opened.exporter.model(point_weights(sweep, point, opened.foundation, space.storage.path).theta)
