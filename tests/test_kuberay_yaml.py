"""cluster/kuberay.yaml and the image: what nodes elsewhere get, and an entry point that may run again."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
JOB: dict[str, Any] = yaml.safe_load((ROOT / "cluster" / "kuberay.yaml").read_text())["spec"]
RAY: dict[str, Any] = JOB["rayClusterSpec"]
HEAD: dict[str, Any] = RAY["headGroupSpec"]
(WORKERS,) = RAY["workerGroupSpecs"]
PER_NODE = {"PATH", "RAY_AUTH_MODE"}
"""What elsewhere stands in a file of each node; here the image and KubeRay's `authOptions` say it."""


def containers(group: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in group["template"]["spec"]["containers"]}


def test_its_pods_get_the_environment_of_other_clusters_nodes() -> None:
    commands = yaml.safe_load((ROOT / "cluster.yaml").read_text())["initialization_commands"]
    pairs = dict(word.strip("'").split("=", 1) for word in commands[0].split() if "=" in word)
    expected = {name: value for name, value in pairs.items() if name not in PER_NODE}
    for each in (*containers(HEAD).values(), *containers(WORKERS).values()):
        assert {pair["name"]: pair["value"] for pair in each["env"]} == expected
        assert each["image"] == containers(HEAD)["ray-head"]["image"]


def test_rays_version_is_the_pinned_one_and_the_token_is_asked_for() -> None:
    (pinned,) = re.findall(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert RAY["rayVersion"] == pinned
    assert RAY["authOptions"] == {"mode": "token"}
    assert HEAD["rayStartParams"]["num-cpus"] == "0"


def test_mlflow_is_started_as_on_other_heads() -> None:
    script = (ROOT / "cluster" / "mlflow.sh").read_text()
    command = " ".join(containers(HEAD)["mlflow"]["command"])
    for flag in ("--host 127.0.0.1", "--port 5000", "--workers 1", "--backend-store-uri", "--artifacts-destination"):
        assert flag in command
        assert flag in script


def test_the_image_has_all_that_the_files_call() -> None:
    lines = (ROOT / "cluster" / "image" / "Dockerfile").read_text()
    copied = {name for line in re.findall(r"^COPY (.+)$", lines, re.MULTILINE) for name in line.split()[:-1]}
    assert all((ROOT / name).exists() for name in copied)
    mounts = yaml.safe_load((ROOT / "cluster.yaml").read_text())["file_mounts"].values()
    travelling = {name for name in mounts if not name.startswith(("~", ".git"))}
    assert copied == travelling
    script = Path(JOB["entrypoint"].split()[0])
    assert os.access(ROOT / script.relative_to("/home/ray/rayforget"), os.X_OK)


@pytest.mark.parametrize("there", [False, True])
def test_the_entry_point_begins_a_sweep_or_goes_on_with_it(there: bool, tmp_path: Path) -> None:
    said = tmp_path / "said"
    command = tmp_path / "rayforget"  # in place of the whole sweep; the shell script itself is run
    command.write_text(f'#!/bin/sh\n[ "$1" = status ] && exit {0 if there else 2}\necho "$@" >> {said}\nexit 7\n')
    command.chmod(0o755)
    words = JOB["entrypoint"].split()
    done = subprocess.run(
        [str(ROOT / "cluster" / "sweep_or_resume.sh"), *words[1:]],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        check=False,
    )
    begun = "sweep --resume first" if there else "sweep /spaces/space.yaml --name first"
    assert said.read_text() == f"{begun} --storage s3://my-bucket/runs --address auto\n"
    assert done.returncode == 7
