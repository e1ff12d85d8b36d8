"""The command line: quick to answer, one message for a mistake, nothing written by what only looks."""

import json
import os
import statistics
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import golden_text
import pytest
from command_types import Run, Says
from synthetic_sweep import reseal_space

from rayforget.cli import main


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )


def test_help_is_answered_without_any_heavy_import() -> None:
    heavy = {"torch", "ray", "pydantic", "numpy", "optuna", "mlflow", "open_clip", "rich", "pyarrow"}
    code = (
        "import sys, time; started = time.perf_counter(); sys.argv = ['rayforget', '--help']\n"
        "from rayforget.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print(sorted({heavy} & sys.modules.keys()), time.process_time())"
    )
    seconds = []
    for _ in range(3):
        found, _, spent = python(code).stdout.splitlines()[-1].rpartition(" ")
        assert found == "[]"
        seconds.append(float(spent))  # of the processor: a busy machine does not change it much
    assert statistics.median(seconds) < 0.5


def test_looking_at_the_record_imports_no_model_library_and_needs_no_letters(recorded: Path) -> None:
    heavy = {"torch", "ray", "optuna", "mlflow", "matplotlib", "plotly", "rayforget.space.models"}
    code = (
        "import sys\n"
        "from rayforget.cli import main\n"
        f"for command in (['list'], ['status', 'whole'], ['status', 'new']):\n"
        f"    sys.argv = ['rayforget', *command, '--storage', {str(recorded)!r}]\n"
        "    try: main()\n"
        "    except SystemExit as end: assert not end.code\n"
        f"print(sorted({heavy} & sys.modules.keys()))"
    )
    done = python(code, PYTHONIOENCODING="ascii")
    assert "26 of 27 trainings done" in done.stdout
    assert "recovered ?" in done.stdout  # for a dash
    assert (done.stdout.splitlines()[-1], done.stderr) == ("[]", "")


def test_a_mistake_is_one_message_on_standard_error_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rayforget", "status", "lost", "--storage", "runs"])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    assert (ended.value.code, captured.out) == (2, "")
    assert captured.err.count("\n") == 1
    golden_text.check("commands", "any command: there is no sweep at all", captured.err, {str(tmp_path): "HERE"})
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_system_is_one_line_and_a_closed_pipe_none() -> None:
    done = python(
        "import sys; sys.argv = ['rayforget', 'schema']\n"
        "import rayforget.cli, rayforget.space.file.schema\n"
        "def fail(): raise error\n"
        "rayforget.space.file.schema.json_schema = fail\n"
        "for error in PermissionError(13, 'Permission denied', 'x'), BrokenPipeError():\n"
        "    try: rayforget.cli.main()\n"
        "    except SystemExit as end: print('exit code', end.code, file=sys.stderr)\n"
    )
    assert done.stdout == ""
    golden_text.check("commands", "any command: the system refuses, then a closed pipe", done.stderr)


def test_the_version_is_that_of_the_installed_package(run: Run) -> None:
    assert run("--version") == (0, f"{metadata.version('rayforget')}\n")


def test_schema_prints_json(run: Run) -> None:
    code, output = run("schema")
    assert code == 0
    assert {"foundation", "tasks", "methods"} <= json.loads(output)["properties"].keys()


@pytest.mark.parametrize("command", ["status", "frontier", "mirror", "ui", "rm --yes"])
def test_a_sweep_that_does_not_exist_is_named_beside_those_that_do(command: str, says: Says, recorded: Path) -> None:
    before = set(recorded.rglob("*"))
    assert says("any command: there is no such sweep", *command.split(), "lost") == 2
    assert set(recorded.rglob("*")) == before


def test_a_damaged_space_and_one_of_a_newer_version_are_one_line(run: Run, recorded: Path) -> None:
    path = recorded / "half" / "space.json"
    texts = {text: text for text in ("", "{}", "[1]", '{"tasks": {"a": 1}}')}
    texts["as it was, and colour: red"] = json.dumps({**json.loads(path.read_text()), "colour": "red"})
    said = []
    texts["edited after the sweep was created"] = path.read_text().replace('"seed":0', '"seed":1', 1)
    for name, text in texts.items():
        if name == "edited after the sweep was created":
            path.write_text(text)
        else:
            reseal_space(path.parent, text)
        said.append(f"\nspace.json: {name}")
        refusals: dict[str, list[str]] = {}
        for command in ("status", "frontier", "mirror", "sweep --resume"):
            code, message = run(*command.split(), "half")
            if code == 2:
                assert len(message.splitlines()) == 1
                refusals.setdefault(message, []).append(command)
            else:
                assert (command, code, name) == ("status", 0, "as it was, and colour: red")
        said += [f"  {', '.join(commands)}: {message}" for message, commands in refusals.items()]
        code, listed = run("list")
        assert code == 0
        said += [f"  list: {' '.join(line.split())}" for line in listed.splitlines() if "cannot be read" in line]
    replace = {str(recorded.parent): "HERE"}
    golden_text.check("commands", "any command: the space of a sweep is damaged", "\n".join(said), replace)


def test_ui_refuses_a_port_that_cannot_be_and_says_how_to_make_a_mirror(
    says: Says, recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for port in (0, 65536):
        assert says(f"ui: port {port}", "ui", "whole", "--port", port) == 2
    assert says("ui: nothing is mirrored", "ui", "whole") == 2


def test_rm_asks_and_deletes_one_sweep_alone(says: Says, recorded: Path) -> None:
    assert says("rm: nobody said yes", "rm", "new") == 1
    assert (recorded / "new").is_dir()
    assert says("rm: --yes", "rm", "new", "--yes") == 0
    assert sorted(path.name for path in recorded.iterdir()) == ["half", "whole"]
