"""cluster.yaml: Ray accepts it, only SSH is open to the world, the nodes get the pinned project and the token."""

import ast
import copy
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
CLUSTER: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
OWN_MACHINES: dict[str, Any] = yaml.safe_load((ROOT / "cluster" / "own-machines.yaml").read_text())
SSH = 22


def ray_folder() -> Path:
    from importlib.util import find_spec

    spec = find_spec("ray")  # finds without importing
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def commands(*keys: str) -> str:
    return "\n".join(command for key in keys for command in CLUSTER[key])


def ingress(rules: list[dict[str, Any]]) -> Iterator[tuple[int, int]]:
    """Port ranges that these rules open to everybody."""
    for rule in rules:
        ranges = [one["CidrIp"] for one in rule.get("IpRanges", [])] + [
            one["CidrIpv6"] for one in rule.get("Ipv6Ranges", [])
        ]
        if any(one.endswith("/0") for one in ranges):
            yield rule["FromPort"], rule["ToPort"]


def test_it_fits_rays_schema() -> None:
    import json

    import jsonschema

    schema = json.loads((ray_folder() / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(CLUSTER, schema)


@pytest.mark.slow
def test_ray_itself_prepares_and_accepts_it() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(copy.deepcopy(CLUSTER))
    validate_config(prepared)
    assert prepared["provider"]["security_group"] == CLUSTER["provider"]["security_group"]
    assert prepared["available_node_types"].keys() == CLUSTER["available_node_types"].keys()


@pytest.mark.slow
def test_ray_makes_of_own_machines_one_kind_of_node_with_all_workers_from_the_start() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(copy.deepcopy(OWN_MACHINES))
    validate_config(prepared)
    (kind,) = prepared["available_node_types"].values()
    assert kind["min_workers"] == kind["max_workers"] == len(OWN_MACHINES["provider"]["worker_ips"])


def test_nothing_but_ssh_is_open_to_the_world() -> None:
    own = CLUSTER["provider"]["security_group"].get("IpPermissions", [])
    assert list(ingress([*rays_own_rules(), *own])) == [(SSH, SSH)]
    for kind in CLUSTER["available_node_types"].values():
        # A group or an interface named here would replace the group whose rules were just checked.
        assert not {"SecurityGroupIds", "SecurityGroups", "NetworkInterfaces"} & kind["node_config"].keys()


def rays_own_rules() -> list[dict[str, Any]]:
    """The rules that Ray writes into every group it makes; its module cannot be imported without boto3."""
    tree = ast.parse((ray_folder() / "autoscaler" / "_private" / "aws" / "config.py").read_text())
    wanted = {"_create_default_ssh_inbound_rules", "_create_default_intracluster_inbound_rules"}
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in wanted]
    assert len(tree.body) == len(wanted)
    module = ModuleType("rules")
    exec(compile(tree, "rules", "exec"), module.__dict__)
    inside = module._create_default_intracluster_inbound_rules(["sg-0"])
    assert "IpRanges" not in inside[0]
    return [*inside, *module._create_default_ssh_inbound_rules()]


def test_dashboard_and_mlflow_listen_on_loopback() -> None:
    start = commands("head_start_ray_commands")
    assert "--dashboard-host=127.0.0.1" in start
    assert "~/rayforget/cluster/mlflow.sh" in start
    assert "mlflow server --host 127.0.0.1" in (ROOT / "cluster" / "mlflow.sh").read_text()
    assert "0.0.0.0" not in (ROOT / "cluster.yaml").read_text()


def test_all_nodes_authenticate_with_the_users_token_and_report_to_nobody() -> None:
    assert CLUSTER["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    environment = commands("initialization_commands")
    assert {"RAY_AUTH_MODE=token", "RAY_USAGE_STATS_ENABLED=0"} <= set(environment.split())
    for command in [*CLUSTER["head_start_ray_commands"], *CLUSTER["worker_start_ray_commands"]]:
        assert command.startswith(". ~/rayforget-env.sh;")


def test_the_project_is_installed_under_its_constraints() -> None:
    (install,) = [command for command in CLUSTER["setup_commands"] if "-e ~/rayforget" in command]
    words = shlex.split(install)
    assert words[words.index("-c") + 1] == "~/rayforget/constraints.txt"
    assert words[words.index("-e") + 1] == "~/rayforget[all]"  # no task is refused for lack of a package
    assert words[0].endswith("uv")


def test_what_the_build_needs_travels_and_no_environment_does() -> None:
    mounts = CLUSTER["file_mounts"]
    sources = {Path(local) for local in mounts.values() if not local.startswith("~")}
    assert {"pyproject.toml", "constraints.txt", "README.md", "LICENSE", "rayforget", "search_spaces"} <= set(
        map(str, sources)
    )
    assert all((ROOT / source).exists() for source in sources if source.name != ".git")
    assert Path(".") not in sources
    assert all(remote == f"~/rayforget/{local}" for remote, local in mounts.items() if not local.startswith("~"))


def test_gpu_workers_are_spot_and_go_when_idle() -> None:
    worker = CLUSTER["available_node_types"]["gpu_worker"]
    assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert worker["min_workers"] == 0
    assert worker["max_workers"] <= CLUSTER["max_workers"]
    assert 0 < CLUSTER["idle_timeout_minutes"] <= 15
    assert CLUSTER["provider"]["cache_stopped_nodes"] is False


def test_the_head_is_no_spot_instance_and_has_no_gpu() -> None:
    head = CLUSTER["available_node_types"][CLUSTER["head_node_type"]]["node_config"]
    assert "InstanceMarketOptions" not in head
    assert not head["InstanceType"].startswith(("g", "p"))


def test_every_command_is_valid_shell() -> None:
    import subprocess

    keys = [key for key in CLUSTER if key.endswith("_commands")]
    for command in (command for config in (CLUSTER, OWN_MACHINES) for key in keys for command in config[key]):
        subprocess.run(["bash", "-n", "-c", command], check=True)


def seconds_until_death(variables: dict[str, str]) -> tuple[float, float]:
    """When Ray's server declares a silent node dead, by how the first question after the cut falls: it asks, waits for
    its time-out, and asks again a period later, until so many questions are unanswered."""
    period, timeout = (int(variables[f"RAY_health_check_{name}_ms"]) / 1000 for name in ("period", "timeout"))
    questions = int(variables["RAY_health_check_failure_threshold"])
    asked = questions * timeout + (questions - 1) * period
    return asked, asked + period


@pytest.mark.parametrize("config", [CLUSTER, OWN_MACHINES], ids=["aws", "own machines"])
def test_a_lost_node_is_dead_after_25_to_40_s_and_a_link_down_for_20_s_is_none(config: dict[str, Any]) -> None:
    words = " ".join(config["initialization_commands"]).split()
    soonest, latest = seconds_until_death(dict(word.split("=", 1) for word in words if "=" in word))
    tcp_is_back_s = 25.4  # after a cut of 20 s: TCP sends again 0.2 s after a loss, then at intervals twice as long
    assert 25 <= soonest <= latest <= 40
    assert soonest > tcp_is_back_s


def test_mlflow_starts_no_processes_for_jobs_that_nobody_has() -> None:
    assert "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false" in commands("initialization_commands").split()


def test_own_machines_get_what_nodes_of_a_cloud_get_and_the_autoscaler_that_starts_them() -> None:
    shared = ("file_mounts", "rsync_exclude", "setup_commands", "head_setup_commands")
    assert {key: OWN_MACHINES[key] for key in shared} == {key: CLUSTER[key] for key in shared}
    environment, more = (
        [word for line in config["initialization_commands"] for word in line.split()]
        for config in (CLUSTER, OWN_MACHINES)
    )
    assert [word for word in more if word != "RAY_enable_autoscaler_v2=0"] == environment
    assert len(more) == len(environment) + 1
    warning, *start = OWN_MACHINES["head_start_ray_commands"]
    assert start == CLUSTER["head_start_ray_commands"]
    *start, end = OWN_MACHINES["worker_start_ray_commands"]
    assert start == CLUSTER["worker_start_ray_commands"]
    assert "~/rayforget/cluster/after_ray.sh" in end
    assert "RAY_UP_enable_autoscaler_v2=0" in warning
    assert OWN_MACHINES["min_workers"] == OWN_MACHINES["max_workers"] == len(OWN_MACHINES["provider"]["worker_ips"])


@pytest.mark.parametrize(("newer", "said"), [("1", True), ("0", False), (None, False)])
def test_the_newer_autoscaler_is_warned_of_on_own_machines_alone(newer: str | None, said: bool) -> None:
    import subprocess

    environment = {} if newer is None else {"RAY_enable_autoscaler_v2": newer}
    command = OWN_MACHINES["head_start_ray_commands"][0]
    found = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert ("RAY_UP_enable_autoscaler_v2=0" in found.stdout) is said
