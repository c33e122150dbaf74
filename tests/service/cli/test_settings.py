"""The environment, read once."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.settings import Settings


def test_with_nothing_configured_everything_is_local(tmp_path: Path) -> None:
    settings = Settings.read({"XDG_DATA_HOME": str(tmp_path)})
    assert settings.home == tmp_path / "fusegpt"
    assert settings.tracking_uri == f"sqlite:///{tmp_path}/fusegpt/mlflow.db"
    assert settings.host == "127.0.0.1"
    assert settings.ray_address == ""
    assert settings.data is None


def test_an_environment_variable_takes_effect() -> None:
    settings = Settings.read({"FUSEGPT_HOME": "/a b", "MLFLOW_TRACKING_URI": "http://m:5000", "FUSEGPT_DATA": "/k"})
    assert settings.home == Path("/a b")
    assert settings.tracking_uri == "http://m:5000"
    assert settings.data == Path("/k")


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_names_the_variable(port: str) -> None:
    with pytest.raises(ValueError, match="FUSEGPT_PORT"):
        Settings.read({"FUSEGPT_PORT": port})


def test_the_url_of_the_api_is_one_and_its_token_is_not_shown() -> None:
    settings = Settings.read({"FUSEGPT_ADDRESS": "http://host:8701/", "FUSEGPT_TOKEN": "a-secret"})
    assert settings.address == "http://host:8701"
    assert "a-secret" not in repr(settings)
    with pytest.raises(ValueError, match="FUSEGPT_ADDRESS: 'host:8701' is no URL"):
        Settings.read({"FUSEGPT_ADDRESS": "host:8701"})


def test_the_ray_head_is_said_in_rays_own_variables() -> None:
    settings = Settings.read({"RAY_ADDRESS": "head:6379", "RAY_API_SERVER_ADDRESS": "https://head/ray/"})
    assert (settings.ray_address, settings.ray_dashboard) == ("head:6379", "https://head/ray")
    assert Settings.read({"RAY_ADDRESS": "local"}).ray_address == ""
    assert Settings.read(settings.environment()) == settings
