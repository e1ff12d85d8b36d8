"""A cluster file -> the SSH command that Ray's own launcher would run on the head, as of `ray attach`."""

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from rayforget.errors import RayforgetError
from rayforget.on_ray.session import prepare_environment


class _NotRun:
    """Stands where the launcher expects Python's `subprocess`; keeps the command and runs nothing."""

    def __init__(self) -> None:
        self.command: list[str] = []

    def check_output(self, command: list[str], **_: Any) -> bytes:
        """Notes the command."""
        self.command = command
        return b""


def ask_launcher(file: Path) -> tuple[str, tuple[str, ...]]:
    """`USER@ADDRESS` of the head, and options of `ssh`, as Ray's launcher has them; asks the cloud where the head is.

    Raises:
        RayforgetError: the launcher finds no head, lacks a library or credentials, or does not reach it by SSH.
    """
    prepare_environment()
    said = io.StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(said):
            command = _ssh_command(file)
    except ImportError as error:
        raise RayforgetError(
            f"{file}: Ray's launcher lacks a library of its cloud ({error}); for AWS start this command by: "
            "uv run --with 'boto3>=1.34,<2' rayforget ..."
        ) from None
    except (Exception, SystemExit) as error:  # Ray's, click's, and whatever the cloud's library raises
        told = f"{type(error).__name__}: {str(error).strip() or said.getvalue().strip()}"
        raise RayforgetError(
            f"Ray's launcher does not find the head of {file}'s cluster ({' '.join(told.split())[-300:]}); is it up? "
            f"ray up {file}"
        ) from None
    if len(command) < 3 or command[0] != "ssh":
        raise RayforgetError(f"{file}: its head is not reached by SSH; forward its port 8265, and give --address")
    return command[-2], tuple(word for word in command[1:-2] if word not in ("-t", "-tt"))


def _ssh_command(file: Path) -> list[str]:
    import yaml
    from ray.autoscaler._private import commands
    from ray.autoscaler._private.providers import _get_node_provider

    config = commands._bootstrap_config(yaml.safe_load(file.read_text(encoding="utf-8")))
    provider = _get_node_provider(config["provider"], config["cluster_name"])
    head = commands._get_running_head_node(config, str(file), None, _provider=provider, _allow_uninitialized_state=True)
    inside = config["provider"].get("use_internal_ips", False)
    not_run = _NotRun()
    runner = provider.get_command_runner(
        log_prefix="",
        node_id=head,
        auth_config=config["auth"],
        cluster_name=config["cluster_name"],
        process_runner=not_run,
        use_internal_ip=inside and not config["provider"].get("use_external_head_ip", False),
        docker_config=None,  # the dashboard's port is the host's
    )
    runner.run(with_output=True, timeout=20)  # without a command of ours the last word is the launcher's own
    return not_run.command
