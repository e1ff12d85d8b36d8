"""What the commands say of recorded sweeps whose extensions are missing, or break in a report."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from command_types import Run
from plugins.outsiders import write_package
from toy_agenda import toy_space

from rayforget.cli import main
from rayforget.record.failure import failed_record
from rayforget.record.jobs import TrialJob
from rayforget.record.provenance import extension_facts
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.space.methods import methods_of, plain_of
from rayforget.space.models import Space
from rayforget.values.points import Point
from rayforget.values.records import CheckpointRecord
from rayforget.values.scores import Score

METRIC = """
from rayforget.metrics.metric import Metric

class TheMetric(Metric):
    word = "share"

    def of_sums(self, own, common):
        raise ValueError("no\\nsums")
"""
PENALTY = """
from typing import Literal
from rayforget.train.penalties.hooks import Penalty

class ThePenalty(Penalty):
    kind: Literal["glue"]

    def prepare(self, training):
        return None
"""

TEXT = """\
methods:
  mine:
    penalties: [{kind: glue, strength: 1}]
"""


def _space(folder: Path) -> Space:
    tree = toy_space(
        folder / "runs",
        methods={"mine": {"penalties": [{"kind": "glue", "strength": 1.0}]}},
        search={"trainings": 1, "seed": 0},
        curve={"coarse": [0, 1]},
        resources={},
    ).model_dump(mode="json")
    tree["tasks"]["s"]["metric"] = "share"
    return Space.model_validate(tree)


def _point(alpha: float, share: float) -> Point[Score]:
    items = np.arange(100) < 100 * share
    scores = {
        "s": Score(rule="share", package="box_of_share", items=items, items_hash="h", recorded=share),
        "g": Score(rule="accuracy", items=~items, items_hash="h"),
    }
    return Point(alpha=alpha, coarse=True, scores=scores)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the packages of the sweep `one` are: a plain training, and one that failed."""
    site = tmp_path / "site"
    site.mkdir()
    write_package(site, "box_of_share", {"share": "TheMetric"}, METRIC, "rayforget.metrics", "0.3")
    write_package(site, "box_of_glue", {"glue": "ThePenalty"}, PENALTY, "rayforget.penalties", "1.2")
    for name in ("box_of_share", "box_of_glue"):
        sys.modules.pop(name, None)
    monkeypatch.syspath_prepend(site)
    space = _space(tmp_path)
    facts = {
        group: {name: each for name, each in names.items() if name in ("share", "glue")}
        for group, names in extension_facts()["extensions"].items()
    }
    provenance = {"extensions": facts, "extension_sources": extension_facts()["extension_sources"]}
    info = SweepInfo(name="one", space_name="toy", created=0.0, space_digest="", provenance=provenance)
    sweep = Sweep.create(
        Store.open(space.storage.path), info, space_text=TEXT, space=space.model_dump(mode="json", exclude_none=False)
    )
    plain = plain_of(space).recipe(seed=0).model_dump(mode="json")
    theta_0 = CheckpointRecord(
        trial="theta_0", step=0, fraction=0.0, status="ok", recipe={}, points=(_point(0.0, 0.4),), theta_0_hash="0"
    )
    sweep.add(theta_0)
    points = (_point(0.0, 0.4), _point(1.0, 0.9))
    sweep.add(dataclasses.replace(theta_0, trial="0000-plain", step=5, fraction=1.0, recipe=plain, points=points[1:]))
    (method,) = methods_of(space)
    recipe = method.recipe({"learning_rate": 1e-4}, seed=0)
    reason = "penalty 'glue' of package box_of_glue failed in prepare: KeyError: 'w' (box_of_glue.py:9)"
    sweep.add(failed_record(TrialJob(name="0001-mine", recipe=recipe), reason, "0"))
    return site


def test_where_packages_are_missing_what_to_install_is_said_by_name_and_version(
    site: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each != str(site)])
    install = "box_of_glue==1.2 (penalty 'glue') and box_of_share==0.3 (metric 'share')"
    for arguments in (["frontier", "one"], ["sweep", "--resume", "one"], ["mirror", "one"]):
        code, said = run(*arguments)
        assert (code, said.count("\n")) == (2, 0)
        assert said == (
            f"sweep one cannot be used here: it was made with what is not installed here: install {install}, on each "
            "node"
        )
    from rayforget.metrics.find import metric_of

    metric_of.cache_clear()
    code, said = run("status", "one")
    assert code == 0
    assert f"recovered has no interval: install {install}" in said
    assert run("list")[0] == 0


def test_where_a_metric_breaks_status_says_so_and_frontier_is_one_line(
    site: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rayforget.metrics.find import metric_of

    metric_of.cache_clear()
    broken = "metric 'share' of package box_of_share failed in of_sums: ValueError: no sums (box_of_share.py:8)"
    code, said = run("status", "one")
    assert code == 0
    assert f"recovered has no interval: {broken}" in said
    assert "this tries it again: " in said
    assert f"(named in {tmp_path}/runs/one/space.yaml:3: methods.mine.penalties.glue)" in said
    monkeypatch.setattr(sys, "argv", ["rayforget", "frontier", "one"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"{broken}\n"


def test_frontier_says_that_a_metric_has_changed_since_the_scores_were_recorded(site: Path, run: Run) -> None:
    from rayforget.metrics.find import metric_of

    sound = METRIC.replace('raise ValueError("no\\nsums")', "return (own[0] / common[0])[..., 0]")
    assert sound != METRIC
    (site / "box_of_share.py").write_text(sound)
    sys.modules.pop("box_of_share", None)
    metric_of.cache_clear()
    code, said = run("frontier", "one")
    assert code == 0
    assert "box_of_share 0.3 has another source now than when the sweep began (metric 'share'): scores are as" in said
    assert "glue" not in said
