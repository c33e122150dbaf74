"""`Stack`: docker-compose.yml brought up without Docker, each service on a host of its own, from this environment.

A service is started by its own command, with the image's and its own environment; its volumes are folders. It counts
as healthy when its own health check says so.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks._cluster import postgres_image
from benchmarks._cluster.compose_file import Service, document, filled, image_environment, services
from benchmarks._cluster.hosts import Host, Network
from benchmarks._cluster.programs import python_programs

POLL_S = 0.3
RESTARTS = 5
CHECK_S = 10.0  # for one health check
KILLED_S = 60.0  # until a process that was killed is gone, on a machine that has much to do
ASK = Path(__file__).with_name("http_json.py")


class Stack:
    """All services of some profiles, and laptops."""

    def __init__(
        self,
        folder: Path,
        variables: Mapping[str, str],
        profiles: set[str],
        scale: Mapping[str, int],
        patience: float = 1.0,
    ) -> None:
        """`patience`: how many times its time a health check may take, and a service until it is healthy."""
        self._folder, self._scale, self._patience = folder, scale, patience
        chosen = services(variables)
        self.services = {n: s for n, s in chosen.items() if not s.profiles or profiles & set(s.profiles)}
        self._secrets = {name: each["file"] for name, each in filled(document()["secrets"], variables).items()}
        self.network = Network(folder / "hosts")
        self.hosts: dict[str, Host] = {}
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._started: dict[str, float] = {}
        self._restarts: dict[str, int] = {}
        (folder / "logs").mkdir()

    def up(self) -> None:
        """Start all, each when what it depends on is healthy; returns when every one is."""
        waiting, healthy = dict(self.services), set[str]()
        while len(healthy) < len(self.services):
            for name, service in list(waiting.items()):
                if set(service.after) <= healthy:
                    for host in self.names(name):
                        self.start(name, host)
                    del waiting[name]
            starting = self.services.keys() - waiting.keys() - healthy
            healthy |= {name for name in starting if self._looks_healthy(name, 0.0)}
            time.sleep(POLL_S)

    def names(self, service: str) -> list[str]:
        """The hosts of a service."""
        count = self._scale.get(service)
        return [service] if count is None else [f"{service}-{number}" for number in range(1, count + 1)]

    def start(self, service: str, host: str = "") -> None:
        """Start a service on its host, as Compose does again after a crash."""
        name = host or service
        if name not in self.hosts:
            self.hosts[name] = self.network.add(name)
        self._started[name] = time.monotonic()
        self._run(self.services[service], name)

    def kill(self, host: str) -> None:
        """Every process of a host ends, by kill -9."""
        self.hosts[host].kill()
        self._running[host].wait(KILLED_S)

    def restart(self, service: str, host: str) -> None:
        """Start a service whose host's first process has ended, as its restart policy has it; the rest ends first."""
        self.hosts[host].kill()
        self.start(service, host)

    def is_up(self, host: str) -> bool:
        """Whether the process that a host's service began with is there."""
        return self._running[host].poll() is None

    def wait_healthy(self, service: str) -> None:
        """Until the health checks of a service succeed; one that runs already has the time of a start from now on."""
        since = time.monotonic()
        while not self._looks_healthy(service, since):
            time.sleep(POLL_S)

    def asks_ray(self, path: str) -> Any:
        """What the head's REST interface answers to who has the cluster's token."""
        head = self.services["ray-head"]
        environment = self._environment(head, self.hosts["ray-head"])
        ask = ["python", str(ASK), f"http://localhost:8265{path}"]
        done = self.hosts["ray-head"].run(ask, {**environment, "FUSEGPT_TOKEN": environment["RAY_AUTH_TOKEN"]})
        assert done.returncode == 0, f"{path}: {done.stderr[-2000:]}"
        return json.loads(done.stdout)

    def log(self, host: str) -> str:
        return (self._folder / "logs" / f"{host}.log").read_text(errors="replace")

    def path(self, volume: str) -> Path:
        """The folder behind a volume."""
        folder = self._folder / "volumes" / volume
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def close(self) -> None:
        self.network.close()
        for process in self._running.values():
            process.wait(KILLED_S)

    def _looks_healthy(self, service: str, since: float) -> bool:
        return all(self._host_looks_healthy(service, name, since) for name in self.names(service))

    def _host_looks_healthy(self, service: str, name: str, since: float) -> bool:
        """What the health check says. A service that ended is started again, as its restart policy has it."""
        found, host = self.services[service], self.hosts[name]
        done = host.run(
            self._mapped(found.check, found), self._environment(found, host), timeout_s=self._patience * CHECK_S
        )
        if done.returncode == 0:
            self._restarts.pop(name, None)
            return True
        if not self.is_up(name):
            self._restarts[name] = self._restarts.get(name, 0) + 1
            assert self._restarts[name] <= RESTARTS, f"{name} ends again and again:\n{self.log(name)[-3000:]}"
            self.restart(service, name)
        late = time.monotonic() > max(since, self._started[name]) + self._patience * found.health_s
        assert not late, f"{name} is not healthy: {done.stderr[-500:]}\n{self.log(name)[-3000:]}"
        return False

    def _run(self, service: Service, name: str) -> None:
        environment, log = self._environment(service, self.hosts[name]), self._folder / "logs" / f"{name}.log"
        self._running[name] = self.hosts[name].start(self._command(service), environment, log=log)

    def _command(self, service: Service) -> list[str]:
        if service.is_ours:
            return self._mapped(service.command, service)
        configs = document()["configs"]
        scripts = [configs[each["source"]]["content"] for each in service.raw["configs"]]
        return postgres_image.prepare(self.path(service.volumes[0].source), service.environment, scripts)

    def _environment(self, service: Service, host: Host) -> dict[str, str]:
        set_here = dict(zip(service.environment, self._mapped(service.environment.values(), service), strict=True))
        return {**plain_environment(host), **(image_environment() if service.is_ours else {}), **set_here}

    def _mapped(self, words: Iterable[str], service: Service) -> list[str]:
        """Paths in a container as paths of this machine."""
        mapped = list(words)
        places = {volume.target: volume.source for volume in service.volumes}
        folders = {t: s if s.startswith("/") else str(self.path(s)) for t, s in places.items()}
        folders |= {f"/run/secrets/{name}": self._secrets[name] for name in service.raw.get("secrets", [])}
        for target, folder in folders.items():
            mapped = [re.sub(rf"(?<![\w./-]){re.escape(target)}(?![\w-])", folder, word) for word in mapped]
        return mapped


def plain_environment(host: Host) -> dict[str, str]:
    """What a container has of its environment, where the programs of the image are those of this one."""
    programs = [*python_programs(host.folder), postgres_image.programs(), "/usr/local/bin", "/usr/bin", "/bin"]
    home = host.folder / "home"
    home.mkdir(exist_ok=True)
    return {"PATH": ":".join(map(str, filter(None, programs))), "HOME": str(home), "LANG": "C.UTF-8"}
