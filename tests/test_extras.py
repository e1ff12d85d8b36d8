"""Extras may be missing: images need none, and what needs one says how to install it."""

import tomllib
from pathlib import Path

import pytest
from test_layers import import_without

from rayforget.errors import SpaceError
from rayforget.extensions import extras
from rayforget.extensions.extras import MissingExtraError, need
from rayforget.planning.foundation_check import check_foundation
from rayforget.space.file.load import load_space
from rayforget.space.shipped import quickstart

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    need("datasets", "x")
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"x needs the package datasets, .* 'rayforget\[datasets\]'"):
        need("datasets", "x")


def test_a_language_model_without_its_extra_is_told_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_space(ROOT / "search_spaces" / "lm_quickstart.yaml")
    check_foundation(loaded)
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(SpaceError, match=r"lm_quickstart.yaml:\d+: foundation.kind: causal_lm needs .*\[language\]'"):
        check_foundation(loaded)
    check_foundation(load_space(quickstart()))


def test_every_extra_that_a_message_names_is_there_and_part_of_all_and_of_a_clone() -> None:
    optional = PROJECT["project"]["optional-dependencies"]
    assert set(extras._EXTRAS.values()) == optional.keys() - {"all"}
    assert optional["all"] == [f"rayforget[{','.join(sorted(optional.keys() - {'all'}))}]"]
    assert "rayforget[all]" in PROJECT["dependency-groups"]["dev"]


@pytest.mark.slow
def test_image_sweeps_need_no_extra() -> None:
    code = (
        "import torch\nfrom pathlib import Path\nfrom tempfile import mkdtemp\n"
        "from rayforget.space.file.load import load_space\nfrom rayforget.tasks.check import check_data\n"
        "from rayforget.foundations.prepare import prepare_foundation\n"
        f"loaded = load_space(Path({str(quickstart())!r}))\n"
        "check_data(loaded, contents=False)\n"
        "prepare_foundation(loaded.space, cache=Path(mkdtemp()), device=torch.device('cpu'))\n"
    )
    parts = ["commands", "cli", "trial", "on_ray", "search", "report", "train"]
    import_without({"datasets", "lm_eval"}, parts, then=code)
