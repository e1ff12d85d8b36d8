"""`check` says in one line what another package's foundation lacks, whatever part of it that is."""

import sys
from pathlib import Path

import pytest
from plugins.faulty import Write
from plugins.test_foundation_plugin import SPACE

from rayforget.cli import main

CODE = (Path(__file__).parent / "pixels" / "rayforget_pixels.py").read_text()


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "return PixelsFoundation(model, tasks, cache)",
            "pass",
            "gave None from with_tasks; expected rayforget.foundations.protocol.Foundation",
        ),
        (
            "def layers(",
            "def layer(",
            "gave an object of type PixelsFoundation without layers from with_tasks; expected",
        ),
        ("def counted(", "def count(", "gave an object of type PixelsScorer without counted from scorer; expected"),
        ("def canonical(", "def names(", "gave an object of type PixelsLearner without canonical from learner; exp"),
        (
            "return Batch(inputs=",
            "return dict(inputs=",
            "gave an object of type dict from batch; expected rayforget.foundations.protocol.Batch",
        ),
        (
            "[{name: self._score(theta, name, split) for name in self.tasks} for theta in thetas]",
            "[None for theta in thetas]",
            "gave None from score for a model; expected a dict of task -> Score",
        ),
        (
            "return tower_layers(self.theta_0)",
            "return 3",
            "gave something that cannot be used: AttributeError: 'int' object has no attribute",
        ),
    ],
)
def test_what_a_foundation_gives_is_checked_where_it_gives_it(
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    fault: str,
) -> None:
    assert CODE.count(old) == 1
    name = write("foundations", "PixelsKind", CODE.replace(old, new).replace('Literal["pixels"]', 'Literal["NAME"]'))
    (tmp_path / "space.yaml").write_text(SPACE.replace("kind: pixels", f"kind: {name}"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rayforget", "check", "space.yaml"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert f"foundation '{name}' of package box_of_{name} {fault}" in said
    assert said.startswith("space.yaml:")
    assert said.count("\n") == 1
