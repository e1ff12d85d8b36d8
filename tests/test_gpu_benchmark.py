"""The benchmark for GPUs: its arithmetic, its time limits, and every part at toy sizes on a machine that has only what
the core needs."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PARTS = ("models", "bits", "clip_train", "clip_score", "lm_train", "lm_score", "checkpoint")
NOT_THERE = ("ray", "mlflow", "optuna", "lm_eval", "datasets", "plotly", "matplotlib", "obstore", "pandas", "rich")


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.parametrize(
    ("unit", "ours", "theirs", "ratio"), [("images/s", 3.0, 2.0, 1.5), ("s", 3.0, 2.0, 2 / 3), ("s", 3.0, None, None)]
)
def test_a_ratio_above_one_is_always_good(unit: str, ours: float, theirs: float | None, ratio: float | None) -> None:
    from gpu_rows import Row

    row = Row(part="p", what="w", ours=ours, unit=unit, peer="peer", theirs=theirs)
    assert row.ratio == (None if ratio is None else pytest.approx(ratio))


@pytest.mark.parametrize(
    ("target", "at_most", "verdict"),
    [(None, False, ""), (1.5, False, "met"), (1.6, False, "missed"), (1.5, True, "met"), (1.4, True, "missed")],
)
def test_a_target_is_for_the_ratio_where_there_is_one(target: float | None, at_most: bool, verdict: str) -> None:
    from gpu_rows import Row

    beside = Row(part="p", what="w", ours=3, unit="x/s", peer="q", theirs=2, target=target, at_most=at_most)
    alone = Row(part="p", what="w", ours=1.5, unit="s", target=target, at_most=at_most)
    assert [beside.verdict, alone.verdict] == [verdict, verdict]


def test_what_could_not_be_measured_meets_nothing() -> None:
    from gpu_rows import Row

    alone = Row(part="p", what="w", ours=2500, unit="x/s", peer="q", theirs=None, target=0.97)
    unknown = Row(part="p", what="w", ours=float("nan"), unit="x/s", peer="q", theirs=2, target=0.97)
    assert [row.verdict for row in (alone, unknown)] == ["", ""]
    assert [row.cells[-3:] for row in (alone, unknown)] == [("", "≥ 0.97", "")] * 2


@pytest.mark.parametrize("slow", [0, 1, 2])
def test_parts_may_take_what_earlier_ones_left_and_keep_to_the_whole_together(slow: int) -> None:
    from gpu import limit_of

    limits, elapsed = [35.0, 70.0, 45.0], 0.0
    for number, own in enumerate(limits):
        limit = limit_of(number, limits, elapsed)
        assert limit >= 0.6 * own
        elapsed += limit if number == slow else 1.0
        if number == slow and number < 2:
            assert limit > own
    assert elapsed <= sum(limits)


def test_rows_survive_the_way_to_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    from gpu_rows import Row, read, table, tell

    row = Row(part="lm", what="one α", ours=0.25, unit="s", peer="HFLM", theirs=1.0, target=5)
    tell(row)
    found = read(capsys.readouterr().out.strip())
    assert found == row
    assert read("loading weights") is None
    assert table([row]).splitlines()[1].split() == [
        "lm:",
        "one",
        "α",
        "0.25",
        "s",
        "HFLM",
        "1",
        "4.00",
        "≥",
        "5",
        "missed",
    ]


def test_overlapping_kernels_are_counted_once() -> None:
    from gpu_profile import covered

    rng = np.random.default_rng(0)
    starts = rng.integers(0, 200, 40)
    ranges = [(int(start), int(start + length)) for start, length in zip(starts, rng.integers(0, 9, 40), strict=True)]
    seconds = {second for start, end in ranges for second in range(start, end)}
    assert covered(ranges) == len(seconds)
    assert covered([]) == 0


def test_a_part_beyond_its_limit_is_ended_with_its_children() -> None:
    from gpu import Watch

    sleeps = ["sh", "-c", "sleep 60 & wait"]
    child = subprocess.Popen(sleeps, stdout=subprocess.PIPE, text=True, start_new_session=True)
    watch, began = Watch(child, 0.5), time.monotonic()
    assert child.stdout is not None
    with watch:
        child.stdout.read()  # ends only when the grandchild has, too
    assert watch.ended_it
    assert time.monotonic() - began < 20


@pytest.mark.slow
def test_both_peers_of_scoring_find_the_same_log_likelihoods(tmp_path: Path) -> None:
    from gpu_models import TOY, new_lm, write_lm
    from lm_scoring_peers import by_hflm, by_plain_forward
    from transformers import AutoTokenizer

    device = torch.device("cpu")
    write_lm(tmp_path, TOY, device)
    lm: Any = new_lm(TOY, device).eval()
    rng = np.random.default_rng(0)
    sizes = zip(rng.integers(1, 20, 9), rng.integers(1, 9, 9), strict=True)
    pairs = [(rng.integers(4, TOY.vocab, a).tolist(), rng.integers(4, TOY.vocab, b).tolist()) for a, b in sizes]
    theirs = by_hflm(lm, AutoTokenizer.from_pretrained(tmp_path), pairs, 4)
    assert by_plain_forward(lm, pairs, 4) == pytest.approx(theirs, abs=1e-4)


@pytest.mark.slow
def test_both_peers_of_generation_write_the_same_answers(tmp_path: Path) -> None:
    from generation_peers import by_plain_generate, generate_by_hflm
    from gpu_models import TOY, new_lm, write_lm
    from transformers import AutoTokenizer

    device = torch.device("cpu")
    write_lm(tmp_path, TOY, device)
    lm: Any = new_lm(TOY, device).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    rng = np.random.default_rng(0)
    prompts = [rng.integers(4, TOY.vocab, length).tolist() for length in (3, 17, 9, 4, 12)]
    theirs = generate_by_hflm(lm, tokenizer, [tokenizer.decode(prompt) for prompt in prompts], 2, 8)
    plain = [tokenizer.decode(answer, skip_special_tokens=True) for answer in by_plain_generate(lm, prompts, 3, 8)]
    assert plain == theirs


@pytest.mark.slow
def test_every_part_runs_where_only_the_core_is_installed(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({NOT_THERE!r})); sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "import gpu\n"
        f"for part in {PARTS!r}: gpu.main(['--quick', '--one', part, '--folder', {str(tmp_path)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "FAILED" not in done.stdout, done.stdout + done.stderr[-3000:]
    from gpu_rows import read

    rows = [row for line in done.stdout.splitlines() if (row := read(line)) is not None]
    assert {row.part for row in rows} == {*PARTS} - {"models"}
    asked = {f"{row.part}: {row.what} / {row.peer}" for row in rows if row.target is not None}
    assert len(asked) >= 16, sorted(asked)
    assert all(np.isfinite(row.ours) for row in rows)


@pytest.mark.slow
def test_the_whole_ends_with_a_table(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--quick", "--parts", "checkpoint"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    whole = done.stdout.split("\nwhat ")[1]
    assert "checkpoint: training 3: beyond training and scoring" in whole
    assert "≤ 1" in whole
