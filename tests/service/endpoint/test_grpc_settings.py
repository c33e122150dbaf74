"""Where gRPC is switched on, and what is refused before anything listens."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tiny_model import Shelf, load_by_name

from fusegpt.config import SettingError
from service.endpoint import haproxy_start, ingress, server
from service.endpoint.rpc import choice
from service.settings import Settings


def test_grpc_is_off_unless_its_port_is_set() -> None:
    assert Settings.read({}).grpc_port is None
    settings = Settings.read({"FUSEGPT_GRPC_PORT": "8702"})
    assert settings.grpc_port == 8702
    for each in (settings, Settings.read({})):
        assert Settings.read(each.environment()).grpc_port == each.grpc_port
    with pytest.raises(ValueError, match="FUSEGPT_GRPC_PORT: 'on' is no port"):
        Settings.read({"FUSEGPT_GRPC_PORT": "on"})


def served(settings: Settings) -> None:
    with server.serve(settings, "tiny", champions=Shelf, load=load_by_name):
        raise AssertionError("it must not come up")


def test_without_tokens_it_is_refused_because_it_listens_everywhere(tmp_path: Path) -> None:
    settings = Settings.read({"FUSEGPT_HOME": str(tmp_path), "FUSEGPT_GRPC_PORT": "0"})
    with pytest.raises(SettingError, match=r"FUSEGPT_GRPC_PORT: needs FUSEGPT_TOKENS, .*on every interface"):
        served(settings)


def test_without_its_messages_it_is_refused_with_how_to_install_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokens").write_text("")
    settings = {"FUSEGPT_HOME": str(tmp_path), "FUSEGPT_GRPC_PORT": "0", "FUSEGPT_TOKENS": str(tmp_path / "tokens")}
    monkeypatch.setattr(choice, "find_spec", lambda _name: None)
    with pytest.raises(SettingError, match=r"FUSEGPT_GRPC_PORT: .*pip install 'fusegpt\[grpc\]'"):
        served(Settings.read(settings))


@pytest.mark.parametrize("binary", [None, "/bin/true"])
def test_serve_takes_no_larger_messages_than_the_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, binary: str | None
) -> None:
    monkeypatch.setattr(ingress, "haproxy", lambda: binary)
    monkeypatch.delenv("RAY_SERVE_GRPC_MAX_MESSAGE_SIZE", raising=False)
    with ingress.prepared(tmp_path, 0, 12345) as behind_haproxy:
        assert behind_haproxy is (binary is not None)
        assert os.environ["RAY_SERVE_GRPC_MAX_MESSAGE_SIZE"] == "12345"
    assert "RAY_SERVE_GRPC_MAX_MESSAGE_SIZE" not in os.environ


CONFIGURATION = """\
global
defaults
    mode http
frontend grpc_frontend
    bind 127.0.0.1:8702 proto h2
    http-request return status 200 content-type application/grpc hdr grpc-status 0 if is_healthz
backend grpc_tiny
    mode http
"""


def test_haproxy_refuses_streams_and_the_list_of_applications_before_it_waits_for_a_request() -> None:
    once = haproxy_start.revised(CONFIGURATION, Path("/tmp/y"), 4 * 2**20)
    frontend = once.partition("frontend grpc_frontend")[2].partition("backend")[0]
    assert "no option http-buffer-request" in frontend
    assert "grpc-status 12" in frontend
    assert "if { path /ray.serve.RayServeAPIService/ListApplications }" in frontend
    assert "if is_healthz" in frontend
    assert haproxy_start.revised(once, Path("/tmp/y"), 4 * 2**20) == once
    assert haproxy_start.revised(CONFIGURATION.partition("frontend")[0], Path(), 0).count("grpc-status") == 0
