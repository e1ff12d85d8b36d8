"""A Ray cluster of three hosts, brought up from a laptop with the project's own file for machines of one's own.

The laptop, the head and two workers are hosts of this machine; the storage is an S3 server in this process, behind a
door that a test can shut. Nothing of the file is changed but addresses, what a host has already (no packages are
installed) and how much each node offers: the head nothing, each worker one CPU.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from cluster.hosts import MACHINE, ROOT, Host, Network, command_of, network, page, wait_until
from cluster.undisturbed import points_of
from metadata_server import Answer, aws, serving, terminate_at
from plugins.outsiders import write_package
from s3_server import ENVIRONMENT, Door, make_bucket, s3_server

from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep

HOSTS = ("head", "w1", "w2", "laptop")
BUCKET = "s3://bucket/runs"


@dataclass(kw_only=True)
class Driver:
    """`rayforget sweep`, running on the head."""

    name: str
    """The sweep's."""
    log: Path
    process: subprocess.Popen[bytes]
    storage: Store
    faults: list[tuple[float, str]] = field(default_factory=list)
    """Unix time and name of each fault."""

    def note(self, fault: str) -> None:
        """Says that a fault comes now: `finish` prints how long it took."""
        self.faults.append((time.time(), fault))

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def finish(self, timeout_s: float = 500, *, code: int = 0) -> str:
        """Waits for its end; what it said.

        Raises:
            AssertionError: it does not end, or with another exit code.
        """
        try:
            found = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"no end of {self.name} in {timeout_s:g} s:\n{self.said}") from None
        assert found == code, f"exit code {found} of {self.name}:\n{self.said}"
        self._tell()
        return self.said

    def _tell(self) -> None:
        """Prints, of each fault, when the next checkpoint came, and the longest time without any."""
        times = sorted(record.finished for record in Sweep.open(self.storage, self.name).records())
        for at, fault in self.faults:
            later = [time for time in times if time > at]
            gap = max((b - a for a, b in pairwise([at, *later])), default=0)
            first = f"{later[0] - at:.0f} s" if later else "the end"
            print(f"{self.name}: {fault}; next checkpoint after {first}, longest pause {gap:.0f} s")

    def recorded(self) -> int:
        """How many checkpoints its record holds."""
        return len(self.storage.json_files(f"{self.name}/points"))

    def wait_for_points(self, number: int, timeout_s: float = 240) -> None:
        """Waits until its record holds that many checkpoints."""

        def enough() -> bool:
            assert self.process.poll() is None, self.said
            return self.recorded() >= number

        wait_until(enough, timeout_s, f"{number} checkpoints of {self.name}")


@dataclass(kw_only=True)
class OwnCluster:
    """The hosts, the door of the storage, and what runs on them."""

    network: Network
    door: Door
    storage: Store
    """The bucket's `runs`, as this process reaches it: not through the door."""
    notices: dict[str, float] = field(default_factory=dict)
    """When a spot machine goes, by its address, as the metadata that its host can ask says; Unix time."""
    folder: Path
    """A folder that every host sees: space files, data, logs."""
    _number: int = 0

    @property
    def head(self) -> Host:
        return self.network.hosts["head"]

    @property
    def laptop(self) -> Host:
        return self.network.hosts["laptop"]

    @property
    def workers(self) -> tuple[Host, Host]:
        return self.network.hosts["w1"], self.network.hosts["w2"]

    def sweep(self, *arguments: str, name: str) -> Driver:
        """Starts `rayforget sweep ARGUMENTS` on the head, on its cluster."""
        self._number += 1
        log = self.folder / f"{self._number:02d}-{name}.log"
        process = self.head.start(
            f". ~/rayforget-env.sh; exec rayforget sweep {' '.join(arguments)} --address auto", log
        )
        return Driver(name=name, log=log, process=process, storage=self.storage)

    @property
    def pace(self) -> Path:
        """How many seconds each step of a paced training takes; a file that every host sees."""
        return self.folder / "pace"

    def kill_driver(self) -> None:
        """SIGKILL to what `sweep` started on the head."""
        for process in self.head.processes():
            if re.search(r"^\S+ \S*/rayforget sweep ", command_of(process)):
                process.kill()

    def join(self, host: Host) -> None:
        """Waits until Ray has noticed that a worker host was away, and has it back."""
        wait_until(lambda: self.nodes() == 2, 120, f"Ray's notice that {host.name} was away")
        wait_until(lambda: self.nodes() == 3, 150, f"{host.name} in the cluster")

    @contextmanager
    def door_rule(self, rule: Callable[[int], int | None]) -> Iterator[None]:
        """Answers of the storage by a rule, for a time."""
        self.door.rule = rule
        try:
            yield
        finally:
            self.door.rule = lambda number: None

    def points(self, name: str) -> dict[str, Any]:
        """As `points_of`, of a sweep in the bucket."""
        return points_of(Sweep.open(self.storage, name))

    def gauges(self) -> dict[str, float]:
        """Our own of Ray's metrics on the head, by name and state."""
        pages = (page(self.head.address, port, "/metrics") for port in self.head.open_ports())
        found = re.findall(r"^ray_rayforget_(\w+)\{(.*)\} (\S+)$", "".join(pages), re.MULTILINE)
        return {name + "".join(re.findall(r'state="(\w+)"', tags)): float(value) for name, tags, value in found}

    def nodes(self) -> int:
        """Nodes that Ray counts as alive."""
        said = self.head.run(". ~/rayforget-env.sh; ray status 2>&1", check=False)
        alive = said.split("Pending:")[0] if "Pending:" in said else ""
        return sum(int(number) for number in re.findall(r"^ *(\d+) (?:local|node_)", alive, re.MULTILINE))

    def up(self) -> None:
        """`ray up` from the laptop; waits for the workers."""
        said = self.laptop.run(
            f"export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token RAY_UP_enable_autoscaler_v2=0; cd {ROOT};"
            f"{_BIN}/ray up -y --no-config-cache {self.folder}/cluster.yaml",
            timeout_s=300,
        )
        (self.folder / "ray-up.log").write_text(said)
        wait_until(lambda: self.nodes() == 3, 300, "three nodes")

    def down(self) -> None:
        """`ray down` from the laptop."""
        said = self.laptop.run(
            f"export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token RAY_UP_enable_autoscaler_v2=0; cd {ROOT};"
            f"{_BIN}/ray down -y {self.folder}/cluster.yaml",
            timeout_s=300,
        )
        (self.folder / "ray-down.log").write_text(said)


_BIN = Path(sys.prefix) / "bin"


@contextmanager
def own_cluster(folder: Path) -> Iterator[OwnCluster]:
    """Everything up; afterwards nothing of it is left.

    Args:
        folder: an empty one, not below /tmp or /root.
    """
    notices: dict[str, float] = {}

    def metadata_of(host: str) -> Answer:
        return aws(terminate_at(notices[host]) if host in notices else None)

    with s3_server() as port, network(HOSTS, folder / "hosts") as found:
        make_bucket(port, "bucket")
        with Door(port, MACHINE) as door, serving(metadata_of, MACHINE) as metadata:
            shared, site = folder / "shared", folder / "shared" / "site"
            site.mkdir(parents=True)
            code = Path(__file__).with_name("odd_penalties.py").read_text()
            write_package(
                site, "odd_penalties", {"pace": "PacePenalty", "ill": "IllPenalty"}, code, "rayforget.penalties"
            )
            cluster = OwnCluster(
                network=found,
                door=door,
                storage=Store.open(f"{BUCKET}?scheme=http&endpoint_override=127.0.0.1:{port}"),
                folder=shared,
                notices=notices,
            )
            for host in found.hosts.values():
                _furnish(host, folder)
                host.boot()
            cluster.laptop.run(f"RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token {_BIN}/ray get-auth-token --generate")
            (shared / "cluster.yaml").write_text(yaml.safe_dump(configured(found, door.port, metadata, site)))
            cluster.up()
            yield cluster


def _furnish(host: Host, folder: Path) -> None:
    """What a machine of one's own has: somebody's key, and the packages (at ~/venv, where the project's file looks)."""
    key = folder / "key"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    home = host.disk / "root"
    (home / ".ssh").mkdir(parents=True)
    shutil.copy(f"{key}.pub", home / ".ssh" / "authorized_keys")
    if host.name == "laptop":
        shutil.copy(key, home / ".ssh" / "id_ed25519")
    (home / "venv").symlink_to(sys.prefix)
    for name in (".profile", ".bashrc"):
        shutil.copy(Path("/etc/skel") / name, home / name)


def configured(network: Network, port: int, metadata: str, site: Path) -> dict[str, Any]:
    """The project's file for these hosts, this storage, this metadata of a cloud's machine and packages of others."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "cluster" / "own-machines.yaml").read_text())
    head, *workers = (network.hosts[name].address for name in ("head", "w1", "w2"))
    config["provider"] |= {"head_ip": head, "worker_ips": workers}
    config["auth"]["ssh_user"] = "root"
    config["setup_commands"] = config["head_setup_commands"] = []
    if not (ROOT / ".git").is_dir():
        del config["file_mounts"]["~/rayforget/.git"]
    environment = {**ENVIRONMENT, "AWS_ENDPOINT_URL": f"http://{MACHINE}:{port}", "RAYFORGET_METADATA": metadata}
    environment["PYTHONPATH"] = str(site)
    words = " ".join(f"{key}={value}" for key, value in environment.items())
    config["initialization_commands"][0] = config["initialization_commands"][0].replace(" > ~/", f" {words} > ~/")
    for kind, cpus in (("head", 0), ("worker", 1)):
        commands = config[f"{kind}_start_ray_commands"]
        (starts,) = [number for number, command in enumerate(commands) if "ray start " in command]
        own = f"ray start --num-cpus={cpus} --object-store-memory=200000000 "
        commands[starts] = commands[starts].replace("ray start ", own)
    return config
