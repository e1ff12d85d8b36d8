"""Somebody else on the network of a cluster: reads no sweep and changes none, without a token and with a wrong one."""

import re
import sys
from pathlib import Path

import pytest
from cluster.hosts import page
from cluster.own_cluster import OwnCluster

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(600)]

TRIES = """
import sys
from ray._raylet import GcsClient
from ray.core.generated import autoscaler_pb2

address, node = sys.argv[1:]
reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
tries = {
    "nodes": lambda client: client.get_all_node_info(timeout=5),
    "keys": lambda client: client.internal_kv_keys(b"", namespace=None, timeout=5),
    "write": lambda client: client.internal_kv_put(b"stranger", b"was here", True, namespace=None, timeout=5),
    "drain": lambda client: client.drain_node(node, reason, "mischief", 0),
}
for name, attempt in tries.items():
    try:
        print(name, "done", attempt(GcsClient(address=address)))
    except Exception as error:
        print(name, "refused", str(error).replace(chr(10), " ")[:200])
"""
"""What a client of Ray can ask of the head."""


@pytest.mark.parametrize("environment", ["RAY_AUTH_MODE=token RAY_AUTH_TOKEN=" + "0" * 64, "RAY_AUTH_MODE=disabled"])
def test_ray_answers_nobody_who_has_not_its_token(cluster: OwnCluster, environment: str) -> None:
    path = cluster.folder / "tries.py"
    path.write_text(TRIES)
    ask = f"{Path(sys.prefix) / 'bin' / 'python'} {path} {cluster.head.address}:6379 {'0' * 56}"
    said = cluster.laptop.run(f"mkdir -p /tmp/stranger; HOME=/tmp/stranger {environment} {ask}")
    assert re.findall(r"^(\w+) (?:done|refused)", said, re.MULTILINE) == ["nodes", "keys", "write", "drain"]
    assert not re.findall(r"^\w+ done.*", said, re.MULTILINE), said
    assert len(re.findall("(?i)authenticat|token", said)) >= 4, said
    allowed = cluster.laptop.run(f"RAY_AUTH_MODE=token {ask}")
    assert re.search("^nodes done", allowed, re.MULTILINE), allowed


def test_no_page_of_ray_or_mlflow_is_served_but_metrics_and_health(cluster: OwnCluster) -> None:
    """Every port that listens beyond loopback is asked for pages and for Ray's REST interface."""
    served = {}
    for host in (cluster.head, *cluster.workers):
        for port in host.open_ports("-t"):
            for path in ("/", "/api/jobs/", "/api/v0/actors", "/nodes?view=summary", "/logs/"):
                if text := page(host.address, port, path):
                    served[host.name, port, path] = text
    assert served  # metrics of Ray's processes, whatever path is asked for
    assert all(text.startswith("# HELP ") for text in served.values()), served


def test_nothing_listens_for_datagrams(cluster: OwnCluster) -> None:
    assert [host.open_ports("-u") for host in (cluster.head, *cluster.workers)] == [set(), set(), set()]
