"""Watches for the notice that a spot machine will be taken away, and drains its Ray node: one process on each worker.

Trainings on a node that drains save and go on elsewhere (`eviction`), and Ray puts nothing new on it.

    python -m rayforget.on_ray.spot_notice HEAD:6379

AWS says it two minutes ahead (instance metadata with a session token, `spot/instance-action`), GCE 30 seconds ahead
(`instance/preempted`). `RAYFORGET_METADATA` is the address to ask, http://169.254.169.254 if not set. The watcher ends
when its Ray node has ended, or a machine has no such metadata.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime
from typing import Any

METADATA = "http://169.254.169.254"
_EVERY_S = 2.0
_GCE_S = 30
_NODE_S = 60.0
"""How long the node may take to show up, at most, and to be gone before the watcher ends."""


class NoMetadataError(Exception):
    """Nothing answers at the metadata's address: no machine of AWS or GCE."""


def seconds_left(metadata: str, now: float) -> float | None:
    """Seconds until this machine is taken away, 0 if it may go at once; None without a notice.

    Raises:
        NoMetadataError: neither cloud's metadata is there.
    """
    try:
        token = _asked(f"{metadata}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, method="PUT")
        action = _asked(f"{metadata}/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token or ""})
        if token is not None:
            return None if action is None else max(0.0, _time_of(action) - now)
        preempted = _asked(f"{metadata}/computeMetadata/v1/instance/preempted", {"Metadata-Flavor": "Google"})
    except OSError as error:
        raise NoMetadataError(str(error)) from error
    if preempted is None:
        raise NoMetadataError(f"neither AWS's nor GCE's metadata at {metadata}")
    return _GCE_S if preempted.strip().upper() == "TRUE" else None


def _asked(url: str, headers: dict[str, str], method: str = "GET") -> str | None:
    """The answer's text; None if there is no such thing (404, 403 of a machine without the service).

    Raises:
        OSError: nobody answers.
    """
    request = urllib.request.Request(url, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:
            text: str = answer.read().decode()
            return text
    except urllib.error.HTTPError:
        return None


def _time_of(action: str) -> float:
    """Unix time in `{"action": "terminate", "time": "2026-01-31T08:22:00Z"}`; of what cannot be read, long ago."""
    try:
        return datetime.fromisoformat(json.loads(action)["time"]).timestamp()
    except (ValueError, KeyError, TypeError):
        return 0.0


def watch(metadata: str, node: "Node", *, pause: Callable[[float], None] = time.sleep) -> str:
    """Looks every two seconds until there is a notice, on which the node is drained, or the node has ended.

    Returns:
        Why it ended.
    """
    while node.is_up():
        try:
            left = seconds_left(metadata, time.time())
        except NoMetadataError as error:
            return f"no spot machine: {error}"
        if left is not None:
            node.drain(left)
            return f"drained: this machine goes in {left:.0f} s"
        pause(_EVERY_S)
    return "its Ray node ended"


class Node:
    """This machine's Ray node."""

    def __init__(self, gcs_address: str) -> None:
        from ray._private.services import get_node_ip_address
        from ray._raylet import GcsClient  # type: ignore[attr-defined]

        self._client: Any = GcsClient(address=gcs_address)
        self._host = get_node_ip_address(gcs_address)  # type: ignore[no-untyped-call]
        self._id = ""

    def is_up(self) -> bool:
        """Whether it is alive, as the head sees it; waits for a node that has just been started.

        A head that does not answer for a minute is gone, and with it the node.
        """
        end = time.monotonic() + _NODE_S
        while True:
            try:
                if (alive := self._alive()) or self._id:
                    return alive
            except Exception:  # whatever Ray's client raises while the head does not answer
                pass
            if time.monotonic() > end:
                return False
            time.sleep(1)

    def drain(self, seconds: float) -> None:
        """Tells the head that this node will be gone in so many seconds."""
        from ray.core.generated import autoscaler_pb2

        reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")  # type: ignore[attr-defined]
        deadline_ms = int((time.time() + max(seconds, 1)) * 1000)
        accepted, why_not = self._client.drain_node(self._id, reason, "spot machine taken away", deadline_ms)
        if not accepted:
            print(f"the head refuses to drain this node: {why_not}", flush=True)

    def _alive(self) -> bool:
        from ray.core.generated.gcs_pb2 import GcsNodeInfo  # type: ignore[attr-defined]

        for node_id, info in self._client.get_all_node_info(timeout=10).items():
            if info.state == GcsNodeInfo.ALIVE and (node_id.hex() == self._id if self._id else self._is_here(info)):
                self._id = node_id.hex()
                return True
        return False

    def _is_here(self, info: Any) -> bool:
        return bool(info.node_manager_address == self._host and not info.is_head_node)


def main() -> None:
    """Watches until there is nothing more to watch, and says why."""
    print(watch(os.environ.get("RAYFORGET_METADATA", METADATA).rstrip("/"), Node(sys.argv[1])), flush=True)


if __name__ == "__main__":
    main()
