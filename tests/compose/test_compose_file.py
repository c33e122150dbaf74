"""docker-compose.yml is sound, as far as can be told without starting anything."""

from __future__ import annotations

import re
from typing import Any

import pytest

from benchmarks._cluster.compose_file import COMPOSE, ROOT, Service, document, filled, interpolated, services

REQUIRED = {"POSTGRES_PASSWORD": "a-password", "RAY_AUTH_TOKEN": "a-token"}
SERVICES = services(REQUIRED)
OURS = [service for service in SERVICES.values() if service.is_ours]


def each(chosen: list[Service] | None = None) -> pytest.MarkDecorator:
    found = list(SERVICES.values()) if chosen is None else chosen
    return pytest.mark.parametrize("service", found, ids=[service.name for service in found])


def test_the_parts_of_the_service_are_there() -> None:
    wanted = {"postgres", "mlflow", "ray-head", "ray-worker-cpu", "ray-worker-gpu", "api", "endpoint"}
    assert set(SERVICES) == wanted
    assert {name: s.profiles for name, s in SERVICES.items() if s.profiles} == {
        "ray-worker-cpu": ["cpu"],
        "ray-worker-gpu": ["gpu"],
    }


@each()
def test_every_service_says_how_it_is_and_starts_again(service: Service) -> None:
    assert service.check
    assert service.health_s > 60
    assert service.raw["restart"] == "unless-stopped"


@each()
def test_every_service_waits_for_what_it_calls(service: Service) -> None:
    called = {name for name in SERVICES if re.search(rf"(@|//|=){name}\b", str(service.raw))} - {service.name}
    called |= {"ray-head"} if service.environment.get("RAY_ADDRESS") else set()
    by_way_of = {later for name in service.after for later in SERVICES[name].after}
    cluster = service.name.startswith("ray-")  # MLflow is called by the jobs, which the API starts
    assert called - ({"mlflow", "postgres"} if cluster else set()) <= set(service.after) | by_way_of


@each()
def test_every_service_has_no_more_rights_than_it_needs(service: Service) -> None:
    assert service.raw["cap_drop"] == ["ALL"]
    assert service.raw["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service.raw
    assert service.raw.get("cap_add", []) == [] or service.name == "postgres"


@each()
def test_every_image_is_ours_or_a_pinned_public_one(service: Service) -> None:
    image, _, tag = service.raw["image"].partition(":")
    if service.is_ours:
        assert image == "fusegpt"
        assert service.raw["build"]["context"] == "."
        assert service.raw["build"]["args"]["TORCH"] == ("cuda" if service.name.endswith("gpu") else "cpu")
    else:
        assert re.match(r"\d+\.\d+", tag), f"{service.name}: {image}:{tag} moves; name a release"


@each()
def test_ports_are_published_on_loopback_and_data_is_mounted_read_only(service: Service) -> None:
    assert all(port.startswith("127.0.0.1:") for port in service.raw.get("ports", []))
    for volume in service.volumes:
        assert volume.read_only == (volume.target == "/data")
        assert volume.target == "/data" or volume.source in document()["volumes"]


@each([service for service in OURS if service.environment.get("FUSEGPT_HOME") and service.name != "endpoint"])
def test_the_cluster_and_the_api_share_one_home_and_one_token(service: Service) -> None:
    homes = [volume.source for volume in service.volumes if volume.target == service.environment["FUSEGPT_HOME"]]
    assert homes == ["home"]
    assert service.environment["RAY_AUTH_MODE"] == "token"
    assert service.environment["RAY_AUTH_TOKEN"] == REQUIRED["RAY_AUTH_TOKEN"]


@each([service for service in OURS if service.command[0] == "fusegpt"])
def test_who_listens_to_the_network_asks_for_tokens(service: Service) -> None:
    assert service.environment["FUSEGPT_TOKENS"] == "/run/secrets/tokens"
    assert service.raw["secrets"] == ["tokens"]


def test_no_secret_is_written_into_the_file() -> None:
    secret = re.compile(r"PASSWORD|TOKEN$|SECRET|_KEY$")
    for name, raw in document()["services"].items():
        for variable, value in raw.get("environment", {}).items():
            assert not secret.search(variable) or str(value).startswith("${"), f"{name}: {variable}"
    assert not re.search(r"://[^/\s:@]+:[^@\s]+@", COMPOSE.read_text()), "a URL holds a password"


@pytest.mark.parametrize("missing", REQUIRED)
def test_what_is_required_is_asked_for_by_name(missing: str) -> None:
    with pytest.raises(ValueError, match=rf"{missing}: write it into \.env"):
        services({name: value for name, value in REQUIRED.items() if name != missing})


def test_the_example_of_the_environment_names_every_variable() -> None:
    asked: set[str] = set()

    class Noting(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            asked.add(name)
            return super().get(name, default)

    filled(document(), Noting(REQUIRED))
    named = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert named == asked - {"FUSEGPT_TAG"}


def test_trials_never_run_beside_the_head_and_fill_the_workers_containers() -> None:
    assert "--num-cpus=0" in SERVICES["ray-head"].command
    cpus = services({**REQUIRED, "WORKER_CPUS": "3"})["ray-worker-cpu"]
    assert "--num-cpus=3" in cpus.command
    assert cpus.raw["cpus"] == "3"


def test_mlflow_is_asked_by_a_name_that_it_answers_to() -> None:
    for service in OURS:
        assert service.environment.get("MLFLOW_TRACKING_URI", "http://mlflow:5000") == "http://mlflow:5000"
    hosts = [word for word in SERVICES["mlflow"].command if word.startswith("--allowed-hosts=")]
    assert hosts == ["--allowed-hosts=mlflow:5000,localhost:*,127.0.0.1:*"]
    more = services({**REQUIRED, "MLFLOW_ALLOWED_HOSTS": "gpu1:5000"})["mlflow"].command
    assert f"{hosts[0]},gpu1:5000" in more


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("${X:-2}", "2"), ("${SET:-2}", "1"), ("${EMPTY:-2}", "2"), ("${EMPTY-2}", ""), ("$SET$$", "1$"),
        ("${SET:+,$SET}", ",1"), ("${X:+y}", ""), ("a${X}b", "ab"),
    ],
)  # fmt: skip
def test_variables_are_read_as_compose_reads_them(written: str, read: str) -> None:
    assert interpolated(written, {"SET": "1", "EMPTY": ""}) == read
