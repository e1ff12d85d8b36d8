"""A cluster file of Ray's launcher -> how SSH reaches the cluster's head.

For machines of one's own the file says all of it. For a cloud Ray's launcher is asked, which knows the head's address
and the key that `ray up` made.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rayforget.errors import RayforgetError


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What to tell `ssh`."""

    target: str
    """`USER@ADDRESS`."""
    options: tuple[str, ...] = ()
    """Key and proxy, as options of `ssh`."""


def head_of(file: Path) -> Head:
    """The head of the cluster that `ray up FILE` made.

    Raises:
        RayforgetError: the file is no cluster's, or its cluster has no head.
    """
    config = _read(file)
    provider = config["provider"]
    if provider.get("type") == "local" and provider.get("head_ip"):
        return _of_own_machines(file, config)
    from rayforget.on_ray.remote.launcher import ask_launcher

    target, options = ask_launcher(file)
    return Head(target=target, options=options)


def _of_own_machines(file: Path, config: Mapping[str, Any]) -> Head:
    """Without Ray's launcher: what it remembers of such clusters is gone after a restart, and on any other machine."""
    auth = config.get("auth")
    if not isinstance(auth, Mapping) or not auth.get("ssh_user"):
        raise RayforgetError(f"{file}: auth.ssh_user is missing; write the user whom the machines know")
    options: tuple[str, ...] = ()
    if auth.get("ssh_private_key"):
        options = ("-i", os.path.expanduser(str(auth["ssh_private_key"])))
    if auth.get("ssh_proxy_command"):
        options += ("-o", f"ProxyCommand={auth['ssh_proxy_command']}")
    return Head(target=f"{auth['ssh_user']}@{config['provider']['head_ip']}", options=options)


def _read(file: Path) -> Mapping[str, Any]:
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RayforgetError(f"no cluster file {file}; give the one of `ray up`: --cluster cluster.yaml") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RayforgetError(f"{file} cannot be read as a cluster file: {' '.join(str(error).split())}") from None
    if not isinstance(config, Mapping) or not isinstance(config.get("provider"), Mapping):
        raise RayforgetError(
            f"{file} is no cluster file: it names no provider; give the file of `ray up` (--cluster cluster.yaml), the "
            "space file comes first, without an option"
        )
    return config
