"""What the commands say where another package claims a name of rayforget's own, or announces nothing readable."""

import sys
from pathlib import Path

import pytest
from command_types import Run
from plugins.outsiders import write_package

from rayforget.cli import main
from rayforget.extensions.malformed import malformed_package
from rayforget.foundations.kind import kind_of
from rayforget.metrics.find import metric_of
from rayforget.record.space_of import space_of
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.space.curve_paths import curve_paths
from rayforget.space.foundation import rules_of
from rayforget.space.methods import methods_of
from rayforget.space.recipe import Recipe

CLAIMS = {"metrics": "accuracy", "paths": "lerp", "penalties": "l2", "foundations": "clip"}
L2 = {"kind": "l2", "strength": 1.0}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path; nothing of what was found before is remembered."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    metric_of.cache_clear()
    rules_of.cache_clear()
    return site


def test_a_record_is_read_whoever_claims_its_names_now(run: Run, recorded: Path, site: Path) -> None:
    for group, name in CLAIMS.items():
        write_package(site, f"evil_{group}", {name: "A"}, group=f"rayforget.{group}")
    for arguments in (["list"], ["status", "whole"]):
        code, said = run(*arguments)
        assert code == 0, said
        assert "evil" not in said
    space = space_of(Sweep.open(Store.open(recorded), "whole"))  # as a report and a resume begin
    (method,) = methods_of(space)
    recorded_recipe = method.recipe({"learning_rate": 1e-4}, seed=0).model_dump() | {"penalties": [L2]}
    assert [penalty.kind for penalty in Recipe.model_validate(recorded_recipe).penalties] == ["l2"]
    assert curve_paths(space.curve.paths).fixed == ("lerp",)
    assert type(kind_of(space.foundation)).__name__ == "ClipKind"


@pytest.mark.parametrize(
    ("group", "line", "key"),
    [
        ("paths", "curve: {paths: {lerp: {}}}", "curve.paths.lerp"),
        ("penalties", "methods: {full: {penalties: [{kind: l2, strength: 1}]}}", "methods.full.penalties.l2.kind"),
        ("foundations", "foundation: {kind: clip, model: builtin}", "foundation.kind"),
    ],
)
def test_a_claimed_name_is_one_line_where_a_space_file_names_it(
    run: Run, folders: Path, site: Path, group: str, line: str, key: str
) -> None:
    noun, name = {"paths": "path", "penalties": "penalty", "foundations": "foundation"}[group], CLAIMS[group]
    if line.startswith("methods"):
        folders.write_text(folders.read_text().replace("methods:\n  full: {}", line))
    elif line not in folders.read_text():
        folders.write_text(folders.read_text() + line)
    number = folders.read_text().splitlines().index(line) + 1
    write_package(site, "evil", {name: "A"}, group=f"rayforget.{group}")
    code, said = run("check", "space.yaml", "--no-probe")
    assert (code, said) == (
        2,
        f"space.yaml:{number}: {key}: {name} is rayforget's own {noun}, and evil brings another of that name; "
        "uninstall it, or have it renamed",
    )


def test_the_path_that_every_curve_has_is_one_line_too_where_no_file_writes_it(
    run: Run, folders: Path, site: Path
) -> None:
    write_package(site, "evil", {"lerp": "A"}, group="rayforget.paths")
    code, said = run("check", "space.yaml", "--no-probe")
    assert (code, said.count("\n")) == (2, 0)
    assert "curve.paths.lerp: lerp is rayforget's own path, and evil brings another" in said


@pytest.mark.parametrize("metadata", [True, False])
def test_a_package_with_a_malformed_list_of_entry_points_is_named_in_one_line(
    folders: Path, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], metadata: bool
) -> None:
    write_package(site, "torn", {})
    (folder,) = site.glob("torn-*")
    (folder / "entry_points.txt").write_text("[rayforget.metrics]\nnothing\n")
    if not metadata:
        (folder / "METADATA").unlink()
    monkeypatch.setattr(sys, "argv", ["rayforget", "check", str(folders), "--no-probe"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"package {'torn' if metadata else 'without a name'} in {site} has an entry_points.txt that")
    assert line.endswith("; mend or uninstall the package")


def test_it_is_named_by_the_backport_of_the_library_too(site: Path) -> None:
    import importlib_metadata  # imported, it replaces the standard library's reading for the whole process

    write_package(site, "torn", {})
    (folder,) = site.glob("torn-*")
    (folder / "entry_points.txt").write_text("[rayforget.metrics]\nnothing\n")
    with pytest.raises(TypeError) as raised:
        importlib_metadata.PathDistribution(folder).entry_points  # noqa: B018
    assert (malformed_package(raised.value) or "").startswith(f"package torn in {site} has an entry_points.txt that")
