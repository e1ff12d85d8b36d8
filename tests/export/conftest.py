"""Two sweeps, recorded once for all tests of exports, and commands on them."""

import pytest
from small_sweeps import Recorded, clip_space, language_space, recorded
from typer.testing import CliRunner

from rayforget.cli import app
from rayforget.errors import RayforgetError


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A CLIP trained with each head; `plain` has head: frozen."""
    folder = tmp_path_factory.mktemp("pictures")
    methods = {"head": {"head": "trained"}, "text": {"head": "text"}}
    return recorded(folder, clip_space(folder, methods, quick_gelu=True))


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """The built-in language model trained in full and by LoRA."""
    folder = tmp_path_factory.mktemp("words")
    lora = {"adapter": {"kind": "lora", "rank": 4}, "learning_rate": 2e-2}
    return recorded(folder, language_space(folder, "builtin", {"lora": lora}))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    """Runs a command; gives the exit code that `main` would give, and the output or message."""
    monkeypatch.delenv("RAYFORGET_STORAGE", raising=False)
    monkeypatch.setenv("COLUMNS", "1000")

    def run_command(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(each) for each in arguments], prog_name="rayforget")
        if isinstance(result.exception, RayforgetError):
            return 2, str(result.exception)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return run_command
