"""The real thing: Ray Serve behind HAProxy, a champion changed under load, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import tiny_model
from patience import PATIENCE_S, wait_for
from tiny_model import NEVER_SLOW, ShelfOnDisk, form, load_by_name

from service.endpoint.config import EndpointConfig
from service.endpoint.server import Endpoint, serve
from service.settings import Settings

# Ray Serve 2.60 uses names that pydantic deprecates, when it is imported.
pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

MARK = "FG_TEST_MARK"


@pytest.fixture(scope="module")
def mark() -> Iterator[str]:
    """A value in the environment of every process that is started from here on, however far down."""
    value = uuid.uuid4().hex
    os.environ[MARK] = value
    yield value
    del os.environ[MARK]


def marked(value: str) -> list[int]:
    """The living processes that carry the mark."""
    wanted = f"{MARK}={value}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and wanted in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def get(url: str) -> httpx2.Response:
    return httpx2.get(url, timeout=PATIENCE_S)


def predicted(url: str, **changes: Any) -> httpx2.Response:
    return httpx2.post(f"{url}/v1/predict", files=form(**changes), timeout=PATIENCE_S)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> ShelfOnDisk:
    return ShelfOnDisk(tmp_path_factory.mktemp("champions"))


@pytest.fixture(scope="module")
def endpoint(mark: str, shelf: ShelfOnDisk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """An endpoint over champions on disk; it starts without one. After it, nothing of it may live."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(tiny_model)
    home = tmp_path_factory.mktemp("home with a space")
    settings = Settings.read({"FUSEGPT_HOME": str(home), "FUSEGPT_PORT": "0"})
    config = EndpointConfig(poll_s=0.2, max_body_mb=4, timeout_s=PATIENCE_S, guard=NEVER_SLOW)
    with serve(settings, "tiny", config, partial(ShelfOnDisk, shelf.root), load_by_name) as endpoint:
        yield endpoint
    wait_for(lambda: not marked(mark))
    cloudpickle.unregister_pickle_by_value(tiny_model)


@pytest.fixture
def champion(endpoint: Endpoint, shelf: ShelfOnDisk) -> Callable[[int], None]:
    """Promote a version and wait until it answers."""

    def promote(version: int) -> None:
        shelf.promote(version)
        wait_for(lambda: get(f"{endpoint.url}/readyz").json().get("version") == version)

    return promote


def test_it_waits_for_its_first_champion_and_then_answers(endpoint: Endpoint, champion: Callable[[int], None]) -> None:
    assert get(f"{endpoint.url}/healthz").status_code == 200
    assert "no champion yet" in predicted(endpoint.url).json()["detail"]
    champion(1)
    answer = predicted(endpoint.url)
    assert answer.status_code == 200
    assert answer.json()["waypoints"] == [[20.0, 1.5]] * 4


def test_a_champion_is_changed_under_load_without_a_failed_request(
    endpoint: Endpoint, shelf: ShelfOnDisk, champion: Callable[[int], None]
) -> None:
    champion(1)
    answers: list[tuple[int, int, float]] = []
    done = threading.Event()

    def ask_on() -> None:
        with httpx2.Client(timeout=PATIENCE_S) as client:
            while not done.is_set():
                answer = client.post(f"{endpoint.url}/v1/predict", files=form())
                body = answer.json()
                answers.append((answer.status_code, body["model"]["version"], body["waypoints"][0][0]))

    threads = [threading.Thread(target=ask_on) for _ in range(4)]
    for thread in threads:
        thread.start()

    def wait_for_more() -> None:
        enough = len(answers) + 20
        wait_for(lambda: len(answers) >= enough or not all(thread.is_alive() for thread in threads))

    wait_for_more()
    champion(2)
    wait_for_more()
    shelf.promote(13)
    wait_for(lambda: get(f"{endpoint.url}/readyz").json()["refused"])
    wait_for_more()
    champion(3)
    wait_for_more()
    done.set()
    for thread in threads:
        thread.join()
    assert {status for status, _, _ in answers} == {200}
    assert {version for _, version, _ in answers} == {1, 2, 3}
    assert all(x == 20.0 * version for _, version, x in answers)


def test_an_oversized_request_is_told_so_through_the_proxy(endpoint: Endpoint) -> None:
    answer = predicted(endpoint.url, sweep=("s.bin", bytes(8 * 2**20)))
    assert (answer.status_code, answer.json()["status"]) == (413, 413)


def test_the_endpoint_listens_on_loopback_alone(endpoint: Endpoint, mark: str) -> None:
    listening = {address for pid in proxies(mark) for address in listens(pid)}
    assert listening == {("127.0.0.1", int(endpoint.url.rpartition(":")[2]))}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: asks which of our addresses would be used
        outside = probe.getsockname()[0]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((outside, int(endpoint.url.rpartition(":")[2])), timeout=PATIENCE_S)


def proxies(mark: str) -> list[int]:
    """HAProxy's processes."""
    found = []
    for pid in marked(mark):
        with suppress(OSError):
            if b"haproxy.cfg" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def listens(pid: int) -> Iterator[tuple[str, int]]:
    """The TCP addresses that a process listens on, as Linux tells them."""
    sockets = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            sockets.add(link.readlink().name)
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and f"socket:[{rest[5]}]" in sockets:
                host, port = local.split(":")
                packed = bytes.fromhex(host)[::-1]
                yield (socket.inet_ntoa(packed) if len(packed) == 4 else host), int(port, 16)


SERVE_FOR_EVER = """
import sys, time
sys.path.insert(0, sys.argv[1])
import tiny_model
from functools import partial
from pathlib import Path
from ray import cloudpickle
from service.endpoint.server import serve
from service.settings import Settings
cloudpickle.register_pickle_by_value(tiny_model)
settings = Settings.read({"FUSEGPT_HOME": sys.argv[2], "FUSEGPT_PORT": "0"})
with serve(settings, "tiny", None, partial(tiny_model.ShelfOnDisk, Path(sys.argv[2])), tiny_model.load_by_name) as e:
    print(e.url, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_nothing_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    value = uuid.uuid4().hex
    command = [sys.executable, "-c", SERVE_FOR_EVER, str(Path(__file__).parent), str(tmp_path)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, MARK: value}, start_new_session=True)
    assert server.stdout is not None
    try:
        url = server.stdout.readline().decode().strip()
        assert get(f"{url}/healthz").status_code == 200
        assert len(proxies(value)) >= 1
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    wait_for(lambda: not marked(value))
    shutil.rmtree(tmp_path)
