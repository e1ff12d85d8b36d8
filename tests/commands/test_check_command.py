"""`rayforget check`, and what it has in common with the start of a sweep: a space is judged, nothing is written."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from command_types import Run, Says
from plugins.outsiders import write_package

from rayforget.commands.check import precision_lines
from rayforget.space.parts import Resources

FULL = "  full: {}\n"


def spoil_key(root: Path) -> None:
    path = root / "space.yaml"
    path.write_text(path.read_text().replace("tasks:\n", "colour: red\ntasks:\n"))


@pytest.mark.parametrize(
    ("case", "spoil"),
    [
        ("unknown key", spoil_key),
        ("missing folder", lambda root: (root / "photo/val").rename(root / "photo/elsewhere")),
        (
            "overlapping splits",
            lambda root: (root / "photo/test/cat/9.png").write_bytes((root / "photo/val/dog/0.png").read_bytes()),
        ),
        ("label without class name", lambda root: (root / "sketch/test/cat").rename(root / "sketch/test/unicorn")),
    ],
)
def test_a_space_that_cannot_be_used_is_refused_before_any_sweep_is_written(
    case: str, spoil: Callable[[Path], object], says: Says, folders: Path
) -> None:
    root = folders.parent
    spoil(root)
    before = set(root.rglob("*"))
    for command in ("check", "sweep"):
        assert says(f"check and sweep: {case}", command, folders) == 2
    cache = root / "runs" / "cache"  # hashes of images that were read: a second try need not read them again
    written = set(root.rglob("*")) - before - {cache.parent, cache}
    assert all(cache / "hashes" in (path, *path.parents) for path in written)


def test_check_prints_the_plan_and_writes_nothing(says: Says, folders: Path) -> None:
    before = set(folders.parent.rglob("*"))
    more = ("--trials", "5", "--set", "curve.fractions=[0.5, 1.0]")  # 6 images, 2 epochs, batches of 4
    assert says("check --no-probe", "check", folders, "--no-probe", *more) == 0
    assert set(folders.parent.rglob("*")) == before


def test_a_proximal_strength_out_of_all_proportion_is_noted(says: Says, folders: Path) -> None:
    methods = {
        "l1_frozen": "{kind: l1, strength: {low: 1, high: 10}}",
        "l1_fine": "{kind: l1, strength: {low: 1e-3, high: 1, log: true}}",
        "l2_frozen": "{kind: l2, strength: {low: 1e9, high: 1e10, log: true}}",
        "l2_idle": "{kind: l2, strength: 1e-9}",
        "l2_none": "{kind: l2, strength: 0}",
        "l2_coupled_fine": "{kind: l2_coupled, strength: 1e9}",
    }
    text = "".join(f"  {name}:\n    penalties:\n      - {penalty}\n" for name, penalty in methods.items())
    folders.write_text(folders.read_text().replace(FULL, text))
    assert says("check: strengths of penalties", "check", folders, "--no-probe") == 0


@pytest.fixture
def tiny(folders: Path) -> Path:
    """The space file with a model that is quickly loaded."""
    from tiny_clip import save_clip  # imports torch

    folders.write_text(folders.read_text().replace("builtin", save_clip(folders.parent / "model").model))
    return folders


@pytest.mark.slow
def test_the_probe_sets_every_method_up_and_leaves_nothing(run: Run, says: Says, tiny: Path) -> None:
    methods = f"{FULL}  text: {{head: text}}\n  lora:\n    adapter: {{kind: lora, rank: 2}}\n"
    tiny.write_text(tiny.read_text().replace(FULL, methods))
    before = set(tiny.parent.rglob("*"))
    code, output = run("check", tiny, "--set", "resources.cpus_per_worker=1")
    assert code == 0
    for name in ("full", "text", "lora", "plain"):
        assert re.search(rf"{name}: (\S+ ms a step|not timed)", output), output
    assert "on this machine" in output
    assert set(tiny.parent.rglob("*")) == before

    tiny.write_text(tiny.read_text().replace("rank: 2", "rank: 2, targets: [q_proj, nothing]"))
    assert says("check: no such target of LoRA", "check", tiny) == 2
    (tiny.parent / "model" / "open_clip_config.json").unlink()
    assert says("check: no model in the folder", "check", tiny) == 2


@pytest.mark.slow
def test_the_probe_takes_a_step_with_a_penalty_of_another_package_and_names_its_fault(
    run: Run, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        "from typing import Literal\nfrom rayforget.train.penalties.hooks import Hooks, Penalty\n"
        "class It(Penalty):\n    kind: Literal['probed']\n    def prepare(self, training):\n        return ItsHooks()\n"
        "class ItsHooks(Hooks):\n    def after_step(self, learning_rate):\n        1 / 0\n"
    )
    write_package(tiny.parent, "box_of_probed", {"probed": "It"}, source, "rayforget.penalties")
    monkeypatch.syspath_prepend(tiny.parent)
    tiny.write_text(tiny.read_text().replace(FULL, "  mine:\n    penalties: [{kind: probed, strength: 1}]\n"))
    monkeypatch.setattr("rayforget.planning.probe._LIMIT_S", 0.0)  # nothing is timed, and it is tried all the same
    code, said = run("check", tiny, "--set", "resources.cpus_per_worker=1")
    assert (code, said.count("\n")) == (2, 0)
    assert said.endswith(
        "methods.mine: penalty 'probed' of package box_of_probed failed in after_step: ZeroDivisionError: division by "
        "zero (box_of_probed.py:9)"
    )


@pytest.mark.slow
def test_the_probe_names_a_broken_image_that_it_came_upon(run: Run, tiny: Path) -> None:
    text = tiny.read_text()
    for split in ("train", "val"):
        place = f"path: photo/{split}"
        text = text.replace(place, f"{place}, max_broken: 1")
        (tiny.parent / "photo" / split / "cat" / "1.png").write_bytes(f"no image of {split}".encode())
    tiny.write_text(text)
    code, output = run("check", tiny, "--set", "resources.cpus_per_worker=1")
    assert code == 0, output
    for split in ("train", "val"):
        assert f"tasks.photo.{split}, of a few looked at: 1 broken image skipped: " in output


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, []),
        ({"evaluation_precision": "fp32", "gpus_per_worker": 1}, []),
        ({"evaluation_precision": "bf16"}, ["bf16 on val, fp32 on test"]),
        ({"test_precision": "fp16"}, ["fp32 on val, fp16 on test"]),
        (
            {"gpus_per_worker": 1, "test_precision": "tf32"},
            ["chosen after the first training among fp32, tf32, fp16, bf16 on val, tf32 on test"],
        ),
    ],
)
def test_the_precision_of_scores_is_shown_where_it_is_not_fp32_throughout(
    resources: dict[str, object], expected: list[str]
) -> None:
    lines = precision_lines(Resources.model_validate(resources))
    assert [text for about, text in lines if about == "precision"] == expected
