"""A sweep from Python: run one from a space, open a recorded one, and look at it in tables, a figure and a pick."""

import json
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rayforget.errors import RayforgetError, RecordError
from rayforget.frontier.limits import limits_in_points
from rayforget.frontier.points import FrontierPoint, PointKey, parse_key
from rayforget.frontier.recovered import Pair
from rayforget.quiet import be_quiet
from rayforget.record.command import DEFAULT_STORAGE
from rayforget.record.space_of import space_here
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.picking import Picking, pick_from
from rayforget.report.present import Report, read_report
from rayforget.space.file.secrets import without_password

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from rayforget.foundations.exporter import LibraryModel
    from rayforget.space.file.load import LoadedSpace


class Results:
    """What a sweep has found: its record as it was when first looked at; open the sweep again for what came since."""

    def __init__(self, sweep: Sweep, storage: str) -> None:
        self._sweep, self._storage = sweep, storage

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self._sweep.info.name

    def __repr__(self) -> str:
        return f"<sweep {self.name} in {without_password(self._storage)}>"

    @cached_property
    def _report(self) -> Report:
        return read_report(self._sweep, space_here(self._sweep, self._storage))

    def points(self) -> "DataFrame":
        """Every point in a pandas table, indexed by its name TRIAL/STEP/PATH/ALPHA; scores are between 0 and 1.

        Columns: what the point is (`trial`, `step`, `fraction` of the training, `path`, `alpha`, `method`), whether it
        is on the frontier, whether its weights are kept; `val/speciality`, `val/generality` and each task as
        `val/TASK`; `test/...` of the points that a report scores there, with standard errors as `..._error`; and the
        recipe, nested names joined by dots.

        Raises:
            RecordError: nothing is scored yet, or a file of the record is damaged.
        """
        from rayforget.report.points_table import points_table

        return points_table(self._report, self._sweep.kept_weights().keys())

    def frontier(self) -> "DataFrame":
        """The rows of `points` that no other point beats on `val` in both scores, ascending in speciality."""
        points, summary = self.points(), self._report.summary
        return points.loc[[summary.points[i].key.text for i in summary.frontier]]

    def figure(self) -> "Figure":
        """The picture of the frontier, as a matplotlib figure that notebooks show by themselves."""
        from rayforget.report.png.picture import frontier_figure

        return frontier_figure(self._report.summary)

    def pick(
        self,
        *,
        max_forgetting: float | None = None,
        min_speciality: float | None = None,
        knee: bool = False,
        weights: Pair | None = None,
        keep: Mapping[str, float] | None = None,
        sure: bool = False,
    ) -> Picking:
        """Chooses a point on `val`, as `rayforget pick` does; printing the result tells why, and what limits cost.

        Args:
            max_forgetting: most points of generality that may be lost; 1 unless another argument sets another rule.
            min_speciality: least speciality in percent; without `max_forgetting` the most general such point is taken.
            knee: take the frontier's knee.
            weights: take the largest sum of the two scores with these weights, of speciality and of generality.
            keep: task or group -> most points that it may lose.
            sure: whether the lower end of the paired 95 % interval must keep each limit.

        Raises:
            SpaceError: two rules are asked for, or a limit names no task and no group.
            RecordError: nothing is scored yet, or a file of the record is damaged.
        """
        limits = limits_in_points(
            max_forgetting=max_forgetting,
            min_speciality=min_speciality,
            knee=knee,
            weights=weights,
            keep=keep,
            sure=sure,
        )
        return pick_from(self._report, self._sweep, limits)

    def load(self, point: Picking | FrontierPoint | PointKey | str) -> "LibraryModel":
        """A point as a model of open_clip or transformers, in fp32 on the CPU: the weights that were scored, verified.

        The result has the library's `model`, its `tokenizer` and, of a model that sees images, `preprocess`.

        Args:
            point: a pick, or a point by its name TRIAL/STEP/PATH/ALPHA.

        Raises:
            SpaceError: the text names no point.
            RecordError: the pick is empty, there is no such point, or its weights were not kept.
            FoundationError: the pretrained model is missing or another one, or the library cannot hold the model.
            TaskError: the space's data is missing.
        """
        from rayforget.export.in_memory import load_point

        return load_point(self._sweep, space_here(self._sweep, self._storage), _key_of(point))

    def export(
        self,
        point: Picking | FrontierPoint | PointKey | str,
        folder: str | Path,
        *,
        dtype: Literal["fp32", "bf16", "fp16"] = "fp32",
        adapter: bool = False,
    ) -> Path:
        """Writes a point as a model folder with its card, as `rayforget export` does, and returns the folder.

        Args:
            point: as of `load`.
            folder: a new one.
            dtype: of the files' tensors; fp32 is what was scored, to the bit.
            adapter: whether to write a language model's LoRA point as a peft adapter too.

        Raises:
            SpaceError, RecordError, FoundationError, TaskError: as `load`.
            StorageError: the folder holds something, or cannot be written.
        """
        from rayforget.export.point_folder import export_point

        space, key = space_here(self._sweep, self._storage), _key_of(point)
        summary = self._report.summary
        return export_point(self._sweep, space, summary, key, Path(folder), dtype=dtype, adapter=adapter).folder


def _key_of(point: Picking | FrontierPoint | PointKey | str) -> PointKey:
    if isinstance(point, str):
        return parse_key(point)
    if isinstance(point, Picking):
        if point.point is None:
            raise RecordError(f"nothing was picked, so there is nothing to load. {point}")
        return point.point.key
    return point.key if isinstance(point, FrontierPoint) else point


def open_sweep(name: str, storage: str | Path = DEFAULT_STORAGE) -> Results:
    """Opens a recorded sweep, finished or not.

    Args:
        name: as `rayforget list` shows it.
        storage: the folder or URI that holds it.

    Raises:
        RecordError: there is no such sweep, or it is damaged.
    """
    be_quiet()
    return Results(Sweep.open(Store.open(str(storage)), name), str(storage))


def run_sweep(
    space: str | Path | Mapping[str, Any] | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    trials: int | None = None,
    name: str | None = None,
    storage: str | Path | None = None,
    address: str | None = None,
    verbose: bool = False,
) -> Results:
    """Runs a sweep to its end, as `rayforget sweep` does, and shows it while it runs.

    Args:
        space: a space file, its content as nested mappings, or None for the built-in quickstart.
        overrides: key of the space -> value: `{"recipe.epochs": 2}`.
        trials: number of trainings (`search.trainings`).
        name: the sweep's name; the space's and the time if None.
        storage: the folder or URI to hold it (`storage.path`).
        address: a running Ray cluster, `auto` or HOST:PORT; None runs on this machine alone.
        verbose: whether Ray's own messages are shown.

    Raises:
        SpaceError: the space, its model or its data cannot be used.
        RecordError: the name is taken.
        RayforgetError: the sweep did not come to a good end; what it has found is recorded all the same.
        KeyboardInterrupt: it was interrupted; `rayforget sweep --resume NAME` goes on with it.
    """
    be_quiet()
    from rayforget.commands.sweep import INTERRUPTED, start_sweep
    from rayforget.extensions.use import naming_the_blamed
    from rayforget.record.names import unused_name

    with naming_the_blamed():
        loaded = _loaded(space, _as_options(overrides, trials, storage))
        place = loaded.space.storage.path
        named = unused_name(Store.open(place), loaded.space.name, time.time()) if name is None else name
        code = start_sweep(loaded, name=named, address=address, verbose=verbose)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise RayforgetError(
            f"sweep {named} did not come to a good end; what it printed says why, and "
            f"rayforget.open_sweep({named!r}, {without_password(place)!r}) opens what it has found"
        )
    return open_sweep(named, place)


def _loaded(space: str | Path | Mapping[str, Any] | None, options: tuple[str, ...]) -> "LoadedSpace":
    from rayforget.space.file.load import load_space, load_text
    from rayforget.space.shipped import quickstart

    if isinstance(space, Mapping):
        import yaml

        return load_text(yaml.safe_dump(dict(space), sort_keys=False), Path("space"), options)
    return load_space(quickstart() if space is None else Path(space), options)


def _as_options(overrides: Mapping[str, Any] | None, trials: int | None, storage: str | Path | None) -> tuple[str, ...]:
    """`KEY=VALUE` as the command line has it; values are JSON, which is YAML."""
    found = {**(overrides or {})}
    if trials is not None:
        found["search.trainings"] = trials
    if storage is not None:
        found["storage.path"] = str(storage)
    return tuple(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in found.items())
