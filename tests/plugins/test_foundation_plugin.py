"""Another package's foundation: space file, check, pickling; if it is missing, one line says so.

A sweep of it is in `test_sweep_of_outsiders.py`.
"""

import platform
from pathlib import Path

import pytest
from plugins.outsiders import SPACE as CLIP_SPACE
from plugins.outsiders import install, python, rayforget

OURS = "foundation: {kind: clip, model: builtin}"
THEIRS = "foundation: {kind: pixels, model: random, classes: 20}"
METHODS = "methods:\n  l2:\n    penalties: [{kind: l2, strength: {low: 1, high: 10, log: true}}]\n"
SPACE = (
    CLIP_SPACE.replace(OURS, THEIRS)
    .replace("head: frozen, ", "")
    .replace(CLIP_SPACE[CLIP_SPACE.index("methods:") : CLIP_SPACE.index("plain:")], METHODS)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "space.yaml").write_text(SPACE)
    return tmp_path


def test_where_its_package_is_missing_one_line_says_so(folder: Path) -> None:
    done = rayforget(folder, "check", "space.yaml", "--no-probe")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert 'space.yaml:3: foundation.kind: found "pixels"; known here: clip, causal_lm' in line


def test_its_keys_tasks_and_recipes_are_checked_as_ours_are(folder: Path) -> None:
    install("pixels", folder / "site")
    wrong = SPACE.replace("classes: 20", "classes: 0, widht: 3")
    (folder / "space.yaml").write_text(wrong)
    done = rayforget(folder, "check", "space.yaml", "--no-probe")
    assert done.returncode == 2
    assert "space.yaml:3: foundation.classes: found 0; write a number above 0" in done.stderr
    assert "space.yaml:3: foundation.widht: unknown key; did you mean width?" in done.stderr
    (folder / "space.yaml").write_text(SPACE.replace("recipe: {", "recipe: {head: frozen, "))
    done = rayforget(folder, "check", "space.yaml", "--no-probe")
    assert "recipe.head: has no effect with foundation.kind: pixels (there is one way to train it)" in done.stderr


@pytest.mark.slow
def test_it_is_planned_in_its_own_words_from_real_steps(folder: Path) -> None:
    install("pixels", folder / "site")
    done = rayforget(folder, "check", "space.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    words = " ".join(done.stdout.split())
    assert "40 pictures" in words
    assert "one picture 192 bytes shrunk" in words
    assert "to shrink a picture" in words


def test_a_space_of_it_travels_to_those_that_have_the_package_and_says_what_the_others_lack(folder: Path) -> None:
    install("pixels", folder / "site")
    code = "import pickle; from pathlib import Path; from rayforget.space.file.load import load_space"
    pack = "from rayforget.on_ray.parcel import Parcel; parcel = Parcel.of(load_space(Path('space.yaml')).space)"
    unpack = "import pickle; from pathlib import Path; parcel = pickle.loads(Path('sent').read_bytes())"
    there = python(folder, "-c", f"{code}; {pack}; Path('sent').write_bytes(pickle.dumps(parcel))")
    assert there.returncode == 0, there.stderr
    assert python(folder, "-c", f"{unpack}; print(parcel.unpacked().foundation.classes)").stdout == "20\n"
    done = python(folder, "-c", f"{unpack}; print('arrived'); parcel.unpacked()", site=False)
    assert (done.returncode, done.stdout) == (1, "arrived\n")
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"rayforget.errors.SpaceError: node {platform.node()} lacks what the space names: ")
    assert "there is no foundation 'pixels' here (there are: clip, causal_lm); a package that brings it" in last
