"""Every kind of mistake in a space file is one line that names file, line and key, what was found and what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rayforget.errors import SpaceError
from rayforget.space.load import load_space

REFUSALS = {
    "unknown key at the top": ({1: "nam: tiny"}, 1, "nam", "unknown key; did you mean name?"),
    "unknown key far from any": ({33: "  seed: 0\n  zzz: 1"}, 34, "search.zzz", "known here: trainings, seeds, seed,"),
    "unknown key in a recipe": ({19: "  epoch: 2"}, 19, "recipe.epoch", "did you mean epochs?"),
    "unknown key in a penalty": (
        {27: "      - {kind: l2,\n         strenth: 1}"},
        28,
        "methods.l2.penalties.l2.strenth",
        "did you mean strength?",
    ),
    "unknown key in plain": ({30: "    penalties: []"}, 30, "plain.set.penalties", "unknown key; known here: head,"),
    "missing key": ({33: "  startup: 2"}, 31, "search.seed", "is missing; add `seed:` (The sweep's seed"),
    "missing kind of a task": (
        {5: ""},
        4,
        "tasks.shapes",
        "has no kind; add `kind:`, one of zero_shot, multiple_choice",
    ),
    "missing kind of a union": ({24: "    adapter: {rank: 2}"}, 24, "methods.lora.adapter", "one of full, lora"),
    "unknown kind": (
        {24: "    adapter: {kind: lore}"},
        24,
        "methods.lora.adapter.kind",
        'found "lore"; did you mean lora?',
    ),
    "text for a whole number": ({19: "  epochs: many"}, 19, "recipe.epochs", 'found "many"; write a whole number'),
    "fraction for a whole number": (
        {32: "  trainings: 6.5"},
        32,
        "search.trainings",
        "found 6.5; write a whole number",
    ),
    "quoted number": ({32: '  trainings: "6"'}, 32, "search.trainings", 'found "6"; write a whole number'),
    "true for a number": ({19: "  epochs: true"}, 19, "recipe.epochs", "found true; write a whole number"),
    "yes for a switch": (
        {20: "  batch_size: 8\n  compile: yes"},
        21,
        "recipe.compile",
        'found "yes"; write true or false',
    ),
    "number for text": ({1: "name: 5"}, 1, "name", "found 5; write text, in quotes"),
    "number for a list": ({33: "  seed: 0\ncurve:\n  fractions: 1"}, 35, "curve.fractions", "found 1; write a list"),
    "nothing for a mapping": ({22: "  full:"}, 22, "methods.full", "found nothing; write a mapping"),
    "text for an adapter": ({24: "    adapter: lora"}, 24, "methods.lora.adapter", 'found "lora"; write a mapping'),
    "not a number": ({30: "    learning_rate: .nan"}, 30, "plain.set.learning_rate", "write a finite number"),
    "infinite strength": (
        {27: "      - {kind: l2, strength: .inf}"},
        27,
        "methods.l2.penalties.l2.strength",
        "write a finite number",
    ),
    "below the bound": ({30: "    learning_rate: 0"}, 30, "plain.set.learning_rate", "found 0; write a number above 0"),
    "not one of a few": (
        {20: "  batch_size: 8\n  precision: bf61"},
        21,
        "recipe.precision",
        'found "bf61"; write one of',
    ),
    "bad name": ({22: "  Full: {}"}, 22, "methods.Full", "write a name of lower-case letters"),
    "a long name": ({1: f"name: {'n' * 101}"}, 1, "name", "write at most 100 letters"),
    "a step beyond all digits": (
        {18: "  learning_rate: {low: 0.1, high: 1, step: 1.0e-300}"},
        18,
        "recipe.learning_rate.step",
        "found 1e-300, too small a step",
    ),
    "too many epochs": ({19: "  epochs: 10001"}, 19, "recipe.epochs", "a number of at most 10000"),
    "an end with too many epochs": (
        {19: "  epochs: {low: 1, high: 1000000000}"},
        19,
        "recipe.epochs.high",
        "at most 10000",
    ),
    "too many pictures": (
        {8: "    train: {kind: world, style: photo, split: train, count: 10000001}"},
        8,
        "tasks.shapes.train.count",
        "a number of at most 10000000",
    ),
    "no path": ({33: "  seed: 0\nresources: {cache: ''}"}, 34, "resources.cache", "found no path"),
    "the folder of nobody": (
        {33: "  seed: 0\nstorage: {path: ~nosuchuser/x}"},
        34,
        "storage.path",
        "this machine has no such user",
    ),
    "no method": ({22: "", 23: "", 24: "", 25: "", 26: "", 27: "", 21: "methods: {}"}, 21, "methods", "at least 1"),
    "a domain with low above high": (
        {18: "  learning_rate: {low: 2, high: 1}"},
        18,
        "recipe.learning_rate.low",
        "swap",
    ),
    "a log domain from zero": (
        {27: "      - {kind: l2, strength: {low: 0, high: 1, log: true}}"},
        27,
        "methods.l2.penalties.l2.strength.low",
        "raise low",
    ),
    "a log domain with steps": (
        {24: "    adapter: {kind: lora, rank: {low: 1, high: 8, log: true, step: 1}}"},
        24,
        "methods.lora.adapter.rank.step",
        "remove one",
    ),
    "steps that miss the end": ({19: "  epochs: {low: 1, high: 4, step: 2}"}, 19, "recipe.epochs.step", "never reach"),
    "an end that the field refuses": (
        {24: "    adapter: {kind: lora, rank: {low: 0, high: 8}}"},
        24,
        "methods.lora.adapter.rank.low",
        "found 0; write a number above 0",
    ),
    "an end that is no whole number": ({19: "  epochs: {low: 1, high: 2.5}"}, 19, "recipe.epochs.high", "whole number"),
    "an end that is missing": ({19: "  epochs: {low: 1}"}, 19, "recipe.epochs.high", "is missing; add `high:`"),
    "an unknown key in a domain": ({19: "  epochs: {low: 1, high: 2, lg: true}"}, 19, "recipe.epochs.lg", "mean log?"),
    "a choice of nothing": ({19: "  epochs: {choice: []}"}, 19, "recipe.epochs.choice", "at least 1"),
    "another kind of task": ({5: "    kind: zero_shoot"}, 5, "tasks.shapes.kind", "did you mean zero_shot?"),
    "a kind that is no text": (
        {24: "    adapter: {kind: [1]}"},
        24,
        "methods.lora.adapter.kind",
        "found [1]; known here: full",
    ),
    "a choice listed twice": ({19: "  epochs: {choice: [1, 2, 1]}"}, 19, "recipe.epochs.choice.2", "1 is listed twice"),
    "a choice that the field refuses": (
        {20: "  batch_size: 8\n  precision: {choice: [fp32, fp8]}"},
        21,
        "recipe.precision.choice.1",
        'found "fp8"; write one of',
    ),
    "a range of words": ({20: "  batch_size: 8\n  head: {low: 1, high: 2}"}, 21, "recipe.head.low", "unknown key"),
    "a domain in plain.set": (
        {30: "    learning_rate: {low: 1, high: 2}"},
        30,
        "plain.set.learning_rate",
        "write a number",
    ),
    "an unset variable": ({1: "name: ${RAYFORGET_TEST_UNSET}"}, 1, "name", "which is set neither under vars nor"),
    "a malformed variable": ({1: "name: ${a b}"}, 1, "name", "a variable is written ${name}"),
    "an unused variable": ({1: "name: tiny\nvars:\n  data: /x"}, 3, "vars.data", "is used nowhere"),
}


@pytest.mark.parametrize(("lines", "line", "key", "text"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_mistake_is_one_line_that_names_its_place(
    told: Callable[[dict[int, str], str], tuple[int, str]], lines: dict[int, str], line: int, key: str, text: str
) -> None:
    found_line, found_text = told(lines, key)
    assert found_line == line
    assert text in found_text


SYNTAX = {
    "a key given twice": ({19: "  epochs: 2\n  epochs: 3"}, 20, "found epochs twice (first in line 19)"),
    "an open bracket": ({18: "  learning_rate: {low: 1"}, 19, "not YAML"),
    "a tab": ({19: "\tepochs: 2"}, 19, "not YAML"),
    "a merge key": ({19: "  epochs: 2\n  <<: {}"}, 20, "merge keys"),
    "a tag": ({19: "  epochs: !python 2"}, 19, "a space file has no tags"),
    "a list as a key": ({19: "  ? [a]\n  : 2"}, 19, "keys are text"),
    "a deep nest": ({19: f"  epochs: {'[' * 60}{']' * 60}"}, 19, "nested deeper than 50"),
    "an endless alias": ({19: "  epochs: &a [*a]"}, 19, "an alias that holds itself"),
}


@pytest.mark.parametrize(("lines", "line", "text"), SYNTAX.values(), ids=SYNTAX.keys())
def test_what_is_not_readable_names_its_line(
    small_space: Callable[..., Path], lines: dict[int, str], line: int, text: str
) -> None:
    path = small_space(lines)
    with pytest.raises(SpaceError) as caught:
        load_space(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert text in str(caught.value)


def test_all_mistakes_are_told_at_once(small_space: Callable[..., Path]) -> None:
    path = small_space({19: "  epochs: 0", 32: "  trainings: no", 24: "    adapter: {kind: lora}"})
    with pytest.raises(SpaceError) as caught:
        load_space(path)
    places = [line.split(": ")[0] for line in str(caught.value).splitlines()]
    assert places == [f"{path}:{line}" for line in (19, 24, 32)]


def test_a_nest_deeper_than_the_reader_goes_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("a: " + "[" * 5000)
    with pytest.raises(SpaceError, match=r"^[^\n]*space\.yaml: lists or mappings nested deeper than 50"):
        load_space(tmp_path / "space.yaml")


def test_classes_that_are_no_texts_are_not_too_few_as_well(small_space: Callable[..., Path]) -> None:
    with pytest.raises(SpaceError) as caught:
        load_space(small_space({7: "    templates: ['a {}']\n    classes: [1, 2]"}))
    assert len(str(caught.value).splitlines()) == 2
    assert "at least" not in str(caught.value)


def test_a_shared_mistake_is_told_once(small_space: Callable[..., Path]) -> None:
    with pytest.raises(SpaceError) as caught:
        load_space(small_space({20: "  batch_size: 9\n  accumulation: 2"}))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("text", "found"), [("", "nothing"), ("- 1", r"\[1\]"), ("word", "'word'")])
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(SpaceError, match=rf"space\.yaml:1: found {found}; a space file is a mapping"):
        load_space(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"none\.yaml: no such file"):
        load_space(tmp_path / "none.yaml")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpaceError, match="cannot be read as text"):
        load_space(tmp_path / "space.yaml")
