"""Points with their per-item scores on `val` and `test` -> the summary that a report draws."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rayforget.errors import RecordError
from rayforget.frontier.choose import (
    MethodChoice,
    choose_by_method,
    choose_by_path,
    choose_frontier,
    is_plain_baseline,
    points_to_report,
)
from rayforget.frontier.each_training import EachTraining, choose_each, trainings_alone
from rayforget.frontier.measured import Measured, baseline, measure
from rayforget.frontier.points import PLAIN, THETA_0, FrontierPoint, PointKey, TaskRole
from rayforget.frontier.summary import Measure, MethodSummary, PathSummary, Recovery, Summary
from rayforget.frontier.trainings import KnownShares, Trainings
from rayforget.values.scores import Score

Scores = Mapping[PointKey, Mapping[str, Score]]
"""Point -> task -> score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """The common basis of all of a sweep's recovered values."""

    points: tuple[FrontierPoint, ...]
    plain: tuple[int, ...]
    on_val: Measured
    on_test: Measured


def summarise(
    points: Sequence[FrontierPoint],
    roles: Sequence[TaskRole],
    *,
    val: Scores,
    test: Scores,
    name: str,
    seed: int,
    num_resamples: int = 1000,
    failed: Mapping[str, int] | None = None,
    reasons: Mapping[str, str] | None = None,
    known_shares: KnownShares | None = None,
) -> Summary:
    """Chooses points on `val`, scores them on `test`, and computes what each method recovers.

    Args:
        points: theta_0's own and every trial's, in any order (`gather.gather` makes them from records).
        roles: each task's role.
        val: scores of at least the points of `each_training.points_to_compare`.
        test: scores of these points, or fewer, or none: what they do not cover stays None.
        name: the sweep's name.
        seed: seed of the paired bootstrap.
        num_resamples: 0 skips the bootstrap: no errors, no intervals, and recovered is undefined by sign alone.
        failed: method -> number of trainings without points.
        reasons: the same methods -> why the first of them failed.
        known_shares: what earlier summaries of these trainings computed.

    Raises:
        RecordError: theta_0 has no point, a point repeats, or scores are missing, of unknown points, or not paired.
    """
    ordered = tuple(sorted(points, key=lambda point: point.key.order))
    index = {point.key: i for i, point in enumerate(ordered)}
    if len(index) < len(ordered):
        raise RecordError(f"{len(ordered) - len(index)} of {len(ordered)} points repeat a (trial, step, alpha, path)")
    theta_0, plain = _baselines(ordered)
    each = choose_each(ordered)
    alone = trainings_alone(each)
    shown = points_to_report(ordered)
    needed = {ordered[i].key: i for i in {*shown, *(i for group in alone for i in group)}}
    for scores, known, what in ((needed, val, "have no val scores"), (test, index, "have test scores but no point")):
        strays = [key for key in scores if key not in known]
        if strays:
            raise RecordError(f"{len(strays)} points {what}, the first is {strays[0]}")
    drawn = _are_draws(ordered, plain)
    if num_resamples:
        on_val = measure(
            {i: ordered[i].key for i in shown},
            val,
            roles,
            theta_0=theta_0[0],
            split="val",
            num_resamples=num_resamples,
            seed=seed,
            trainings=Trainings(
                points={i: ordered[i] for i in needed.values()}, alone=alone, plain=plain, known=known_shares
            ),
            plain_is_drawn=drawn,
        )
    else:  # the points' own values suffice, and their items might have to be read
        pairs = {i: (ordered[i].speciality, ordered[i].generality) for i in needed.values()}
        on_val = Measured(pairs=pairs, resampled=None, theta_0=theta_0[0])
    on_test = measure(
        {index[key]: key for key in test},
        test,
        roles,
        theta_0=theta_0[0],
        split="test",
        num_resamples=num_resamples,
        seed=seed,
        plain_is_drawn=drawn,
    )
    ground = _Ground(points=ordered, plain=plain, on_val=on_val, on_test=on_test)
    *methods, together = _describe_methods(ground, each, failed or {})
    frontier = choose_frontier(ordered)
    base = baseline(theta_0, on_val, on_test)
    assert base is not None  # its val scores were requested above
    return Summary(
        name=name,
        roles=tuple(roles),
        points=ordered,
        frontier=frontier,
        val=_measures(on_val, shown),
        test=_measures(on_test, on_test.pairs),
        band=on_val.band(frontier),
        test_band=on_test.band(frontier),
        theta_0=base,
        plain=baseline(plain, on_val, on_test),
        plain_failed=None if plain else (reasons or {}).get(PLAIN),
        recovery=_recover(frontier, ground),
        methods=tuple(methods),
        together=together,
        paths=_describe_paths(ground),
    )


def recover(
    points: Sequence[FrontierPoint],
    roles: Sequence[TaskRole],
    *,
    val: Scores,
    test: Scores,
    seed: int,
    num_resamples: int = 1000,
) -> Recovery:
    """The `recovery` of `summarise` alone, from the frontier's and the baselines' items: arguments as there.

    Raises:
        RecordError: theta_0 has no point, or scores are missing for a task, or are not paired.
    """
    some = tuple(points[i] for i in points_to_report(points))
    theta_0, plain = _baselines(some)
    frontier = choose_frontier(some)
    keys = {i: some[i].key for i in {*theta_0, *plain, *frontier}}
    drawn = _are_draws(some, plain)
    if num_resamples:
        on_val = measure(
            keys,
            val,
            roles,
            theta_0=theta_0[0],
            split="val",
            num_resamples=num_resamples,
            seed=seed,
            plain_is_drawn=drawn,
        )
    else:
        pairs = {i: (some[i].speciality, some[i].generality) for i in keys}
        on_val = Measured(pairs=pairs, resampled=None, theta_0=theta_0[0])
    on_test = measure(
        {i: key for i, key in keys.items() if key in test},
        test,
        roles,
        theta_0=theta_0[0],
        split="test",
        num_resamples=num_resamples,
        seed=seed,
        plain_is_drawn=drawn,
    )
    return _recover(frontier, _Ground(points=some, plain=plain, on_val=on_val, on_test=on_test))


def _baselines(points: Sequence[FrontierPoint]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Indices of theta_0's one point, and of plain fine-tuning's results."""
    theta_0 = tuple(i for i, point in enumerate(points) if point.method == THETA_0)
    if len(theta_0) != 1:
        raise RecordError(
            f"expected one point of theta_0, found {len(theta_0)}; theta_0 is recorded with the first training at "
            "the latest: let it go on, then ask again"
        )
    return theta_0, tuple(i for i, point in enumerate(points) if is_plain_baseline(point))


def _are_draws(points: Sequence[FrontierPoint], plain: Sequence[int]) -> bool:
    """Whether plain fine-tuning's models are seeds of one training; given models are not."""
    return not any("models" in points[i].recipe for i in plain)


_NO_TRAININGS = EachTraining(alone=(), curve=())


def _describe_methods(
    ground: _Ground, each: Mapping[str, EachTraining], failed: Mapping[str, int]
) -> list[MethodSummary]:
    """Methods by name, including those whose trainings all failed, then `plain`, then all together."""
    *choices, together = choose_by_method(ground.points)
    known = {choice.method for choice in choices}
    choices += [
        MethodChoice(method=name, trainings=0, alpha_1=(), curve=()) for name in sorted(failed) if name not in known
    ]
    choices.sort(key=lambda choice: (choice.method == PLAIN, choice.method))
    return [
        MethodSummary(
            method=choice.method,
            trainings=choice.trainings,
            failed=sum(failed.values()) if choice is together else failed.get(choice.method, 0),
            alpha_1=_recover(choice.alpha_1, ground, with_interval=choice is together),
            curve=_recover(choice.curve, ground, with_interval=choice is together),
            one_alone=ground.on_val.one_training(own.alone, plain=ground.plain),
            one_curve=ground.on_val.one_training(own.curve, plain=ground.plain),
        )
        for choice in (*choices, together)
        for own in [each.get(choice.method, _NO_TRAININGS)]
    ]


def _describe_paths(ground: _Ground) -> tuple[PathSummary, ...]:
    return tuple(
        PathSummary(
            path=choice.path,
            searched=choice.searched,
            models=choice.models,
            alone=_recover(choice.alone, ground),
            with_lerp=_recover(choice.with_lerp, ground),
        )
        for choice in choose_by_path(ground.points)
    )


def _recover(chosen: tuple[int, ...], ground: _Ground, *, with_interval: bool = True) -> Recovery:
    honest, interval = ground.on_test.recovered(chosen, plain=ground.plain), None
    if with_interval and honest is not None and honest.value is not None:
        interval = ground.on_test.interval(chosen, plain=ground.plain)
    return Recovery(
        chosen=chosen,
        val=ground.on_val.recovered(chosen, plain=ground.plain),
        test=honest,
        interval=interval,
        untested=sum(i not in ground.on_test.pairs for i in chosen),
    )


def _measures(split: Measured, points: Iterable[int]) -> dict[int, Measure]:
    return {i: found for i in points if (found := split.mean([i])) is not None}
