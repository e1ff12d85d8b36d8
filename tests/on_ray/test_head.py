"""Cluster files: how SSH reaches the head, from the file alone or by Ray's launcher."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from rayforget.errors import RayforgetError
from rayforget.on_ray.remote.head import Head, head_of

ROOT = Path(__file__).resolve().parents[2]
LISTS = (
    "cluster_synced_files",
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)
PROVIDER = """\
from ray.autoscaler.node_provider import NodeProvider
from ray.autoscaler.tags import NODE_KIND_HEAD, STATUS_UP_TO_DATE, TAG_RAY_NODE_KIND, TAG_RAY_NODE_STATUS

class Cloud(NodeProvider):
    def non_terminated_nodes(self, tag_filters):
        return ["node-7"] if self.provider_config["up"] else []

    def node_tags(self, node_id):
        return {TAG_RAY_NODE_KIND: NODE_KIND_HEAD, TAG_RAY_NODE_STATUS: STATUS_UP_TO_DATE}

    def external_ip(self, node_id):
        return "203.0.113.7"

    def internal_ip(self, node_id):
        return "10.0.0.7"
"""


def test_own_machines_need_nothing_but_their_file() -> None:
    key = os.path.expanduser("~/.ssh/id_ed25519")
    found = head_of(ROOT / "cluster" / "own-machines.yaml")
    assert found == Head(target="ubuntu@192.168.0.10", options=("-i", key))


def test_a_gate_between_the_user_and_own_machines_is_passed(tmp_path: Path) -> None:
    config = {
        "provider": {"type": "local", "head_ip": "head"},
        "auth": {"ssh_user": "me", "ssh_proxy_command": "ssh -W %h:%p you@gate"},
    }
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(config))
    assert head_of(file) == Head(target="me@head", options=("-o", "ProxyCommand=ssh -W %h:%p you@gate"))


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A cluster file of a cloud that Ray's launcher knows by its provider alone."""
    (tmp_path / "some_cloud.py").write_text(PROVIDER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # the launcher remembers configurations there
    monkeypatch.setattr("tempfile.tempdir", None)
    return {
        "cluster_name": "there",
        "max_workers": 0,
        "provider": {"type": "external", "module": "some_cloud.Cloud", "up": True},
        "auth": {"ssh_user": "ubuntu", "ssh_private_key": "/keys/of ray", "ssh_proxy_command": "ssh -W %h:%p you@gate"},
        "head_node_type": "head",
        "file_mounts": {},
        **{name: [] for name in LISTS},
        "available_node_types": {"head": {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0}},
    }


@pytest.mark.slow  # imports Ray
def test_a_cloud_is_asked_through_rays_launcher(
    cloud: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(cloud))
    found = head_of(file)
    assert found.target == "ubuntu@203.0.113.7"
    assert found.options[:2] == ("-i", "/keys/of ray")
    assert "ProxyCommand=ssh -W %h:%p you@gate" in found.options
    assert capfd.readouterr() == ("", "")

    cloud["provider"]["use_internal_ips"] = True
    file.write_text(yaml.safe_dump(cloud))
    assert head_of(file).target == "ubuntu@10.0.0.7"


@pytest.mark.slow
def test_a_cluster_that_is_down_is_said_to_be_so(cloud: dict[str, Any], tmp_path: Path) -> None:
    cloud["provider"]["up"] = False
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(cloud))
    with pytest.raises(RayforgetError, match=r"not found!\); is it up\? ray up .*cluster.yaml"):
        head_of(file)


def test_what_is_no_cluster_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RayforgetError, match="no cluster file"):
        head_of(tmp_path / "missing.yaml")
    for name, text in {"space": "name: a\n", "torn": "a: [", "list": "- a\n"}.items():
        file = tmp_path / f"{name}.yaml"
        file.write_text(text)
        with pytest.raises(RayforgetError, match="cluster file"):
            head_of(file)
    file.write_text(yaml.safe_dump({"provider": {"type": "local", "head_ip": "x"}}))
    with pytest.raises(RayforgetError, match=r"auth\.ssh_user is missing"):
        head_of(file)
