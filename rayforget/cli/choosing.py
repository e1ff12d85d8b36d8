"""The commands on a sweep's points: pick, gate."""

from typing import Annotated

import typer

from rayforget.cli.options import Storage, SweepName, refuse

Forgetting = Annotated[
    float | None,
    typer.Option(
        "--max-forgetting",
        metavar="POINTS",
        help="Most generality that may be lost, in points; 1.0 unless another option asks for another best point.",
    ),
]
LeastSpeciality = Annotated[
    float | None,
    typer.Option(
        "--min-speciality",
        metavar="PERCENT",
        help="Least speciality; without --max-forgetting, the best point is then that with the most generality.",
    ),
]
Keep = Annotated[
    list[str] | None,
    typer.Option(
        "--keep", metavar="NAME:POINTS", help="Most points that a task or group may lose against θ0; repeatable."
    ),
]
Sure = Annotated[
    bool, typer.Option("--sure", help="The lower end of the paired 95 % interval must keep each limit on val.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def pick(
    name: SweepName,
    storage: Storage = "runs",
    max_forgetting: Forgetting = None,
    min_speciality: LeastSpeciality = None,
    knee: Annotated[bool, typer.Option("--knee", help="The best point is the frontier's knee.")] = False,
    weights: Annotated[
        str | None, typer.Option(metavar="A:B", help="The best point has the most A × speciality + B × generality.")
    ] = None,
    keep: Keep = None,
    sure: Sure = False,
    as_json: Json = False,
) -> None:
    """Choose a point on val, and say why. Also says what each limit costs; exit code 3 if no point keeps them."""
    from rayforget.commands.pick import print_pick
    from rayforget.frontier.limits import limits_in_points

    limits = limits_in_points(
        max_forgetting=max_forgetting,
        min_speciality=min_speciality,
        knee=knee,
        weights=None if weights is None else _two_numbers(weights),
        keep=_losses(keep or []),
        sure=sure,
    )
    raise typer.Exit(print_pick(storage, name, limits, as_json=as_json))


def gate(
    name: SweepName,
    storage: Storage = "runs",
    max_forgetting: Forgetting = None,
    min_speciality: LeastSpeciality = None,
    keep: Keep = None,
    sure: Sure = False,
    as_json: Json = False,
) -> None:
    """Judge the picked point on test, for CI. Exit code 0: it keeps the limits; 3: it does not; 4: undecided."""
    from rayforget.commands.gate import print_gate
    from rayforget.frontier.limits import limits_in_points

    limits = limits_in_points(
        max_forgetting=max_forgetting, min_speciality=min_speciality, keep=_losses(keep or []), sure=sure
    )
    raise typer.Exit(print_gate(storage, name, limits, as_json=as_json))


def _two_numbers(text: str) -> tuple[float, float]:
    """`2:1`."""
    try:
        special, general = map(float, text.split(":"))
    except ValueError:
        refuse(f"--weights takes two numbers, of speciality and of generality, as 2:1; found {text!r}")
    return special, general


def _losses(texts: list[str]) -> dict[str, float]:
    """`["photo:0.5"]` -> `{"photo": 0.5}`."""
    found: dict[str, float] = {}
    for text in texts:
        name, _, points = text.rpartition(":")
        try:
            loss = float(points)
        except ValueError:
            name = ""
        if not name:
            refuse(f"--keep takes a task or group and the points that it may lose, as photo:0.5; found {text!r}")
        if name in found:
            refuse(f"--keep names {name} twice; give it one limit")
        found[name] = loss
    return found
