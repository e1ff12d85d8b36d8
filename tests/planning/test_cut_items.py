"""`check` says how many of the texts it looked at lose the beginning of their context."""

from pathlib import Path

import pytest
import torch

from rayforget.commands.check import _probed
from rayforget.planning.counts import count
from rayforget.planning.probe import Probe, RecipeProbe
from rayforget.planning.samples import take_samples
from rayforget.space.file.load import LoadedSpace, load_space
from rayforget.tasks.check import check_data
from rayforget.tasks.opening import Opened
from rayforget.values.scores import CUT_ITEMS

SPACE = Path(__file__).parents[2] / "search_spaces" / "lm_quickstart.yaml"


@pytest.fixture(scope="module")
def loaded() -> LoadedSpace:
    return load_space(SPACE, ["foundation.sequences.scored_length=24"])


@pytest.fixture(scope="module")
def tasks(loaded: LoadedSpace) -> Opened:
    return check_data(loaded, contents=False)


def test_the_samples_of_a_check_count_what_is_cut(loaded: LoadedSpace, tasks: Opened, tmp_path: Path) -> None:
    samples = take_samples(loaded, tasks, device=torch.device("cpu"), folder=tmp_path)
    facts = samples.many.scorer(None).counted("val")
    assert set(facts) == set(samples.many.scorer(None).tasks)
    assert 0 < sum(each[CUT_ITEMS] for each in facts.values()) <= samples.num_val


@pytest.mark.parametrize("cut", [{}, {"b": 2, "a": 7}])
def test_the_plan_names_them_by_task(loaded: LoadedSpace, tasks: Opened, cut: dict[str, int]) -> None:
    counts = count(loaded, tasks)
    recipe = RecipeProbe(
        step_s=1, trained_bytes=1, kept_bytes=1, module_bytes=1, checkpoint_bytes=1, model_s=1, item_s=1, broken={}
    )
    found = Probe(
        device="CPU",
        threads=1,
        load_s=1,
        decode_s=1,
        item_bytes=1,
        theta_0_bytes=1,
        peak_bytes=1,
        num_val=64,
        cut_items=cut,
        broken={},
        first_items={"b": "Is| it|? »no|</s>«"},
        recipes={counted.method.name: recipe for counted in counts.methods},
    )
    said = dict(line for line in _probed(loaded, counts, found) if line[0])
    assert said["first item"] == "tasks.b.train, its tokens, »learnt«: Is| it|? »no|</s>«"
    assert ("cut" in said) == bool(cut)
    if cut:
        assert "of 64 texts of val looked at" in said["cut"]
        assert "a 7, b 2" in said["cut"]
