"""`rayforget export`: what it says and what it writes."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from small_models import folder_of
from small_sweeps import Recorded, language_space, recorded

import rayforget
from rayforget.errors import FoundationError
from rayforget.export.asked import TrainingSet
from rayforget.export.card import write_card
from rayforget.export.card_tables import source_words
from rayforget.export.facts import CardFacts, measures_of, theta_0_scores
from rayforget.export.measured import differences
from rayforget.export.point import recorded_point
from rayforget.foundations.clip.config import ClipFoundation
from rayforget.foundations.clip.kind import ClipKind
from rayforget.foundations.exporter import ModelWords
from rayforget.foundations.kind import Kind
from rayforget.frontier.points import PointKey
from rayforget.interpolate.hashing import state_hash
from rayforget.report.words.numbers import percent
from rayforget.tasks.asked import Prompts
from rayforget.values.scores import Score


def test_a_card_has_the_scores_of_the_record_as_the_hub_reads_them(
    pictures: Recorded, run: Any, tmp_path: Path
) -> None:
    arguments = ("--point", "0002-text/2/lerp/0.5", "--storage", pictures.folder / "runs")
    code, text = run("export", "small", tmp_path / "out", *arguments)
    assert code == 0, text
    assert "read again by open_clip, the scored weights, hash" in text
    assert f'open_clip.create_model_from_pretrained("local-dir:{tmp_path}/out")' in text
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert (card.data.library_name, card.data.pipeline_tag) == ("open_clip", "zero-shot-image-classification")
    point = pictures.sweep.record("0002-text", 2).points[1]
    found = {(each.dataset_name, each.dataset_split): each.metric_value for each in card.data.eval_results}
    assert found[("dots", "val")] == round(point.scores["dots"].value, 6)
    assert found.keys() == {(task, split) for task in ("dots", "lines") for split in ("val", "test")}
    assert f"| {percent(point.scores['lines'].value)} ± " in card.text
    for told in (
        "`0002-text/2/lerp/0.5`",
        "head: text",
        point.scores["dots"].items_hash,
        pictures.sweep.record("0002-text", 2).theta_1_hash or "no hash",
        "![The frontier with this model](frontier.png)",
        "…/dots/val",
    ):
        assert told in card.text, told
    assert str(pictures.folder) not in card.content  # a card is shown to others
    assert (tmp_path / "out" / "frontier.png").read_bytes().startswith(b"\x89PNG")


def test_no_foreign_text_is_markdown_or_a_setting_of_a_card(pictures: Recorded) -> None:
    """The licence is of the foundation's own README, the base's name a folder's, versions and hardware the record's."""
    evil = "x`](http://evil)<script>*|\n---\n# Trusted\nlicense: mit\n"
    sweep, point = pictures.sweep, recorded_point(pictures.sweep, PointKey("0002-text", 2, 0.5, "lerp"))
    made = {"code": {"commit": evil, "version": evil}, "hardware": {"cpu": evil}, "packages": {"torch": evil}}
    record = replace(point.record, theta_0_hash=evil, theta_1_hash=evil, provenance=made)
    words = ModelWords(library="open_clip", pipeline="x", loading="import open_clip\n", base=evil, license=evil)
    facts = CardFacts(
        space=pictures.space,
        sweep=sweep,
        summary=pictures.summary,
        point=replace(point, record=record),
        fraction=1.0,
        dtype="fp32",
        hash="0",
        words=words,
        aside=None,
        theta_0=theta_0_scores(sweep),
        measures=measures_of(pictures.summary, theta_0_scores(sweep), point.by_split),
        again=None,
        measures_again={},
        adapted=None,
        prompts={"dots": Prompts(class_names=(evil, "b"), templates=(evil + "{}",))},
        trained_on={"dots": TrainingSet(items=3, hash=evil)},
    )
    card = ModelCard(write_card(facts))
    assert card.data.license == evil  # as a text, which is no licence of the hub's
    assert card.data.model_name == pictures.sweep.info.space_name
    assert not re.search(r"^(# Trusted|license:)", card.text, re.MULTILINE)
    bare = re.sub(r"`[^`\n]*`", "", card.text.replace("\\`", ""))  # without code
    assert not re.search(r"(?<!\\)(<script|\]\(http)", bare)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--point", "0002-text"), "names no point; expected TRIAL/STEP/PATH/ALPHA"),
        (("--private",), "--private is about --push OWNER/NAME"),
        (("--push", "model"), "cannot be a name on the hub; write OWNER/NAME"),
        (("--point", "0002-text/2/lerp/0.3"), "that alpha was not scored; there are: 0.0, 0.5, 1.0"),
    ],
)
def test_a_mistake_is_one_message_and_writes_nothing(
    arguments: tuple[str, ...], why: str, pictures: Recorded, run: Any, tmp_path: Path
) -> None:
    code, text = run("export", "small", tmp_path / "out", *arguments, "--storage", pictures.folder / "runs")
    assert code == 2
    assert why in text
    assert not (tmp_path / "out").exists()


def test_without_a_point_the_pick_is_taken(run: Any, tmp_path: Path) -> None:
    """A sweep without weights tells which ones it would have taken."""
    from synthetic_sweep import add_tests, make_records, make_space, make_sweep, untested

    records, tests = make_records(trials=7, fractions=(1.0,), scale=0.1)
    sweep = make_sweep(make_space(tmp_path / "runs", trainings=7, seeds=3), "s", records, at=1.7e9)
    add_tests(sweep, untested(sweep), tests, at=1.7e9)
    picked = rayforget.open_sweep("s", tmp_path / "runs").pick().point
    assert picked is not None
    code, text = run("export", "s", tmp_path / "out", "--storage", tmp_path / "runs")
    assert code == 2
    assert text.startswith(f"the weights of {picked.trial} at step {picked.step} were not kept")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_python_loads_and_exports_as_the_command_does(pictures: Recorded, tmp_path: Path) -> None:
    results = rayforget.open_sweep("small", pictures.folder / "runs")
    point = "0000-plain/2/lerp/1.0"
    loaded = results.load(point)
    out = results.export(point, tmp_path / "out")
    assert out == tmp_path / "out"
    state = load_file(out / "open_clip_model.safetensors")
    assert (
        state_hash(state)
        == state_hash(loaded.model.state_dict())
        == pictures.sweep.record("0000-plain", 2).theta_1_hash
    )


def test_of_a_place_on_a_disk_a_card_tells_the_end() -> None:
    assert source_words("/home/somebody/data/photo/val") == "…/photo/val"
    assert source_words("local-dir:/home/somebody/data/tuned") == "…/data/tuned"
    assert source_words({"kind": "dataset", "path": "owner/name", "split": "test"}) == (
        "dataset path owner/name, split test"
    )


def test_a_kind_that_cannot_be_exported_says_so() -> None:
    class Bare(ClipKind):
        """A kind of somebody else's, which has no exporter."""

        exporter = Kind.exporter

    with pytest.raises(FoundationError, match=r"foundation.kind: clip cannot be exported: its class Bare has no `exp"):
        Bare().exporter(None, ClipFoundation(kind="clip", model="builtin"))  # type: ignore[arg-type]


@pytest.mark.slow
def test_an_adapter_beside_the_model_says_what_it_loses(words: Recorded, run: Any, tmp_path: Path) -> None:
    arguments = ("--point", "0001-lora/2/lerp/0.5", "--adapter", "--dtype", "bf16", "--storage", words.folder / "runs")
    code, text = run("export", "small", tmp_path / "out", *arguments)
    assert code == 0, text
    assert "adapter/: rank 4, scale 1; its largest difference of a weight is" in text
    assert "val, items with another result in bf16: cures" in text
    card = (tmp_path / "out" / "README.md").read_text()
    assert "## The adapter" in card
    assert "## In bf16" in card
    largest = float(card.partition("The largest difference of a weight is ")[2].split()[0])
    assert 0 < largest < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"use_dora": True}, "was trained by DoRA, which also changes the length of every row"),
        ({"modules_to_save": ["embed_tokens"]}, r"peft splits tied tensors \(lm_head.weight\)"),
    ],
)
def test_an_adapter_that_would_be_another_model_is_refused(settings: dict[str, Any], why: str, tmp_path: Path) -> None:
    lora = {"adapter": {"kind": "lora", "rank": 4, **settings}, "learning_rate": 2e-2}
    tree = language_space(tmp_path, folder_of("qwen2", tmp_path / "own"), {"lora": lora})
    results = rayforget.open_sweep(recorded(tmp_path, tree, ["lora"]).sweep.info.name, tmp_path / "runs")
    with pytest.raises(FoundationError, match=why):
        results.export("0001-lora/2/lerp/0.5", tmp_path / "out", adapter=True)
    assert not (tmp_path / "out").exists()
    results.export("0001-lora/2/lerp/0.5", tmp_path / "out")


@pytest.mark.parametrize(
    ("found", "recorded", "words"),
    [
        ([True, False, True], [True, True, False], "2 of 3"),
        ([97.0, 3.0, 3.0], [2.0, 3.0, 3.0], "1 of 3"),  # classes have no distance
        ([[1.0, 0.0], [2.0, 2.0]], [[1.0, 0.0], [3.0, 2.0]], "1 of 2"),
        ([0.5, 1.25], [0.5, 1.0], "by up to 0.25"),
    ],
)
def test_items_with_another_result_are_counted_where_results_have_no_distance(
    found: list[Any], recorded: list[Any], words: str
) -> None:
    kind = bool if found[0] is True else np.float32
    one, other = (
        Score(rule="accuracy", items=np.array(items, dtype=kind), items_hash="") for items in (found, recorded)
    )
    assert differences({"a": one}, {"a": other}) == {"a": words}
