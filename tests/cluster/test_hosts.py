"""The hosts themselves: apart from each other and from this machine, but for the bridge."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from cluster.hosts import MACHINE, Network, lacking, network

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def two() -> Iterator[Network]:
    if reason := lacking():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="rf-hosts-", dir="/var/tmp") as folder:
        with network(("one", "two"), Path(folder)) as found:
            for host in found.hosts.values():
                host.boot()
            yield found
            ours = [process for host in found.hosts.values() for process in host.processes()]
        assert not psutil.wait_procs(ours, timeout=5)[1]
    assert "rf-" not in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout


def test_each_has_its_own_name_home_temporary_folder_and_processes(two: Network) -> None:
    one, other = two.hosts.values()
    one.run("echo here > ~/mine; echo here > /tmp/mine; sleep 1000 & echo $!")
    assert other.run("hostname; ls ~/mine /tmp/mine 2>&1; pgrep sleep", check=False).splitlines()[0] == "two"
    assert "mine" not in other.run("ls ~ /tmp")
    assert not other.run("pgrep -x sleep -a | grep 1000", check=False)
    assert one.run("pgrep -x sleep -a").endswith("sleep 1000\n")


def test_a_cable_that_is_out_is_a_silence(two: Network) -> None:
    one, other = two.hosts.values()
    reach = f"timeout 2 bash -c 'exec 3<>/dev/tcp/{other.name}/22' && echo reached; true"
    assert "reached" in one.run(reach)
    other.link(up=False)
    assert "reached" not in one.run(reach)
    other.link(up=True)
    assert "reached" in one.run(reach)
    assert "reached" in one.run(f"timeout 2 bash -c 'exec 3<>/dev/tcp/{other.address}/22' && echo reached")


def test_a_host_without_power_has_nothing_left_but_its_disk(two: Network) -> None:
    one, _ = two.hosts.values()
    one.run("echo kept > ~/kept; sleep 1000 &")
    before = one.processes()
    assert len(before) > 2
    one.cut_power()
    assert not psutil.wait_procs(before, timeout=5)[1]
    one.boot()
    assert one.run("cat ~/kept; pgrep -x sleep -a | grep -c 1000 || true") == "kept\n0\n"


def test_this_machine_can_be_asked(two: Network) -> None:
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = HTTPServer((MACHINE, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        (one, _) = two.hosts.values()
        request = f"exec 3<>/dev/tcp/machine/{server.server_port}; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; head -1 <&3"
        assert "204" in one.run(request)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
