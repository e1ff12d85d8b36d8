"""`rayforget frontier`: the report again, and where its drawings go."""

import json
from pathlib import Path

import golden_text
import pytest
from command_types import Run, Says
from synthetic_sweep import reseal_space


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_out_that_is_no_folder_is_refused_before_anything_is_computed(
    out: str, says: Says, recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("rayforget.report.present.read_report", lambda *_, **__: pytest.fail("computed"))
    assert says(f"frontier --out {out}: no folder", "frontier", "whole", "--out", tmp_path / out) == 2


def test_a_sweep_without_any_score_has_no_frontier(says: Says, recorded: Path) -> None:
    assert says("frontier of a new sweep", "frontier", "new") == 2


@pytest.mark.slow
def test_frontier_draws_into_the_folder_it_is_given_and_into_no_other(run: Run, recorded: Path, tmp_path: Path) -> None:
    before = set(recorded.rglob("*"))
    code, text = run("frontier", "whole", "--full", "--out", tmp_path / "out")
    assert code == 0
    tables, rest = text.split("\n--full", 1)
    assert "Frontier" in tables
    golden_text.check("commands", "frontier --full --out, no task with a cut", f"--full{rest}", {str(tmp_path): "HERE"})
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"frontier.png", "frontier.html", "frontier.json"}
    assert set(recorded.rglob("*")) == before


@pytest.mark.slow
def test_frontier_in_full_prints_whole_splits_of_the_recorded_items(says: Says, recorded: Path) -> None:
    path = recorded / "whole" / "space.json"
    tree = json.loads(path.read_text())
    sketch = tree["tasks"]["sketch"]
    sketch["cut"] = {"source": sketch["val"] | {"seed": 5}, "seed": 0, "val_share": 0.5}
    sketch["val"] = sketch["test"] = None
    reseal_space(path.parent, json.dumps(tree))
    assert says("frontier --full of a cut task", "frontier", "whole", "--full") == 0
