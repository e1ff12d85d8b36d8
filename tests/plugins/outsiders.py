"""Somebody else's package, as an installer leaves it: its modules, and metadata made from its pyproject.toml."""

import shutil
import tomllib
from pathlib import Path

HERE = Path(__file__).parent


def install(name: str, site: Path) -> None:
    """Puts a package of this folder into a folder that stands for site-packages, without building or fetching anything.

    Args:
        name: its folder.
        site: to be put on the path (PYTHONPATH).
    """
    project = tomllib.loads((HERE / name / "pyproject.toml").read_text())["project"]
    for module in (HERE / name).glob("*.py"):
        shutil.copy(module, site)
    metadata = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = project["entry-points"].items()
    lines = (
        f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in points.items()) for group, points in groups
    )
    (metadata / "entry_points.txt").write_text("\n".join(lines))
