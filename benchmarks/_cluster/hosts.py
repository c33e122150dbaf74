"""`Network`: several hosts on this machine, each a network namespace with an address and a name of its own.

The hosts see each other, by the names that Compose would give them, and nothing else: no route leads out.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks._cluster.programs import mounts_below_tmp

NAMES = Path("/etc/netns")
KILLED_S = 60.0
# In a new namespace of names and mounts: the host's name, and folders of its own where all containers have one.
AS_HOST = 'hostname "$1" && shift && while [ "$1" != -- ]; do mkdir -p "$2" && mount --bind "$1" "$2" && shift 2; done'
AS_HOST += ' && shift && exec "$@"'


def obstacle() -> str:
    """Why this machine has no network namespaces to give; empty where it has."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "`ip` is not installed (Debian: apt-get install iproute2)"
    tried = f"fg{os.getpid()}-try"
    done = subprocess.run(["ip", "netns", "add", tried], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "delete", tried], capture_output=True, check=False)
    return f"this root may make no network namespace: {done.stderr.strip()}" if done.returncode else ""


class Host:
    """One host. Its processes see their own /tmp."""

    def __init__(self, name: str, namespace: str, address: str, link: str, folder: Path) -> None:
        self.name, self.namespace, self.address, self.link, self.folder = name, namespace, address, link, folder
        (folder / "tmp").mkdir(parents=True)
        (folder / "tmp").chmod(0o1777)

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        mounts: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> subprocess.Popen[str]:
        """Start a command on this host, with this environment only; what it writes goes to `log`, or to pipes."""
        own = mounts_below_tmp(self.folder, self.folder / "tmp")
        wrapped = self._wrapped(command, [*own, *(mounts or {}).items()])
        if log is None:
            return subprocess.Popen(
                wrapped, env=dict(environment), cwd=self.folder, text=True, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        with log.open("ab") as out:
            return subprocess.Popen(
                wrapped, env=dict(environment), cwd=self.folder, text=True, stdin=subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], timeout_s: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on this host to its end."""
        with self.start(command, environment) as process:
            try:
                out, err = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                err = f"{err}\nno answer within {timeout_s:g} s"
        return subprocess.CompletedProcess(list(command), process.returncode, out, err)

    def pids(self) -> list[int]:
        """Its processes."""
        listed = subprocess.run(["ip", "netns", "pids", self.namespace], capture_output=True, text=True, check=False)
        return [int(pid) for pid in listed.stdout.split()]

    def kill(self) -> None:
        """The power goes: every process of this host ends at once."""
        deadline = time.monotonic() + KILLED_S
        while (pids := self.pids()) and time.monotonic() < deadline:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    def _wrapped(self, command: Sequence[str], mounts: Sequence[tuple[object, object]]) -> list[str]:
        pairs = [str(part) for pair in mounts for part in pair]
        enter = ["ip", "netns", "exec", self.namespace, "unshare", "--uts", "--"]
        return [*enter, "sh", "-c", AS_HOST, "sh", self.name, *pairs, "--", *command]


class Network:
    """A bridge with hosts on it. `close` leaves nothing: no process, namespace, link or file."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._mark = folder, f"fg{os.getpid()}"
        self._net = f"10.{64 + os.getpid() % 128}.{os.getpid() // 128 % 256}"
        self._hosts: dict[str, Host] = {}
        self._spent = 0
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("link", "set", self._bridge, "up")

    def add(self, name: str) -> Host:
        """A new host, known to all by its name."""
        self._spent += 1
        namespace, inner = f"{self._mark}-{name}", "eth0"
        outer, address = f"{self._mark}v{self._spent}", f"{self._net}.{self._spent}"
        _ip("netns", "add", namespace)
        host = Host(name, namespace, address, outer, self._folder / name)
        self._hosts[name] = host
        _ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", namespace)
        _ip("link", "set", outer, "master", self._bridge, "up")
        _ip("-n", namespace, "address", "add", f"{address}/24", "dev", inner)
        _ip("-n", namespace, "link", "set", inner, "up")
        _ip("-n", namespace, "link", "set", "lo", "up")
        self._introduce()
        return host

    def remove(self, name: str) -> None:
        """Take a host away: its processes are killed, its address answers no more."""
        host = self._hosts.pop(name)
        host.kill()
        _ip("link", "delete", host.link)
        _ip("netns", "delete", host.namespace)
        shutil.rmtree(NAMES / host.namespace, ignore_errors=True)
        shutil.rmtree(host.folder, ignore_errors=True)
        self._introduce()

    def close(self) -> None:
        for name in list(self._hosts):
            self.remove(name)
        _ip("link", "delete", self._bridge)
        with suppress(OSError):
            NAMES.rmdir()

    @property
    def _bridge(self) -> str:
        return f"{self._mark}b"

    def _introduce(self) -> None:
        """Write the names of all hosts for each. In place: running hosts have the file mounted."""
        lines = ["127.0.0.1 localhost", *(f"{host.address} {host.name}" for host in self._hosts.values())]
        for host in self._hosts.values():
            folder = NAMES / host.namespace
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "hosts").write_text("\n".join(lines) + "\n")
            (folder / "resolv.conf").write_text("")


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
