"""The metadata of AWS and of GCE, served on loopback as they serve it."""

import time
from typing import Any

import pytest
from metadata_server import aws, gce, serving, terminate_at

from rayforget.on_ray.spot_notice import NoMetadataError, seconds_left, watch


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (aws(None), None),
        (aws(terminate_at(1e9 + 120)), 120),
        (aws(terminate_at(1e9 - 5)), 0),
        (aws("<html>"), 0),
        (gce("FALSE"), None),
        (gce("TRUE\n"), 30),
    ],
)
def test_each_cloud_says_when_the_machine_goes(answer: Any, left: float | None) -> None:
    with serving(lambda _: answer) as metadata:
        assert seconds_left(metadata, 1e9) == left


def test_a_machine_without_metadata_is_none_of_a_cloud() -> None:
    with serving(lambda _: lambda *_: None) as metadata, pytest.raises(NoMetadataError):
        seconds_left(metadata, 0)
    with pytest.raises(NoMetadataError):
        seconds_left(metadata, 0)


def test_a_notice_drains_the_node_once_with_the_time_that_is_left() -> None:
    class Node:
        drained: list[float] = []
        looks = 0

        def is_up(self) -> bool:
            self.looks += 1
            return self.looks < 5

        def drain(self, seconds: float) -> None:
            self.drained.append(seconds)

    said: list[str | None] = [None, None, terminate_at(time.time() + 120)]
    with serving(lambda _: aws(said[0])) as metadata:
        node: Any = Node()
        assert "drained" in watch(metadata, node, pause=lambda _: said.__delitem__(0))
        assert node.looks == 3
        (left,) = node.drained
        assert 110 < left <= 120
        said[:] = [None] * 10
        assert watch(metadata, node, pause=lambda _: None) == "its Ray node ended"
        assert len(node.drained) == 1
