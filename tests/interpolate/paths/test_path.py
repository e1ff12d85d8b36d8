"""A path is rebuilt from its text to the bit; a path's results are checked; reading one imports no torch."""

import subprocess
import sys
from collections.abc import Mapping

import pytest
import torch
from interpolate_ends import ends
from torch import Tensor

from rayforget.errors import ExtensionError, FoundationError, RecordError
from rayforget.interpolate.hashing import state_hash
from rayforget.interpolate.lerp import lerp
from rayforget.interpolate.paths.blocks import Blocks
from rayforget.interpolate.paths.lerp import Lerp
from rayforget.interpolate.paths.lines import Lines
from rayforget.interpolate.paths.path import Path, open_path, theta_at
from rayforget.space.path_text import parse_path, path_name, path_text
from rayforget.values.layers import Layer

TEXTS = {
    "lerp": Lerp(),
    "lines(gamma=0.1)": Lines(gamma=0.1),
    "lines(gamma=1)": Lines(gamma=1.0),
    f"lines(gamma={1 / 3!r})": Lines(gamma=1 / 3),
    "blocks(leads=[0,0.5,1])": Blocks(leads=(0.0, 0.5, 1.0)),
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_path_comes_back_from_its_text(text: str) -> None:
    path = open_path(text)
    assert path == TEXTS[text]
    assert path_text(path_name(text), path.model_dump(mode="json")) == text


@pytest.mark.parametrize(
    "parameters",
    [{"b": 1.0, "a": [0.1, 2]}, {"a": "x, y)"}, {"a": True, "z": None}, {"a": {"y": 1.5, "x": [1, {"u": 2}]}}],
)
def test_parameters_of_any_shape_come_back(parameters: dict[str, object]) -> None:
    text = path_text("p", parameters)
    assert parse_path(text) == ("p", parameters)
    assert path_text(*parse_path(text)) == text


@pytest.mark.parametrize(
    "text", ["", "(a=1)", "p(", "p()", "p(a)", "p(a=)", "p(a=1", "p(a=1.0)", "p(b=1, a=2)", "p(a=1)x"]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(RecordError, match="names no path"):
        parse_path(text)


def test_a_path_that_is_not_there_is_named() -> None:
    with pytest.raises(ExtensionError, match=r"no path 'spline'.*lerp, lines, blocks"):
        open_path("spline(knots=3)")


def test_the_lerp_is_the_lerp() -> None:
    start, end, layers = ends(3)
    for t in (0.1, 0.5, 1.0, 1.5):
        assert state_hash(theta_at(Lerp(), start, end, t, layers)) == state_hash(lerp(start, end, t))


class Half(Path):
    """Drops names, or makes tensors double precision."""

    doubles: bool

    def at(
        self, theta_0: Mapping[str, Tensor], theta_1: Mapping[str, Tensor], t: float, layers: Mapping[str, Layer]
    ) -> dict[str, Tensor]:
        found = lerp(theta_0, theta_1, t)
        return (
            {name: tensor.double() for name, tensor in found.items()} if self.doubles else {"layer1": found["layer1"]}
        )


def test_tensors_that_are_not_theta_1s_are_refused() -> None:
    start, end, layers = ends(2)
    with pytest.raises(FoundationError, match=r"Half.at must give the names of theta_1; only one of them has: layer2"):
        theta_at(Half(doubles=False), start, end, 0.5, layers)
    with pytest.raises(FoundationError, match=r"layer1 as torch.float64 .* expected torch.float32"):
        theta_at(Half(doubles=True), start, end, 0.5, layers)


def test_paths_are_read_without_torch() -> None:
    code = (
        "import sys; from rayforget.interpolate.paths.path import open_path;"
        f"[open_path(text) for text in {list(TEXTS)}];"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_equal_tensors_stay_equal_on_every_path() -> None:
    start, _, layers = ends(4)
    for path in TEXTS.values():
        assert state_hash(path.at(start, start, 0.3, layers)) == state_hash(start)
    assert all(
        torch.equal(path.at(start, start, 0.7, {})["loose"], start["loose"]) for path in (Lerp(), Lines(gamma=0))
    )
