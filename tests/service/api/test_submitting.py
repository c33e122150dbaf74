"""What may be submitted, and what is said where it may not."""

from __future__ import annotations

from pathlib import Path

import pytest
from api_callers import As, IdleRunner
from starlette.testclient import TestClient

import experiments
from service.api.experiments import default_spec
from service.jobs.memory import MemoryJobStore
from service.settings import Settings
from service.spec import JobSpec, resolve

SPEC = {"experiment": "fusion_waypoints", "search": {"trials": 4}, "resources": {"concurrent_trials": 2}}


@pytest.fixture
def client(by: As) -> TestClient:
    return by("submitter")


def test_a_submitted_job_waits_with_what_it_will_hold(client: TestClient, store: MemoryJobStore) -> None:
    answer = client.post("/v1/jobs", json={"spec": SPEC, "priority": 2})
    assert answer.status_code == 201, answer.text
    job = answer.json()
    assert (job["state"], job["owner"], job["priority"], job["cpus"]) == ("queued", "submitter", 2, 2.0)
    assert job["name"].startswith("fusion_waypoints-")
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert client.get(answer.headers["location"]).json() == job == client.get(f"/v1/jobs/{job['name']}").json()
    assert resolve(JobSpec.model_validate(store.get(job["id"]).spec)).search.trials == 4


def test_the_same_key_is_the_same_job(client: TestClient) -> None:
    sent = [client.post("/v1/jobs", json={"spec": SPEC}, headers={"Idempotency-Key": "once"}) for _ in range(2)]
    assert [answer.status_code for answer in sent] == [201, 200]
    assert sent[0].json() == sent[1].json()
    other = client.post("/v1/jobs", json={"spec": SPEC, "priority": 1}, headers={"Idempotency-Key": "once"})
    assert other.status_code == 409
    assert "Idempotency-Key" in other.json()["detail"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"experiment": "os"}, "experiment"),
        ({"experiment": "../secrets"}, "experiment"),
        ({"experiment": "fusion_waypoints", "serch": {}}, "spec.serch"),
        ({"experiment": "fusion_waypoints", "set": {"model.n_haed": 4}}, "model.n_haed"),
        ({"experiment": "fusion_waypoints", "set": {"training.epochs": 0}}, "training.epochs"),
        ({"experiment": "fusion_waypoints", "search": {"space": {"model.n_head": 7}}}, "search.space.model.n_head"),
        ({"experiment": "fusion_waypoints", "name": "../../etc"}, "name"),
        ({"experiment": "fusion_waypoints", "resources": {"gpus_per_worker": 2}}, "resources"),
        ({"experiment": "fusion_waypoints", "data": {"source": "kitti", "root": "/etc"}}, "data.root"),
        ({"experiment": "fusion_waypoints", "set": {"data": {"source": "kitti", "root": "/etc"}}}, "data.root"),
        ({"experiment": "fusion_waypoints", "data": {"source": "kitti", "root": "drives"}}, "data.root"),
        ({"experiment": "language_model", "set": {"model.pretrained": "/etc"}}, "model.pretrained"),
        ({"experiment": "language_model", "set": {"model.pretrained": "~/.ssh"}}, "model.pretrained"),
        (
            {"experiment": "language_model", "search": {"space": {"model.pretrained": ["", "../secrets"]}}},
            "search.space.model.pretrained",
        ),
        ({"experiment": "fusion_waypoints", "search": {"warm_start": ["../../secrets"]}}, "search.warm_start"),
    ],
)
def test_a_wrong_spec_starts_nothing_and_names_the_key(
    client: TestClient, store: MemoryJobStore, spec: dict[str, object], field: str
) -> None:
    answer = client.post("/v1/jobs", json={"spec": spec})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["field"] == field
    assert problem["status"] == 422
    assert store.jobs() == []


def test_data_is_read_below_the_configured_roots_only(client: TestClient, drives: Path, tmp_path: Path) -> None:
    (drives / "kitti").mkdir()
    (drives / "out").symlink_to(tmp_path)

    def ask(**data: object) -> tuple[int, str]:
        spec = {"experiment": "fusion_waypoints", "data": {"source": "kitti", **data}}
        answer = client.post("/v1/jobs", json={"spec": spec}).json()
        return answer.get("status", 0), answer.get("field", answer.get("spec", {}).get("data", {}).get("root"))

    assert ask(root=str(drives / "kitti" / ".." / "kitti")) == (0, str(drives / "kitti"))
    assert ask(root=str(drives / "..")) == (422, "data.root")
    assert ask(root=str(drives / "out")) == (422, "data.root")
    assert ask(root=f"{drives}-of-others") == (422, "data.root")
    nuscenes = {"source": "nuscenes", "root": str(drives / "kitti"), "version": ".."}
    assert ask(**nuscenes) == (422, "data.version")
    assert ask(root=str(drives), drives=["../secrets"]) == (422, "data.drives")


def test_weights_to_begin_with_may_lie_below_a_root(settings: Settings, drives: Path) -> None:
    from service.api.admission import admit

    (drives / "weights").mkdir()
    asked = {"experiment": "language_model", "set": {"model.pretrained": str(drives / "weights")}}
    admitted = admit(JobSpec.model_validate(asked), settings, IdleRunner().capacity())
    assert admitted.experiment.settings()["model.pretrained"] == str(drives / "weights")


def test_a_service_without_data_says_whose_matter_that_is(settings: Settings) -> None:
    from service.api.admission import admit

    bare = settings.model_copy(update={"data_roots": (), "data": None})
    spec = JobSpec.model_validate({"experiment": "fusion_waypoints", "data": {"source": "kitti", "root": "/data"}})
    with pytest.raises(ValueError, match="FUSEGPT_DATA_ROOTS"):
        admit(spec, bare, IdleRunner().capacity())


def test_a_name_of_a_search_that_is_there_is_taken(client: TestClient, settings: Settings) -> None:
    (settings.runs / "mine").mkdir(parents=True)
    answer = client.post("/v1/jobs", json={"spec": {**SPEC, "name": "mine"}})
    assert answer.status_code == 409
    assert "mine" in answer.json()["detail"]
    assert client.post("/v1/jobs", json={"spec": {**SPEC, "name": "yours"}}).status_code == 201
    assert client.post("/v1/jobs", json={"spec": {**SPEC, "name": "yours"}}).status_code == 409


def test_a_body_that_is_no_spec_is_a_problem(client: TestClient) -> None:
    for body in (b"", b"{", b"[]", b'{"spec": {"experiment": "\\ud800"}}', b'{"spec": 1}'):
        answer = client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, body
        assert answer.headers["content-type"] == "application/problem+json"
    infinite = b'{"spec": {"experiment": "fusion_waypoints", "set": {"training.lr": Infinity}}}'
    assert client.post("/v1/jobs", content=infinite, headers={"Content-Type": "application/json"}).status_code == 422


def test_a_body_that_is_too_large_is_turned_away(client: TestClient) -> None:
    large = b" " * (256 * 1024 + 1)
    assert client.post("/v1/jobs", content=large).status_code == 413
    chunks = (b" " * 4096 for _ in range(100))
    assert client.post("/v1/jobs", content=chunks).status_code == 413


@pytest.mark.parametrize("name", experiments.names())
def test_the_default_spec_of_an_experiment_is_the_experiment(by: As, name: str) -> None:
    detail = by("viewer").get(f"/v1/experiments/{name}").json()
    assert resolve(JobSpec.model_validate(detail["spec"])) == experiments.load(name)
    assert detail["spec"] == default_spec(experiments.load(name))
    assert detail["settings"] == experiments.load(name).settings()
    assert "Experiment" in detail["json_schema"]["title"]


def test_experiments_are_listed_with_what_they_ask(by: As) -> None:
    listed = by("viewer").get("/v1/experiments").json()
    assert [each["name"] for each in listed] == experiments.names()
    assert by("viewer").get("/v1/experiments/nothing").status_code == 404


def test_a_plan_says_what_would_run_and_starts_nothing(client: TestClient, store: MemoryJobStore) -> None:
    small = {"model.image_encoder": "resnet18", "model.lidar_encoder": "resnet18", "model.n_layer": 1}
    plan = client.post("/v1/plan", json={"spec": {**SPEC, "set": small}}).json()
    assert (plan["trials"], plan["cpus"], plan["metric"], plan["mode"]) == (4, 2.0, "val/ade_m", "min")
    assert plan["parameters"] > 2 * 11_000_000  # two ResNet-18
    assert store.jobs() == []
