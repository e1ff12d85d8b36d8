"""Who may import whom: verified in fresh interpreters without the forbidden packages, and by reading the imports."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import rayforget

ROOT = Path(rayforget.__file__).parent
IMPORT_ALL = """
import importlib, pkgutil, sys

from importlib.machinery import PathFinder

class Without(PathFinder):  # other libraries ask whether a package is there, so it must be missing rather than raise
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {blocked} else super().find_spec(name, path, target)

sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
for top in {names}:
    module = importlib.import_module("rayforget." + top)
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), module.__name__ + "."):
        importlib.import_module(found.name)
"""


def import_without(blocked: set[str], names: list[str], *, then: str = "") -> None:
    """Imports every module in these parts of rayforget, as if the blocked packages did not exist, then runs a code."""
    code = IMPORT_ALL.format(blocked=sorted(blocked), names=names) + then
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@cache
def imports_of(path: Path) -> tuple[str, ...]:
    """Every module imported anywhere in a file, including inside functions and for type checkers."""
    return tuple(_imports(ast.parse(path.read_text()), path))


def _imports(tree: ast.Module, path: Path) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(package: str) -> list[str]:
    """Files below rayforget that import a package or module, by relative path."""
    return sorted(
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if any(name == package or name.startswith(f"{package}.") for name in imports_of(path))
    )


def test_values_need_neither_torch_nor_ray_nor_any_model_library() -> None:
    heavy = {"torch", "ray", "optuna", "mlflow", "open_clip", "transformers", "peft"}
    import_without(heavy, ["space", "frontier", "metrics", "values", "errors"])


@pytest.mark.slow
def test_the_core_needs_neither_ray_nor_optuna_nor_mlflow() -> None:
    core = ["train", "interpolate", "evaluate", "tasks", "foundations", "trial", "record"]
    import_without({"ray", "optuna", "mlflow"}, core)


@pytest.mark.parametrize(("package", "home"), [("ray", "on_ray/"), ("optuna", "search/"), ("mlflow", "report/mlflow/")])
def test_a_library_is_imported_in_its_one_place_only(package: str, home: str) -> None:
    found = importers(package)
    assert found, f"nothing imports {package}: does this test look in the right place?"
    assert [path for path in found if not path.startswith(home)] == []


@pytest.mark.parametrize("part", ["train", "interpolate", "evaluate"])
def test_train_interpolate_and_evaluate_never_import_each_other(part: str) -> None:
    others = {"train", "interpolate", "evaluate"} - {part}
    assert [path for other in others for path in importers(f"rayforget.{other}") if path.startswith(f"{part}/")] == []


def test_only_the_edges_import_the_ray_folder() -> None:
    assert set(importers("rayforget.on_ray")) - {
        f"commands/{name}.py" for name in ("attach", "logs", "stop", "submit", "sweep", "ui")
    } <= {path.relative_to(ROOT).as_posix() for path in (ROOT / "on_ray").rglob("*.py")}


FAMILIES = sorted(path.parent.name for path in (ROOT / "foundations").glob("*/kind.py"))
"""The folders of foundations, which have the names of their kinds."""


def knows_a_family(code: str) -> list[str]:
    """Code's mentions of one kind of foundation: an import of its folder, or its name as a value."""
    tree = ast.parse(code)
    imported = [
        name for name in _imports(tree, Path("code")) for kind in FAMILIES if f"{name}.".startswith(_folder_of(kind))
    ]
    values = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in FAMILIES]
    return [*imported, *map(str, values)]


def _folder_of(kind: str) -> str:
    return f"rayforget.foundations.{kind}."


def test_nothing_outside_the_foundations_asks_which_kind_one_is() -> None:
    assert FAMILIES == ["causal_lm", "clip"]
    found = {
        path.relative_to(ROOT).as_posix(): known
        for path in ROOT.rglob("*.py")
        if path.relative_to(ROOT).parts[0] not in ("foundations", "builtin")
        and (known := knows_a_family(path.read_text()))
    }
    assert found == {"space/foundation.py": FAMILIES[::-1]}, "only the registry names them"


@pytest.mark.parametrize(
    "code",
    [
        "if space.foundation.kind == 'clip': pass",
        "if spec.kind in {'causal_lm'}: pass",
        "match kind:\n    case 'clip': pass",
        "import rayforget.foundations.clip.model",
        "def load():\n    from rayforget.foundations.causal_lm import kind",
        "from rayforget.foundations import clip",
    ],
)
def test_each_way_of_asking_would_be_found(code: str) -> None:
    assert knows_a_family(code)
    assert not knows_a_family("from rayforget.foundations.kind import kind_of\nclipped = kind_of(spec).load(spec)")


def test_only_tasks_and_foundations_tell_images_from_texts() -> None:
    homes = ("tasks/", "foundations/", "builtin/")
    for resolved in ("rayforget.tasks.resolved.ResolvedTask", "rayforget.tasks.text.resolved.ResolvedText"):
        assert [path for path in importers(resolved) if not path.startswith(homes)] == []


def test_no_part_of_a_family_is_imported_by_another_family() -> None:
    for kind in FAMILIES:
        others = tuple(f"foundations/{other}/" for other in FAMILIES if other != kind)
        assert [path for path in importers(f"rayforget.foundations.{kind}") if path.startswith(others)] == []


def module_of(path: Path) -> str:
    """The file's module, e.g. `rayforget.space.file.load`; for an `__init__.py` its package."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def house_of(module: str) -> str:
    """The folder below rayforget in which a module lies, or the module itself if it lies in none."""
    return ".".join(module.split(".")[:2])


def imports_among_us() -> dict[str, set[str]]:
    """Module -> rayforget's modules that it imports anywhere in the file, including for type checkers."""
    modules = {module_of(path): path for path in ROOT.rglob("*.py")}
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        names = (name if name in modules else name.rpartition(".")[0] for name in imports_of(path))
        found[module] = {name for name in names if name in modules} - {module}
    return found


def circle(imports: dict[str, set[str]]) -> list[str]:
    """Nodes that import each other in a circle, the first of them again at the end; empty if there is no circle."""
    try:
        tuple(TopologicalSorter(imports).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_file_imports_itself_around() -> None:
    imports = imports_among_us()
    assert sum(map(len, imports.values())) > 500, "are the imports found?"
    assert circle(imports) == []


def test_no_folder_imports_itself_around() -> None:
    houses: dict[str, set[str]] = {}
    for module, imported in imports_among_us().items():
        houses.setdefault(house_of(module), set()).update(house_of(name) for name in imported)
    assert circle({house: imported - {house} for house, imported in houses.items()}) == []


def test_a_circle_would_be_found() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}
