"""What an extension failed is tried again once it has changed; what it was recorded with is known by package and
version."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from plugins.outsiders import write_package
from toy_agenda import do_job, resumed, started, toy_space, work_off

from rayforget.record.failure import failed_record
from rayforget.record.jobs import TrialJob
from rayforget.record.packages import changed_extensions, missing_packages
from rayforget.record.provenance import extension_facts
from rayforget.record.second_tries import may_be_tried_again, set_aside_failures
from rayforget.record.standing import standing_of
from rayforget.report.words.numbers import stale_notice
from rayforget.search.agenda import Agenda, NamedJob

CODE = """
from typing import Literal
from rayforget.train.penalties.hooks import Penalty

class ThePenalty(Penalty):
    kind: Literal["NAME"]

    def prepare(self, training):
        return None
"""


def write(site: Path, name: str, version: str = "1.0", more: str = "") -> None:
    """Installs a penalty, in the place of another version."""
    for old in site.glob(f"box_of_{name}-*"):
        old.rename(site / "gone")
    sys.modules.pop(f"box_of_{name}", None)
    code = CODE.replace("NAME", name) + more
    write_package(site, f"box_of_{name}", {name: "ThePenalty"}, code, "rayforget.penalties", version)


def read_anew(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a new process would: the path's installed packages are looked up again."""
    from rayforget.extensions.registry import _installed

    _installed.cache_clear()
    monkeypatch.syspath_prepend(site)


def half_failed(folder: Path, kind: str, **penalty: Any) -> Agenda:
    """A sweep whose plain training is done, and whose second training failed in its penalty."""
    agenda = started(
        toy_space(
            folder,
            methods={"mine": {"penalties": [{"kind": kind, "strength": 1.0, **penalty}]}},
            search={"trainings": 1, "seed": 0},
            curve={"coarse": [0, 1]},
            resources={},
        )
    )
    plain = agenda.next()
    assert isinstance(plain, NamedJob)
    do_job(agenda, plain)
    named = agenda.next()
    assert isinstance(named, NamedJob)
    assert isinstance(named.job, TrialJob)
    agenda.sweep.add(failed_record(named.job, "penalty failed", "0"))
    agenda.done(named.name, [0])
    return agenda


def test_a_training_that_an_extension_failed_is_tried_again_once_its_source_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, runs = tmp_path / "site", tmp_path / "runs"
    site.mkdir()
    write(site, "mended")
    monkeypatch.syspath_prepend(site)
    sweep = half_failed(runs, "mended").sweep
    assert may_be_tried_again(sweep, ["0001-mine"])
    assert not may_be_tried_again(sweep, ["0000-plain"])
    work_off(resumed(runs))  # the scores on test
    assert set_aside_failures(sweep) == []  # nothing has changed: the failure is final
    assert resumed(runs).settle()

    write(site, "mended", more="# mended\n")
    read_anew(site, monkeypatch)
    assert resumed(runs).failures() == {"0001-mine": "penalty failed"}
    assert set_aside_failures(resumed(runs).sweep) == ["0001-mine"]
    again = resumed(runs)
    assert again.failures() == {}
    named = again.next()
    assert isinstance(named, NamedJob)
    assert named.name == "0001-mine"
    (kept,) = (runs / "s" / "failed").iterdir()
    assert kept.name.startswith("0001-mine-000000-")
    standing = standing_of(again.sweep, again.sweep.briefs(), again.leading())
    assert (standing.report_is_stale, standing.records_lost) == (True, False)
    assert stale_notice(standing) == (
        "Stale: failed trainings are tried again after a first report, 1 of 2 are done; scores on test are the first "
        "report's until the sweep ends."
    )
    do_job(again, named)
    assert resumed(runs).failures() == {}
    assert set_aside_failures(resumed(runs).sweep) == []


def test_a_training_that_failed_after_a_checkpoint_stays_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its points would be of two versions otherwise."""
    site, runs = tmp_path / "site", tmp_path / "runs"
    site.mkdir()
    write(site, "midway")
    monkeypatch.syspath_prepend(site)
    sweep = half_failed(runs, "midway").sweep
    failed = sweep.record("0001-mine", 0)
    good = next(each for each in sweep.records() if each.trial == "0000-plain")
    sweep.add(replace(good, trial="0001-mine", step=1, recipe=failed.recipe))
    write(site, "midway", more="# mended\n")
    read_anew(site, monkeypatch)
    assert set_aside_failures(resumed(runs).sweep) == []


def test_a_training_that_did_not_use_what_changed_stays_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site, runs = tmp_path / "site", tmp_path / "runs"
    site.mkdir()
    write(site, "bystander")
    monkeypatch.syspath_prepend(site)
    from rayforget.space.penalty import PENALTIES

    PENALTIES.find("bystander")  # some other method's
    half_failed(runs, "l2")
    write(site, "bystander", more="# changed\n")
    read_anew(site, monkeypatch)
    PENALTIES.find("bystander")
    assert set_aside_failures(resumed(runs).sweep) == []


def test_other_versions_are_told_from_and_to_and_missing_packages_by_name_and_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rayforget.space.penalty import PENALTIES

    write(tmp_path, "aged", "1.0")
    monkeypatch.syspath_prepend(tmp_path)
    PENALTIES.find("aged")
    before = extension_facts()
    ours = {"extensions": {"rayforget.penalties": {"aged": before["extensions"]["rayforget.penalties"]["aged"]}}}
    ours["extension_sources"] = {"rayforget.penalties": before["extension_sources"]["rayforget.penalties"]}
    assert changed_extensions(ours) == []
    assert missing_packages(ours) is None
    for version, more, expected in (
        ("1.0", "# more\n", "box_of_aged 1.0 has another source now than when the sweep began (penalty 'aged')"),
        ("1.1", "", "box_of_aged 1.0 was in use when the sweep began, and box_of_aged 1.1 is now (penalty 'aged')"),
    ):
        write(tmp_path, "aged", version, more)
        read_anew(tmp_path, monkeypatch)
        PENALTIES.find("aged")
        assert changed_extensions(ours) == [expected]
        (tmp_path / "gone").rename(tmp_path / f"gone {version} {len(more)}")
    monkeypatch.undo()
    assert missing_packages(ours) == "box_of_aged==1.0 (penalty 'aged')"


def test_what_changed_in_a_package_is_told_once_with_all_that_it_brings(monkeypatch: pytest.MonkeyPatch) -> None:
    from rayforget.extensions import use as extension_use

    monkeypatch.setattr(extension_use, "_used", {})
    of_package = {"called": "", "package": "box_of_bow", "version": "2", "module": "plugins.outsiders"}
    groups = {"rayforget.paths": "bow", "rayforget.penalties": "arrow"}
    for group, name in groups.items():
        extension_use.note_use(group, name, value=name, **of_package)
    began = {
        "extensions": {group: {name: "box_of_bow 2"} for group, name in groups.items()},
        "extension_sources": {group: {name: "0123456789ab"} for group, name in groups.items()},
    }
    told = "box_of_bow 2 has another source now than when the sweep began"
    assert changed_extensions(began) == [f"{told} (path 'bow' and penalty 'arrow')"]
    assert changed_extensions(began, "rayforget.paths") == [f"{told} (path 'bow')"]
