"""A Ray of our own: beside others, without a trace, however its parent ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from patience import PATIENCE_S

from service.cluster import local_ray
from service.cluster.local_ray import connect, probe
from service.errors import ClusterUnreachable
from service.settings import Settings


def settings_of(tmp_path: Path, address: str = "") -> Settings:
    return Settings(home=tmp_path / "a home", tracking_uri="", ray_address=address)


@contextmanager
def a_ray(token: str) -> Iterator[dict[str, str]]:
    """A Ray that somebody else runs on this host."""
    with local_ray._environment({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}):
        started = local_ray._head(serve=False, dashboard=False, cpus=1)
        head = started.__enter__()
    try:
        yield head
    finally:
        started.__exit__(None, None, None)


def session_processes(folder: str) -> list[int]:
    """The processes whose command line names the session's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.fsencode(folder) in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def wait_until_gone(folder: str) -> list[int]:
    deadline = time.monotonic() + PATIENCE_S
    while (left := session_processes(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


@pytest.mark.ray
def test_two_stand_beside_each_other_and_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray
    from ray._private.services import find_bootstrap_address  # how Ray tells a job's driver where it belongs

    home = tmp_path / "home of a person"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    with a_ray("a" * 40) as other:
        with connect(settings_of(tmp_path), cpus=2) as cluster:
            assert cluster.local
            assert cluster.address != other["address"]
            assert ray.cluster_resources()["CPU"] == 2.0
            address = ray.get(ray.remote(lambda: os.environ["RAY_ADDRESS"]).remote())
            assert address == cluster.address
            folder = str(Path(ray._private.worker._global_node.get_session_dir_path()).parent)
            assert find_bootstrap_address(folder) == cluster.address
            assert find_bootstrap_address(other["folder"]) == other["address"]
        assert session_processes(other["folder"]), "the other one is left alone"
        assert wait_until_gone(folder) == []
        assert not Path(folder).exists()
    assert wait_until_gone(other["folder"]) == []
    assert list(home.iterdir()) == [], "no token and no settings in a person's home"
    assert "RAY_AUTH_TOKEN" not in os.environ


PARENT = """
import signal, sys, time
from pathlib import Path
from service.cluster.local_ray import connect
from service.settings import Settings
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born deaf to it
with connect(Settings(home=Path(sys.argv[1]), tracking_uri=""), cpus=1):
    import ray
    pid = ray.get(ray.remote(lambda: __import__("os").getpid()).remote())
    print(Path(ray._private.worker._global_node.get_session_dir_path()).parent, flush=True)
    time.sleep(3600)
"""


@pytest.mark.ray
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_when_the_parent_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    with parent:
        folder = parent.stdout.readline().strip()
        assert session_processes(folder)
        parent.send_signal(number)
    assert wait_until_gone(folder) == []
    deadline = time.monotonic() + PATIENCE_S
    while Path(folder).exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(folder).exists()


@pytest.mark.parametrize("address", ["somewhere", "ray://host:10001", ":6379", "host:"])
def test_an_address_that_is_none_is_refused_by_its_name(address: str) -> None:
    with pytest.raises(ClusterUnreachable, match=r"RAY_ADDRESS.*host:6379"):
        probe(address)


def test_a_cluster_that_is_not_there_is_said_to_be_so_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("Ray was asked, which takes its time"))
    monkeypatch.setattr(local_ray, "_joined", lambda *_: pytest.fail("Ray was joined"))
    with socket.socket() as held:  # bound and not listening: nothing can answer there
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        with (
            pytest.raises(ClusterUnreachable, match=f"RAY_ADDRESS.*{address}"),
            connect(settings_of(tmp_path, address)),
        ):
            pass


def test_a_port_where_no_ray_answers_is_said_to_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_ray, "CONNECT_SECONDS", 3.0)
    with socket.socket() as listens:
        listens.bind(("127.0.0.1", 0))
        listens.listen()
        with pytest.raises(ClusterUnreachable, match="no Ray head"):
            probe(f"127.0.0.1:{listens.getsockname()[1]}")


@pytest.mark.ray
def test_a_cluster_that_asks_for_another_token_says_which_settings_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_ray, "CONNECT_SECONDS", PATIENCE_S)  # a process imports Ray before it asks
    with a_ray("a" * 40) as head:
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        monkeypatch.setenv("RAY_AUTH_TOKEN", "a" * 40)
        probe(head["address"])
        monkeypatch.setenv("RAY_AUTH_TOKEN", "b" * 40)
        with pytest.raises(ClusterUnreachable, match="RAY_AUTH_TOKEN"):
            probe(head["address"])
